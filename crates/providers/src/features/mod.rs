//! What a music service can do besides what every one does: a trait for each area. A method that a service lacks keeps
//! its default, which says so.

mod discovery;
mod edits;
mod library;
mod player;

pub use discovery::Discovery;
pub use edits::{Contents, Edit, Edited, Entry, PlaylistChange, PlaylistEdits};
pub use library::{Library, TopRange};
pub use player::{PlaybackCommand, Player};

use stagedoor_domain::Provider;

use crate::error::ProviderError;

/// The error of a feature that the provider does not have; `what` is the rest of a sentence.
fn lacks<T>(provider: Provider, what: &str) -> Result<T, ProviderError> {
    Err(ProviderError::UnsupportedByProvider { provider, what: what.to_owned() })
}
