//! Sealed sessions: what is altered or moved does not open, loading is quick, a refresh loses nothing.

mod envelope;
mod load;
mod places;
mod refresh;
