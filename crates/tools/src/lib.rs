//! The use-cases: one file per tool family, and `dispatch`, which every call goes through. No HTTP and no
//! MCP here: a call comes in as a tool's name and JSON arguments and leaves as JSON or a `PublicError`.
#![warn(missing_docs)]

mod access;
mod accounts;
mod arguments;
mod beside;
mod counts;
mod cursor;
pub mod descriptors;
mod desk;
mod devices;
mod dispatch;
mod exchange;
mod fingerprint;
mod flights;
mod foresight;
pub mod import;
mod items;
mod linking;
mod lost_answers;
mod opening;
mod origin;
mod paging;
mod passing;
mod personal;
mod playlist_reads;
mod playlist_writes;
mod preferences;
mod records;
mod refresh;
mod request_state;
mod resolve;
mod reuse;
mod schema;
mod search;
mod sessions;
mod settling;
mod trail;
mod usage;

pub use beside::{Beside, BesideCounts, BesideOptions};
pub use counts::{RefreshOutcome, SessionCounts};
pub use desk::{Desk, DeskOptions, Render};
pub use dispatch::{Call, Dispatcher, Interaction, Outcome, UrlQuestion};
pub use linking::tool::limit_class;
pub use linking::{
    Completion, Consent, Departure, LinkedPage, Linking, LinkingOptions, ProviderAnswer, WantedScope,
};
pub use refresh::Spawn;
pub use sessions::SessionsInUse;
