//! One play: what is kept of it, how it is sealed, and the hashes by which equal ones are found.

use chrono::{DateTime, Utc};
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};
use stagedoor_crypto::{DataKey, SealContext};
use stagedoor_domain::{Entropy, LinkedAccountId, Provider, TenantContext};
use uuid::Uuid;

use super::place;
use crate::error::StoreError;
use crate::keys::KeyVault;

const COLUMN: (&str, &str) = ("listening_history", "play");
const REVISION: i64 = 1;

/// A track in the words of one play.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlayedTrack {
    /// Such as `spotify:track:11dFghVXANMlKmJXsNCbNl`; unknown in the short form of Spotify's data download.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<String>,
    /// Title.
    pub title: String,
    /// Names of the artists, main one first.
    pub artists: Vec<String>,
    /// Title of the album, where known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub album: Option<String>,
    /// Length of the track in milliseconds, where known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duration_ms: Option<u32>,
    /// How long it was listened to in milliseconds, where the source tells.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ms_played: Option<u32>,
    /// Whether it was skipped, where the source tells.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub skipped: Option<bool>,
    /// The list that it was played from, such as `spotify:playlist:37i9dQZF1DXcBWIGoYBM5M`, where known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub context: Option<String>,
}

/// Where a play is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaySource {
    /// The service's list of what was played recently.
    Poll,
    /// A data download.
    Import,
    /// Both tell of it.
    Both,
}

/// Where a play that is to be recorded comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The service's list, exact to the millisecond.
    Poll,
    /// A data download with times to the second.
    ImportBySecond,
    /// A data download with times to the minute.
    ImportByMinute,
}

/// A play to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPlay {
    /// When it ended or was left, as the source tells.
    pub played_at: DateTime<Utc>,
    /// What was played.
    pub track: PlayedTrack,
}

/// A play as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPlay {
    /// Its id.
    pub id: Uuid,
    /// The account that it was played with.
    pub account: LinkedAccountId,
    /// Where it was played.
    pub provider: Provider,
    /// When it ended or was left, to the millisecond.
    pub played_at: DateTime<Utc>,
    /// Where it is known from.
    pub source: PlaySource,
    /// What was played.
    pub track: PlayedTrack,
}

impl PlaySource {
    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Import => "import",
            Self::Both => "both",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, StoreError> {
        match text {
            "poll" => Ok(Self::Poll),
            "import" => Ok(Self::Import),
            "both" => Ok(Self::Both),
            other => Err(StoreError::not_understood("listening_history.source", other)),
        }
    }
}

/// The two hashes of a track under its person's key: of its reference, or of its names where it has none; and of its
/// names. A service tells of one recording by different references, as what it offers differs from market to market.
pub(super) fn digests(key: &DataKey, track: &PlayedTrack) -> ([u8; 32], [u8; 32]) {
    let first = track.artists.first().map_or("", String::as_str);
    let names = format!("names\n{}\n{}", track.title.trim().to_lowercase(), first.trim().to_lowercase());
    let hash = |text: &str| key.blind_index("listening_history.track", text.as_bytes());
    let of_names = hash(&names);
    let of_track = track.reference.as_ref().map_or(of_names, |reference| hash(&format!("ref\n{reference}")));
    (of_track, of_names)
}

pub(super) fn seal(
    key: &DataKey,
    context: &TenantContext,
    entropy: &dyn Entropy,
    (id, track): (Uuid, &PlayedTrack),
) -> Vec<u8> {
    let bytes = Zeroizing::new(serde_json::to_vec(track).expect("a track is plain data"));
    key.seal(&seal_context(context, id), &bytes, entropy)
}

pub(super) async fn open(
    vault: &KeyVault,
    context: &TenantContext,
    id: Uuid,
    sealed: &[u8],
) -> Result<PlayedTrack, StoreError> {
    let opened = vault.open(context, &seal_context(context, id), sealed, "a play").await?;
    serde_json::from_slice(&opened)
        .map_err(|_| StoreError::not_understood("listening_history.play", "something else than a play"))
}

fn seal_context(context: &TenantContext, id: Uuid) -> SealContext {
    place(context, COLUMN, id, REVISION)
}
