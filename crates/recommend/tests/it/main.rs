//! The crate's tests through its front door.

mod answers;
mod bytes;
mod quality;
mod training;
mod world;
