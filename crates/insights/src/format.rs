//! The bytes of a roll-up, version 1. Numbers are little-endian; a varint is LEB128; a text is a varint of its length and
//! UTF-8. Each part begins with `magic 2 | version 1 | part 1 | provider 1 | month 2`.
//!
//! - `heard`: `tracks 4 | first and last 4 × 2 × (polled, imported) | key 8 × tracks | minutes`. First and last are in ms since
//!   the month began, or all ones where there is no such play. Minutes are those since the month began in which a play
//!   ended, each once, as varints of what they are more than the one before.
//! - `plays`: `counts 4 × (artists, albums, genres, entries, rows, plays) | key 8 × (artists, albums, genres) | entries | rows 4*
//!   | plays`. An entry is one way in which a track was told: `track 4 | album 4 | length in ms 4 | first of its rows 4 | artists
//!   2 | genres 2`, all ones being none; its rows are those of its artists, then of its genres. A play: `ms since the
//!   month began 4 | entry 3 | says 1 | ms played 4`, where `says` is `known << 3 | skipped << 1 | imported`, known is whether the
//!   ms played are, and `skipped` is 0 unknown, 1 no, 2 yes.
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
pub(crate) const ENTRY: usize = 20;
pub(crate) const PLAY: usize = 12;
/// Instead of a time, a row or a length: there is none.
pub(crate) const NONE: u32 = u32::MAX;

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
pub(crate) struct Tag {
    says: u8,
    ms: u32,
}

const IMPORTED: u8 = 1;
const KNOWN: u8 = 8;

impl Tag {
    /// What `says` can be.
    pub(crate) const KINDS: usize = 16;

    pub(crate) fn new(ms_played: Option<u32>, skipped: Option<bool>, source: PlaySource) -> Self {
        let skipped = match skipped {
            None => 0,
            Some(false) => 1 << 1,
            Some(true) => 2 << 1,
        };
        let known = if ms_played.is_some() { KNOWN } else { 0 };
        let imported = if source == PlaySource::Import { IMPORTED } else { 0 };
        Self { says: known | skipped | imported, ms: ms_played.unwrap_or_default() }
    }

    /// A tag that says what can be said.
    #[inline]
    pub(crate) fn read(says: u8, ms: u32) -> Option<Self> {
        let refused = usize::from(says) >= Self::KINDS || says & 6 == 6 || (says & KNOWN == 0 && ms != 0);
        (!refused).then_some(Self { says, ms })
    }

    /// Of a kind, with no time.
    pub(crate) fn of_kind(kind: usize) -> Option<Self> {
        Self::read(u8::try_from(kind).ok()?, 0)
    }

    #[inline]
    pub(crate) fn kind(self) -> usize {
        usize::from(self.says)
    }

    #[inline]
    pub(crate) fn ms_played(self) -> Option<u32> {
        (self.says & KNOWN != 0).then_some(self.ms)
    }

    pub(crate) fn skipped(self) -> Option<bool> {
        match self.says >> 1 & 3 {
            0 => None,
            skipped => Some(skipped == 2),
        }
    }

    pub(crate) fn source(self) -> PlaySource {
        if self.says & IMPORTED != 0 { PlaySource::Import } else { PlaySource::Poll }
    }

    /// As plays are written, with the number of the entry.
    pub(crate) fn with_entry(self, entry: u32) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&entry.to_le_bytes());
        bytes[3] = self.says;
        bytes[4..].copy_from_slice(&self.ms.to_le_bytes());
        bytes
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

    pub(crate) fn rows(&mut self, count: u32, size: usize) -> Result<&'a [u8], InsightsError> {
        self.take((count as usize).checked_mul(size).ok_or_else(|| self.damaged())?)
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
        fn tags_keep_what_they_are_made_of(ms_played: Option<u32>, skipped: Option<bool>, imported: bool) {
            let source = if imported { PlaySource::Import } else { PlaySource::Poll };
            let tag = Tag::new(ms_played, skipped, source);
            let written = tag.with_entry(7);
            let ms = u32::from_le_bytes(written[4..].try_into().unwrap());
            prop_assert_eq!((written[..3].to_vec(), Tag::read(written[3], ms)), (vec![7, 0, 0], Some(tag)));
            prop_assert_eq!((tag.ms_played(), tag.skipped(), tag.source()), (ms_played, skipped, source));
        }
    }

    #[test]
    fn what_no_play_says_is_refused() {
        for (says, ms) in [(6, 0), (14, 1), (16, 0), (0, 1), (255, 0)] {
            assert_eq!(Tag::read(says, ms), None, "{says} {ms}");
        }
    }
}
