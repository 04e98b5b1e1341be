//! The bytes of a roll-up, version 1. Numbers are little-endian; a varint is LEB128; a text is a varint of its length and
//! UTF-8. Each part begins with `magic 2 | version 1 | part 1 | provider 1 | month 2`.
//!
//! - `heard`: `tracks 4 | first and last 4 × 2 × (polled, imported) | key 8 × tracks | minutes`. First and last are in ms since
//!   the month began, or all ones where there is no such play. Minutes are those since the month began in which a play
//!   ended, each once, as varints of what they are more than the one before.
//! - `plays`: `counts 4 × (artists, albums, genres, entries, plays) | length of entries 4 | key 8 × (artists, albums,
//!   genres) | entries | plays`, the latter two of varints. An entry is one way in which a track was told: track, count of
//!   artists and each, album + 1 or 0, count of genres and each, length in ms + 1 or 0. A play: ms since the play before it (the
//!   first: since the month began), entry, and `ms_played << 4 | known << 3 | skipped << 1 | imported`, where `skipped` is
//!   0 unknown, 1 no, 2 yes.
//! - `names`: `counts 4 × (entries, artists, albums, genres)`, then of each entry 1 and a reference, or 0, and a title; of
//!   each artist a name; of each album a title, and artist + 1 or 0; of each genre a name.
//!
//! Everything is in order (keys by number, entries by what they say, plays by time and entry), so that the same plays
//! give the same bytes in whichever order they came.

use stagedoor_domain::music::Provider;

use crate::{InsightsError, Month, PlaySource};

pub(crate) const VERSION: u8 = 1;
const MAGIC: [u8; 2] = *b"LR";
const HEADER: usize = 7;
pub(crate) const KEY: usize = 8;
/// Instead of a time: there is none.
pub(crate) const NEVER: u32 = u32::MAX;

/// The parts of a roll-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Heard = 1,
    Plays = 2,
    Names = 3,
}

pub(crate) fn begin(part: Part, provider: Provider, month: Month) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([VERSION, part as u8, provider_number(provider)]);
    bytes.extend(month.number().to_le_bytes());
    bytes
}

/// Of which provider and month a part is, and what comes after that.
pub(crate) fn open<'a>(
    part: Part,
    bytes: &'a [u8],
    what: &'static str,
) -> Result<(Provider, Month, Reader<'a>), InsightsError> {
    let mut reader = Reader::new(bytes, 0, what);
    let header = reader.take(HEADER).map_err(|_| InsightsError::Version)?;
    if header[..2] != MAGIC || header[2..4] != [VERSION, part as u8] {
        return Err(InsightsError::Version);
    }
    let month = Month::from_number(u16::from_le_bytes([header[5], header[6]]));
    let found = provider_of(header[4]).zip(month).ok_or_else(|| reader.damaged())?;
    Ok((found.0, found.1, reader))
}

fn provider_number(provider: Provider) -> u8 {
    match provider {
        Provider::Spotify => 0,
        Provider::Tidal => 1,
    }
}

fn provider_of(number: u8) -> Option<Provider> {
    Provider::ALL.iter().copied().find(|provider| provider_number(*provider) == number)
}

/// What a play says besides when and what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tag(u64);

impl Tag {
    pub(crate) fn new(ms_played: Option<u32>, skipped: Option<bool>, source: PlaySource) -> Self {
        let skipped = match skipped {
            None => 0,
            Some(false) => 1,
            Some(true) => 2,
        };
        let (known, ms) = ms_played.map_or((0, 0), |ms| (1, u64::from(ms)));
        Self(ms << 4 | known << 3 | skipped << 1 | u64::from(source == PlaySource::Import))
    }

    pub(crate) fn read(number: u64) -> Result<Self, InsightsError> {
        let unknown_ms = number & 8 == 0 && number >> 4 != 0;
        if number >> 36 != 0 || number >> 1 & 3 == 3 || unknown_ms {
            return Err(InsightsError::Damaged("play"));
        }
        Ok(Self(number))
    }

    #[expect(clippy::cast_possible_truncation, reason = "reading refused what is more than 32 bits")]
    pub(crate) fn ms_played(self) -> Option<u32> {
        (self.0 & 8 != 0).then_some((self.0 >> 4) as u32)
    }

    pub(crate) fn skipped(self) -> Option<bool> {
        match self.0 >> 1 & 3 {
            0 => None,
            skipped => Some(skipped == 2),
        }
    }

    pub(crate) fn source(self) -> PlaySource {
        if self.0 & 1 == 1 { PlaySource::Import } else { PlaySource::Poll }
    }

    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

pub(crate) fn put_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

pub(crate) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_varint(bytes, text.len() as u64);
    bytes.extend(text.as_bytes());
}

/// Reads a section from its beginning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    what: &'static str,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], at: usize, what: &'static str) -> Self {
        Self { bytes, at, what }
    }

    /// What was not read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub(crate) fn word(&mut self) -> Result<u32, InsightsError> {
        let mut word = [0; 4];
        word.copy_from_slice(self.take(4)?);
        Ok(u32::from_le_bytes(word))
    }

    pub(crate) fn keys(&mut self, count: u32) -> Result<&'a [u8], InsightsError> {
        self.take((count as usize).checked_mul(KEY).ok_or_else(|| self.damaged())?)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, InsightsError> {
        let length = self.index()? as usize;
        std::str::from_utf8(self.take(length)?).map_err(|_| self.damaged())
    }

    pub(crate) fn is_done(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(crate) fn damaged(&self) -> InsightsError {
        InsightsError::Damaged(self.what)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, InsightsError> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = *self.bytes.get(self.at).ok_or(InsightsError::Damaged(self.what))?;
            self.at += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
            shift += 7;
            if shift > 56 {
                return Err(self.damaged());
            }
        }
    }

    #[inline]
    pub(crate) fn index(&mut self) -> Result<u32, InsightsError> {
        let number = self.varint()?;
        u32::try_from(number).map_err(|_| self.damaged())
    }

    /// A number that is stored plus one, 0 being none.
    pub(crate) fn option(&mut self) -> Result<Option<u32>, InsightsError> {
        match self.varint()?.checked_sub(1) {
            None => Ok(None),
            Some(number) => u32::try_from(number).map(Some).map_err(|_| self.damaged()),
        }
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], InsightsError> {
        let end = self.at.checked_add(length).ok_or_else(|| self.damaged())?;
        let taken = self.bytes.get(self.at..end).ok_or_else(|| self.damaged())?;
        self.at = end;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_read_as_they_were_put(numbers in proptest::collection::vec(0_u64..1 << 60, 0..20)) {
            let mut bytes = vec![];
            for number in &numbers {
                put_varint(&mut bytes, *number);
            }
            let mut reader = Reader::new(&bytes, 0, "test");
            for number in numbers {
                prop_assert_eq!(reader.varint(), Ok(number));
            }
            prop_assert!(reader.is_done() && reader.varint().is_err());
        }

        #[test]
        fn tags_keep_what_they_are_made_of(ms: Option<u32>, skipped: Option<bool>, imported: bool) {
            let source = if imported { PlaySource::Import } else { PlaySource::Poll };
            let tag = Tag::read(Tag::new(ms, skipped, source).number()).unwrap();
            prop_assert_eq!((tag.ms_played(), tag.skipped(), tag.source()), (ms, skipped, source));
        }
    }

    #[test]
    fn what_no_play_says_is_refused() {
        for number in [6, 1 << 4, 1 << 36, u64::MAX] {
            assert_eq!(Tag::read(number), Err(InsightsError::Damaged("play")), "{number}");
        }
    }
}
