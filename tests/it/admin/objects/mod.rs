//! What operators and tenant admins make and change: people, clients at the music services, keys, settings, links.

mod clients;
mod keys;
mod links;
mod people;
mod settings;

use serde_json::Value;

/// The text of a member.
fn text(answer: &Value, member: &str) -> String {
    answer[member].as_str().unwrap_or_else(|| panic!("{member}: {answer}")).to_owned()
}
