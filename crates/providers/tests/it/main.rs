//! The providers over real HTTP: a scripted server for what happens on the wire, the sandbox for both APIs, and the
//! published contracts for what is sent.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops, helpers included")]

mod both;
mod broker;
mod contract;
mod every;
mod failures;
mod fixture;
mod linking;
mod scripted;
mod spotify;
mod spotify_contents;
mod spotify_edits;
mod spotify_library;
mod spotify_player;
mod tidal;
mod tidal_contents;
mod tidal_edits;
mod tidal_library;
mod waits;
mod wire;
