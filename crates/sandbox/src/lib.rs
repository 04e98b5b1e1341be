//! A stateful stand-in for Spotify's Web API and Tidal's API v2 over an invented catalogue: real HTTP on
//! loopback, tokens that expire and rotate, faults on script. For `stagedoor demo` and tests, never for production.
//!
//! One listener serves `/spotify/v1`, `/spotify/accounts/authorize` and `/spotify/accounts/api/token`; `/tidal/v2`,
//! `/tidal/login/authorize` and `/tidal/auth/v1/oauth2/{token,revoke}`; and the controls under `/_sandbox`.

mod authorize;
mod catalogue;
mod config;
mod control;
mod exchange;
mod faults;
mod gate;
mod journal;
mod library;
mod model;
mod player;
mod playlist;
mod quota;
mod record;
mod revocation;
mod sample;
mod sandbox;
mod scene;
mod server;
mod snapshot;
mod spotify;
mod text;
mod tidal;
mod token_endpoint;
mod tokens;

pub use authorize::{AuthorizeRefusal, RedirectUriError};
pub use config::{RefreshRotation, SandboxConfig, SystemEntropy};
pub use faults::{Effect, FaultId, FaultRule, Faults, Stage};
pub use journal::LoggedRequest;
pub use model::{AppMode, Plan};
pub use player::Device;
pub use playlist::Other;
pub use quota::{RequestQuota, Traffic};
pub use sample::{CatalogueView, SampleTrack};
pub use sandbox::Sandbox;
pub use server::serve;
pub use tokens::Grant;
