//! Roll-ups and what is calculated of them, from outside the crate.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod damage;
mod exactness;
mod figures;
mod pictures;
mod population;
mod rollups;
