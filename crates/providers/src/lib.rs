//! What Stagedoor knows of music services: the `MusicProvider` trait, the one HTTP client, Spotify and Tidal.
//! Nothing here stores tokens, caches answers or counts quotas of ours; callers hand in an open token.
#![warn(missing_docs)]

mod account;
mod answer;
mod authorization;
mod broker;
mod call;
mod error;
mod exchange;
mod features;
mod http;
mod oauth;
mod observer;
mod provider;
mod public;
mod retry;
mod spotify;
mod text;
mod tidal;
mod types;

pub use account::{Profile, Revocation, grant_end};
pub use authorization::AuthorizationRequest;
pub use broker::{BrokerCounters, BrokerOptions, Endpoint, QuotaKey, SharedPauses, Standing};
pub use error::{ForbiddenReason, MalformedAnswer, ProviderError, TransportError};
pub use features::{
    Contents, Discovery, Edit, Edited, Entry, Library, PlaybackCommand, Player, PlaylistChange,
    PlaylistEdits, TopRange,
};
pub use http::{HttpOptions, HttpSetupError, ProviderHttp};
pub use observer::{AttemptOutcome, Observer};
pub use provider::{MusicProvider, Providers};
pub use types::{
    Access, Deadline, NewPlaylist, ProviderApp, SearchQuery, SearchResults, Sent, Skipped, SpotifyMode,
    TokenGrant, Urgency,
};
