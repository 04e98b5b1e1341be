//! Playlists: reading them, changing them safely, and what they were. `editing` is the one way of every change; the
//! modules that only plan (`difference`, `route`, `planning`, `heads`) do no I/O.

mod difference;
mod editing;
pub(crate) mod edits;
mod expected;
mod heads;
pub(crate) mod history;
pub(crate) mod long;
mod memory;
mod notice;
pub(crate) mod once;
mod output;
mod planning;
pub(crate) mod reads;
mod remembering;
mod revival;
mod route;
mod telling;
#[cfg(test)]
mod tests;
mod turns;
pub(crate) mod whole;
mod writing;

pub(crate) use memory::{Depth, Seen, Subject, look, names};
pub(crate) use output::EditOutput;
pub(crate) use turns::Turns;
pub(crate) use writing::{Unwritten, Written, append, create};
