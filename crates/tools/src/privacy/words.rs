//! What people are told: what a copy does not have and why, what a deletion leaves and why.

use stagedoor_storage::personal_data;

/// What is not in a copy, in short; the copy itself says it column by column.
pub(super) const LEFT_OUT: &[&str] = &[
    "The access to your accounts at the music services (tokens), because whoever had the file could use it.",
    "Codes that are kept in place of a value and cannot be read back: of keys, page addresses, network addresses and programs.",
    "What is remembered for hours at most to answer faster; it is fetched anew from the music services.",
];

/// What a deletion leaves besides tables that say nothing about anyone.
const KEPT: [&str; 2] = [
    "That this deletion was asked for and done: a number of its own, times, how many of each kind, the receipt. It does not say whose it was.",
    "Backups that whoever runs this service made before: you are deleted again before one is used.",
];

/// What the deletion of a tenant leaves besides.
const KEPT_OF_A_TENANT: &str = "What its audit trail said of nobody: sealed under a key that is destroyed, until the service drops records of that age.";

/// What a deletion leaves, each a sentence.
pub(super) fn kept() -> Vec<String> {
    let tables = personal_data::kept().map(|(table, why)| format!("{}: {why}.", table.title));
    tables.chain(KEPT.into_iter().map(str::to_owned)).collect()
}

/// What the deletion of a tenant leaves, each a sentence.
pub(super) fn kept_of_a_tenant() -> Vec<String> {
    [kept(), vec![KEPT_OF_A_TENANT.to_owned()]].concat()
}
