//! The audit trail: tampering is found and placed, a crash loses no acknowledged change, nothing happens that cannot be
//! recorded, and how much a million calls take.

mod edits;
mod files;
mod forged;
mod forging;
mod growth;
mod kills;
mod outage;
mod stored;
mod trails;
