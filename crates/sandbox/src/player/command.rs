//! Commands to a player, and why it refuses them.

use chrono::{DateTime, Utc};

use super::{Device, Play, Player, Repeat};
use crate::catalogue::{Catalogue, mix};

/// Why a command is not obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// None was named and none plays.
    NoActiveDevice,
    UnknownDevice,
    /// Its volume cannot be set.
    NoVolume,
    /// Nothing to do, such as pausing what stands still.
    Restricted,
}

/// What to play.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    /// A URI, if it is one thing.
    pub(crate) context: Option<String>,
    /// Track ids, not empty.
    pub(crate) tracks: Vec<String>,
    /// The position in `tracks` to begin at.
    pub(crate) first: usize,
    pub(crate) progress_ms: u64,
}

impl Player {
    /// The device that a command is for; one that is named becomes the active one.
    pub(crate) fn address(&mut self, device: Option<&str>) -> Result<&mut Device, Refusal> {
        let (wanted, refusal) = match device {
            Some(named) => (named.to_owned(), Refusal::UnknownDevice),
            None => (self.active.clone().ok_or(Refusal::NoActiveDevice)?, Refusal::NoActiveDevice),
        };
        let found = self.devices.iter_mut().find(|device| device.id == wanted).ok_or(refusal)?;
        if found.is_restricted {
            return Err(Refusal::Restricted);
        }
        self.active = Some(wanted);
        Ok(found)
    }

    pub(crate) fn start(&mut self, start: Start, now: DateTime<Utc>) {
        self.leave(now);
        self.order = (0..start.tracks.len()).collect();
        (self.context, self.tracks, self.at) = (start.context, start.tracks, start.first);
        if self.shuffle {
            self.shuffle(true);
        }
        self.on = None;
        self.put_on(now);
        if let Some(on) = &mut self.on {
            on.progress_ms = start.progress_ms;
        }
    }

    /// Goes on with what was paused or, with nothing on, plays the latest play again.
    pub(crate) fn resume(&mut self, progress_ms: Option<u64>, now: DateTime<Utc>) -> Result<(), Refusal> {
        if self.on.is_none() {
            let Play { track_id, context, .. } = self.history.back().cloned().ok_or(Refusal::Restricted)?;
            self.start(Start { context, tracks: vec![track_id], first: 0, progress_ms: 0 }, now);
        } else if self.is_playing() && progress_ms.is_none() {
            return Err(Refusal::Restricted);
        }
        if let Some(on) = &mut self.on {
            (on.playing, on.since) = (true, now);
            on.progress_ms = progress_ms.unwrap_or(on.progress_ms);
        }
        Ok(())
    }

    pub(crate) fn pause(&mut self) -> Result<(), Refusal> {
        match &mut self.on {
            Some(on) if on.playing => {
                on.playing = false;
                Ok(())
            }
            _ => Err(Refusal::Restricted),
        }
    }

    pub(crate) fn skip(&mut self, now: DateTime<Utc>) -> Result<(), Refusal> {
        if self.on.is_none() {
            return Err(Refusal::Restricted);
        }
        self.leave(now);
        // Skipping leaves a track that would play for ever.
        let repeat = self.repeat;
        if repeat == Repeat::Track {
            self.repeat = Repeat::Context;
        }
        self.step(now);
        self.repeat = repeat;
        Ok(())
    }

    pub(crate) fn back(&mut self, now: DateTime<Utc>) -> Result<(), Refusal> {
        if self.on.is_none() {
            return Err(Refusal::Restricted);
        }
        self.leave(now);
        self.at = self.at.saturating_sub(1);
        let repeat = std::mem::take(&mut self.repeat);
        self.put_on(now);
        self.repeat = repeat;
        Ok(())
    }

    /// A place behind the end is the next track's beginning.
    pub(crate) fn seek(
        &mut self,
        progress_ms: u64,
        catalogue: &Catalogue,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let on = self.on.as_mut().ok_or(Refusal::Restricted)?;
        let length = catalogue.track(&on.track_id).map_or(1, |track| track.duration_ms);
        if progress_ms >= length {
            return self.skip(now);
        }
        (on.progress_ms, on.since) = (progress_ms, now);
        Ok(())
    }

    pub(crate) fn add(&mut self, track_id: String) {
        self.added.push_back(track_id);
    }

    /// Mixes what follows the track that is on, or puts all back into the order of the context.
    pub(crate) fn shuffle(&mut self, on: bool) {
        self.shuffle = on;
        let current = self.order.get(self.at).copied();
        self.order = (0..self.tracks.len()).collect();
        let Some(current) = current else { return };
        if on {
            self.order.sort_by_key(|at| (*at != current, mix(*at as u64 ^ self.tracks.len() as u64)));
            self.at = 0;
        } else {
            self.at = current;
        }
    }

    pub(crate) fn is_playing(&self) -> bool {
        self.on.as_ref().is_some_and(|on| on.playing)
    }
}
