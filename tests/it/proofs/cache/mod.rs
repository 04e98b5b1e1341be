//! Cached answers: never wrong for their reader, fetched once, never poisoned, and how often there is one.

mod flights;
mod hit_ratio;
mod mix;
mod oracle;
mod poison;
mod trial;
