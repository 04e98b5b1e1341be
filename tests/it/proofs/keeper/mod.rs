//! The keeper: exact when it removes, one at a time, resumed when it was killed.

mod backup;
mod backup_tampering;
mod restore;
mod retention;
mod rotation;
