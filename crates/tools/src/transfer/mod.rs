//! Bringing a playlist to another service or account: a job that reads it, finds each track over there, asks about
//! those that may be several, and writes what was found. `matching`, `likeness`, `titles` and `batch` only
//! think.

mod batch;
mod beginning;
mod deciding;
mod document;
mod finding;
mod likeness;
mod matching;
mod report;
mod titles;
mod work;
mod writing;

pub(crate) use beginning::{TransferArguments, call};
pub(crate) use report::{Report, report};
pub(crate) use work::run;
