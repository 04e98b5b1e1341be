//! The promises in figures, by area: small in the suite, at full size by `just prove`.

mod audit;
mod cache;
mod keeper;
mod limits;
mod music;
mod operators;
mod privacy;
mod queues;
mod sessions;
