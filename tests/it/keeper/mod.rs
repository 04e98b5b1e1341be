//! The keeper's jobs: in this process by a clock that stands still, and as the program that a `CronJob` runs.

mod alerts;
pub(crate) mod backup;
mod doctor;
pub(crate) mod frame;
mod key_encryption;
mod records;
mod replicas;
pub(crate) mod restore;
mod retention;
pub(crate) mod rotation;
