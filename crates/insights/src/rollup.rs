//! Rolling up: a month of plays at one provider is packed, and what was packed becomes a month to which plays can be added.

use std::collections::{BTreeMap, HashMap};

use stagedoor_domain::music::Provider;

use crate::format::Tag;
use crate::pack::{RollupParts, pack};
use crate::view::{HeardView, NamesView, PlaysView};
use crate::{InsightsError, Month, Play, PlayedTrack};

/// What one roll-up may hold, so that its lengths fit their fields: plays, and bytes of all that tracks say.
const MOST_PLAYS: usize = 1 << 24;
const MOST_BYTES: usize = 1 << 31;
/// What a track and each of its texts take at most besides the texts themselves.
const OVERHEAD: usize = 64;

/// The plays of one person in one month of UTC at one provider, packed by column. Every play is kept with its time to
/// the millisecond: sums by day or by hour of UTC could not be exact at the edges of a person's days, whose zone is
/// only known when a question comes.
///
/// The same plays give the same bytes, in whatever order and in however many steps they were added. A play that is added
/// twice counts twice.
#[derive(Debug, Clone)]
pub struct MonthRollup {
    provider: Provider,
    month: Month,
    tracks: Vec<PlayedTrack>,
    numbers: HashMap<PlayedTrack, u32>,
    plays: Vec<(u32, u32, Tag)>,
    size: usize,
}

/// Rolls up plays of any provider and month, each month by itself.
pub fn roll_up<'a>(
    plays: impl IntoIterator<Item = &'a Play>,
) -> Result<BTreeMap<(Provider, Month), MonthRollup>, InsightsError> {
    let mut rollups: BTreeMap<(Provider, Month), MonthRollup> = BTreeMap::new();
    for play in plays {
        let (provider, month) = (play.provider, Month::of(play.played_at)?);
        let rollup = rollups.entry((provider, month)).or_insert_with(|| MonthRollup::new(provider, month));
        rollup.add(play)?;
    }
    Ok(rollups)
}

impl MonthRollup {
    /// A month without plays.
    pub fn new(provider: Provider, month: Month) -> Self {
        Self { provider, month, tracks: vec![], numbers: HashMap::new(), plays: vec![], size: 0 }
    }

    /// What was kept.
    pub fn from_parts(parts: &RollupParts) -> Result<Self, InsightsError> {
        let heard = HeardView::new(&parts.heard)?;
        let plays = PlaysView::new(&parts.plays, &heard)?;
        let names = NamesView::new(&parts.names)?;
        names.belongs_to(&heard)?;
        let mut rollup = Self::new(heard.provider, heard.month);
        let mut numbers = vec![];
        for number in 0..plays.entry_count() {
            let entry = plays.entry(number).ok_or(InsightsError::Damaged("track"))?;
            numbers.push(rollup.number(&names.track(number, &entry)?)?);
        }
        for play in plays.plays() {
            let (offset, entry, tag) = play?;
            let number = numbers.get(entry as usize).ok_or(InsightsError::Damaged("play"))?;
            rollup.plays.push((offset, *number, tag));
        }
        Ok(rollup)
    }

    /// The provider.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The month.
    pub fn month(&self) -> Month {
        self.month
    }

    /// How many plays it holds.
    pub fn len(&self) -> usize {
        self.plays.len()
    }

    /// Whether it holds none, and need not be stored.
    pub fn is_empty(&self) -> bool {
        self.plays.is_empty()
    }

    /// Adds a play of its month and provider.
    pub fn add(&mut self, play: &Play) -> Result<(), InsightsError> {
        let found_month = Month::of(play.played_at)?;
        if (play.provider, found_month) != (self.provider, self.month) {
            return Err(InsightsError::Misplaced {
                provider: self.provider,
                month: self.month,
                found_provider: play.provider,
                found_month,
            });
        }
        let offset = u32::try_from(play.played_at - self.month.begins_at())
            .map_err(|_| InsightsError::Time(play.played_at))?;
        if self.plays.len() >= MOST_PLAYS {
            return Err(InsightsError::TooMuch(self.month));
        }
        let number = self.number(&play.track)?;
        self.plays.push((offset, number, Tag::new(play.ms_played, play.skipped, play.source)));
        Ok(())
    }

    /// The plays in the order of their times, as they were added.
    pub fn plays(&self) -> Vec<Play> {
        let begins_at = self.month.begins_at();
        let mut plays: Vec<Play> = self
            .plays
            .iter()
            .map(|(offset, number, tag)| Play {
                played_at: begins_at + i64::from(*offset),
                provider: self.provider,
                track: self.tracks[*number as usize].clone(),
                ms_played: tag.ms_played(),
                skipped: tag.skipped(),
                source: tag.source(),
            })
            .collect();
        plays.sort_by(|one, other| (one.played_at, &one.track).cmp(&(other.played_at, &other.track)));
        plays
    }

    fn number(&mut self, track: &PlayedTrack) -> Result<u32, InsightsError> {
        let full = InsightsError::TooMuch(self.month);
        if let Some(number) = self.numbers.get(track) {
            return Ok(*number);
        }
        let lists = track.artists.len().max(track.genres.len());
        if lists > usize::from(u16::MAX) || track.duration_ms == Some(u32::MAX) {
            return Err(full);
        }
        let texts = texts_of(track);
        let size = texts.map(|text| text.len() + OVERHEAD).sum::<usize>() + OVERHEAD;
        self.size = self.size.checked_add(size).filter(|size| *size <= MOST_BYTES).ok_or(full.clone())?;
        let number = u32::try_from(self.tracks.len()).map_err(|_| full)?;
        self.tracks.push(track.clone());
        self.numbers.insert(track.clone(), number);
        Ok(number)
    }

    /// What is kept.
    pub fn to_parts(&self) -> RollupParts {
        pack(self.provider, self.month, &self.tracks, &self.plays)
    }
}

fn texts_of(track: &PlayedTrack) -> impl Iterator<Item = &str> {
    let lists = track.artists.iter().chain(&track.genres);
    let others = [track.reference.as_ref(), Some(&track.title), track.album.as_ref()];
    lists.chain(others.into_iter().flatten()).map(String::as_str)
}
