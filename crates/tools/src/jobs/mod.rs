//! Work that outlives its call: what a job is, how callers see it, wait for it and cancel it, and how a replica runs
//! one. Which jobs are due is the worker's to find out; what a kind of job does is in a module of its own (`transfer`).

mod following;
mod hub;
mod output;
pub(crate) mod owned;
mod paper;
mod running;
mod shift;
mod view;
mod waiting;

pub(crate) use following::CancelUnlessTold;
pub use hub::Jobs;
pub(crate) use output::{Excerpt, JobOutput};
pub(crate) use paper::{Paper, failure_in};
pub(crate) use shift::{Halt, Rest, Shift, Stand};
pub use view::{JobKind, JobState, JobView, Progress};
pub(crate) use waiting::answer_within_call;
