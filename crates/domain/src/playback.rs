//! What plays where, as tools answer it. Positions and lengths are milliseconds.

use schemars::JsonSchema;
use serde::Serialize;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serializer};

use crate::music::Track;
use crate::scope::closed_set;

closed_set!(
    /// What is played again when it ends.
    RepeatMode, RepeatModeSet, "A set of repeat modes." {
        Off = "off",
        Track = "track",
        Context = "context",
    }
);

/// Something that can play.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Device {
    /// The provider's id of it, which may change from day to day; a device without one cannot be controlled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name, as the person gave it.
    pub name: String,
    /// Such as `computer`, `smartphone`, `speaker`.
    pub kind: String,
    /// Whether it is the one that plays or played last.
    pub active: bool,
    /// Whether it takes no commands.
    pub restricted: bool,
    /// From 0 to 100, where it has a volume that can be set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_percent: Option<u32>,
}

/// What plays now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Playback {
    /// Whether it plays; else it is paused.
    pub playing: bool,
    /// The track, unless it is something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track: Option<Track>,
    /// How far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_ms: Option<u64>,
    /// Where it plays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// The album, artist or playlist that it plays from, as a reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Whether it plays in random order.
    pub shuffle: bool,
    /// What is played again: `off`, `track` or `context`.
    #[schemars(with = "String")]
    pub repeat: RepeatMode,
}

/// A track that was played.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Played {
    /// The track.
    pub track: Track,
    /// When it ended or was left (RFC 3339).
    pub played_at: String,
    /// What it was played from, as a reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}
