//! A person's player at Spotify: devices, what is on, what comes next, what was played. It moves with the clock that
//! each call hands in; commands are in `command`, the devices in `device`.

mod command;
mod device;

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::catalogue::{Catalogue, mix};

pub(crate) use command::{Refusal, Start};
pub use device::Device;

/// How many plays are remembered.
const REMEMBERED: usize = 50;
/// A track left before this was not played.
const LISTENED: u64 = 30_000;
/// Tracks that one look lets pass; a player forgotten for longer stands where these end.
const MOST_STEPS: usize = 2_000;
/// Plays of before the account's first look at its player.
const EARLIER: u64 = 20;

/// What is played again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Repeat {
    #[default]
    Off,
    Track,
    Context,
}

/// What a person's devices do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Player {
    pub(crate) devices: Vec<Device>,
    /// The device that plays or played last; `None` once it was left for long.
    pub(crate) active: Option<String>,
    pub(crate) on: Option<On>,
    pub(crate) repeat: Repeat,
    pub(crate) shuffle: bool,
    /// Oldest first.
    pub(crate) history: VecDeque<Play>,
    /// What was added by hand; it plays before the rest.
    added: VecDeque<String>,
    /// What plays from: a URI, if it is one thing.
    context: Option<String>,
    /// Track ids, in the order of the context.
    tracks: Vec<String>,
    /// Positions in `tracks`, in the order of playing.
    order: Vec<usize>,
    /// The position in `order` of what is on or, while something added plays, of what was on before.
    at: usize,
}

/// What is on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct On {
    pub(crate) track_id: String,
    pub(crate) context: Option<String>,
    pub(crate) progress_ms: u64,
    pub(crate) playing: bool,
    /// When `progress_ms` was true.
    since: DateTime<Utc>,
}

/// Something played to its end, or for long enough.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Play {
    pub(crate) track_id: String,
    pub(crate) context: Option<String>,
    pub(crate) played_at: DateTime<Utc>,
}

impl Player {
    /// The player of an account that has listened before and does not now.
    pub(crate) fn new(account: &str, catalogue: &Catalogue, now: DateTime<Utc>) -> Self {
        let salt = device::salt(account);
        let history = (0..EARLIER).rev().map(|number| {
            let at = mix(salt ^ number) % catalogue.tracks.len().max(1) as u64;
            let minutes = 60 + 4 * i64::try_from(number).unwrap_or_default();
            Play {
                track_id: catalogue.tracks[usize::try_from(at).unwrap_or_default()].id.clone(),
                context: None,
                played_at: now - TimeDelta::minutes(minutes),
            }
        });
        Self {
            devices: device::of(account),
            active: None,
            on: None,
            repeat: Repeat::Off,
            shuffle: false,
            history: history.collect(),
            added: VecDeque::new(),
            context: None,
            tracks: Vec::new(),
            order: Vec::new(),
            at: 0,
        }
    }

    /// Lets the time pass that has passed.
    pub(crate) fn advance(&mut self, catalogue: &Catalogue, now: DateTime<Utc>) {
        for _ in 0..MOST_STEPS {
            let Some(on) = self.on.as_mut().filter(|on| on.playing) else { return };
            let passed = u64::try_from((now - on.since).num_milliseconds()).unwrap_or(0);
            let length = catalogue.track(&on.track_id).map_or(1, |track| track.duration_ms.max(1));
            let left = length.saturating_sub(on.progress_ms);
            if passed < left {
                on.progress_ms += passed;
                on.since = now;
                return;
            }
            let ended = on.since + milliseconds(left);
            on.progress_ms = length;
            self.leave(ended);
            if self.repeat == Repeat::Track {
                self.put_on(ended);
            } else {
                self.step(ended);
            }
        }
        if let Some(on) = &mut self.on {
            on.since = now;
        }
    }

    /// The track ids that play next, soonest first.
    pub(crate) fn upcoming(&self) -> impl Iterator<Item = &str> {
        let rest = self.order.get(self.at + 1..).unwrap_or_default();
        self.added.iter().map(String::as_str).chain(rest.iter().map(|at| self.tracks[*at].as_str()))
    }

    /// Notes what is on as played, if it was on for long enough.
    fn leave(&mut self, now: DateTime<Utc>) {
        let Some(on) = self.on.take() else { return };
        if on.progress_ms >= LISTENED {
            let (track_id, context) = (on.track_id.clone(), on.context.clone());
            self.remember(Play { track_id, context, played_at: now });
        }
        self.on = Some(on);
    }

    /// Adds a play, the newest of all.
    pub(crate) fn remember(&mut self, play: Play) {
        if self.history.len() == REMEMBERED {
            self.history.pop_front();
        }
        self.history.push_back(play);
    }

    /// Goes on to what comes next; after the last track it stands at the first, paused.
    fn step(&mut self, now: DateTime<Utc>) {
        if let Some(track_id) = self.added.pop_front() {
            self.on = Some(On {
                track_id,
                context: self.context.clone(),
                progress_ms: 0,
                playing: true,
                since: now,
            });
            return;
        }
        let more = self.at + 1 < self.order.len();
        self.at = if more { self.at + 1 } else { 0 };
        self.put_on(now);
        if let Some(on) = self.on.as_mut().filter(|_| !more && self.repeat != Repeat::Context) {
            on.playing = false;
        }
    }

    /// Begins the track at `at`, or the one that is on if it is from nowhere.
    fn put_on(&mut self, now: DateTime<Utc>) {
        let listed = self.order.get(self.at).map(|at| self.tracks[*at].clone());
        let again = self.on.as_ref().map(|on| on.track_id.clone());
        let track_id = if self.repeat == Repeat::Track { again.or(listed) } else { listed.or(again) };
        self.on = track_id.map(|track_id| On {
            track_id,
            context: self.context.clone(),
            progress_ms: 0,
            playing: true,
            since: now,
        });
    }
}

fn milliseconds(count: u64) -> TimeDelta {
    TimeDelta::milliseconds(i64::try_from(count).unwrap_or(i64::MAX / 2))
}
