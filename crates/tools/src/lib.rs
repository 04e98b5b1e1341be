//! The use-cases: one file per tool family, and `dispatch`, which every call goes through. No HTTP and no
//! MCP here: a call comes in as a tool's name and JSON arguments and leaves as JSON or a `PublicError`.
#![warn(missing_docs)]

mod access;
mod accounts;
mod arguments;
mod audit_query;
mod beside;
mod consents;
mod counted;
mod counts;
mod cursor;
pub mod descriptors;
mod desk;
mod devices;
mod discovery;
mod dispatch;
mod exchange;
mod fingerprint;
mod flights;
mod foresight;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod gates;
mod history;
pub mod import;
mod insights;
mod items;
mod jobs;
mod library;
mod linking;
mod listening;
mod lists;
mod lookups;
mod lost_answers;
mod mixes;
mod opening;
mod origin;
mod paging;
mod passing;
mod personal;
mod playback;
mod playlists;
mod polling;
mod preferences;
mod preferred;
mod privacy;
mod profile;
mod queues;
mod records;
mod references;
mod refresh;
mod request_state;
mod resolve;
mod reuse;
mod schema;
mod search;
mod search_all;
mod sessions;
mod settling;
mod trail;
mod transfer;
mod usage;
mod wishes;

pub use audit_query::describe as audit_search;
pub use beside::{Beside, BesideCounts, BesideOptions};
pub use counts::{RefreshOutcome, SessionCounts};
pub use desk::{Desk, DeskOptions, Illustrate, Render};
pub use dispatch::{Call, Dispatcher, Interaction, Outcome, UrlQuestion};
pub use history::{HistoryImport, HistoryImportError, HistoryImporter};
pub use insights::{RollUpError, RolledUp, roll_up_stale};
pub use jobs::{JobKind, JobState, JobView, Jobs, Progress};
pub use linking::tool::limit_class;
pub use linking::{
    Completion, Consent, Departure, LinkOffer, LinkedPage, Linking, LinkingOptions, ProviderAnswer,
    UnlinkedAccount, WantedScope,
};
pub use polling::Polled;
pub use privacy::{
    ErasureSeen, Holding, PersonalData, Privacy, PrivacyKind, PrivacyOffer, PrivacyOffered, PrivacyOptions,
    PrivacyPage, offer_privacy_page,
};
pub use refresh::Spawn;
pub use sessions::SessionsInUse;
