//! What is done beside the gateway, on a schedule or by hand: a frame that every job runs in, and the jobs. `main` is
//! the command line over it.

pub mod exit;
mod figures;
pub mod jobs;
mod keeper;
mod music;
pub mod progress;
mod run;
mod tenancy;

pub use jobs::{Job, JobError};
pub use keeper::Keeper;
pub use run::{Answer, Ended, Ending, Run, RunOptions};
