//! The sandbox, driven over HTTP: tokens, both APIs, faults, persistence, and its answers against the contracts.
// Clippy takes helpers for test code only below `cfg(test)`, which always holds here.

#[cfg(test)]
mod authorize;
#[cfg(test)]
mod common;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod library;
#[cfg(test)]
mod player;
#[cfg(test)]
mod record;
#[cfg(test)]
mod scopes;
#[cfg(test)]
mod spotify;
#[cfg(test)]
mod state;
#[cfg(test)]
mod tidal;
#[cfg(test)]
mod tokens;
