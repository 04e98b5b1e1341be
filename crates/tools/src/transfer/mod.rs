//! Bringing a playlist to another service or account: a job that reads it, finds each track over there, asks about
//! those that may be several, and writes what was found. `matching` with what it rests on
//! (`likeness`, `names`, `titles`, `versions`, `folding`) and `batch` only think.

mod batch;
mod beginning;
mod deciding;
mod document;
mod doubts;
mod finding;
mod folding;
mod likeness;
mod matching;
mod names;
mod report;
mod titles;
mod versions;
mod work;
mod writing;

pub(crate) use beginning::{TransferArguments, call};
pub(crate) use finding::{Looked, Who, look_for};
pub(crate) use report::{Report, report};
pub(crate) use work::run;
