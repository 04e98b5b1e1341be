//! The use-cases: one file per tool family, and `dispatch`, which every call goes through. No HTTP and no
//! MCP here: a call comes in as a tool's name and JSON arguments and leaves as JSON or a `PublicError`.
#![warn(missing_docs)]

mod access;
mod accounts;
mod arguments;
mod cursor;
pub mod descriptors;
mod desk;
mod dispatch;
mod items;
mod playlist_reads;
mod playlist_writes;
mod records;
mod refresh;
mod resolve;
mod schema;
mod search;
mod usage;

pub use desk::{Desk, DeskOptions};
pub use dispatch::{Call, Dispatcher, Outcome};
pub use refresh::Spawn;
