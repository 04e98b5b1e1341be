//! The tables themselves, those about people in the order in which they are erased: what hangs on another row goes
//! before it.

use super::Erased::{Emptied, InBatches, WithTheKey};
use super::Holds::{Kept, NoPerson, People};
use super::{Erased, Holds, Personal, Table};

const TOKEN: &str = "a secret of the service that the account is at; with it anyone could act as the person";
const LINK_SECRET: &str = "a secret of the link's page, of no meaning once the link is over";
const INDEX: &str = "a keyed hash of contents that the copy contains, by which equal ones are found";
const SKETCH: &str = "how long the calls took, in a form that only programs read";
const SUMS: &str = "sums of the plays that the copy contains, in a form that only programs read";
const DEVICE: &str = "a keyed hash that only this gateway can compare, and that nothing can be read from";

/// Every table of the database but the migrations' own list and the partitions.
pub const TABLES: &[Table] = &[
    // About people, in the order of erasure.
    table(
        "listening_history",
        "What you listened to, play by play",
        people(InBatches, &["play"], &[("track_digest", INDEX), ("names_digest", INDEX)]),
    ),
    table(
        "listening_gaps",
        "Times of which what you listened to may be missing",
        people(InBatches, &[], &[]),
    ),
    table(
        "listening_cursors",
        "When the services were last asked what you listened to",
        people(InBatches, &[], &[]),
    ),
    table(
        "listening_imports",
        "Data downloads of what you listened to that were imported",
        people(InBatches, &[], &[("source_digest", "a keyed hash of the file that was imported")]),
    ),
    table(
        "listening_rollups",
        "For which months sums of what you listened to are kept",
        people(InBatches, &[], &[("heard", SUMS), ("plays", SUMS), ("names", SUMS)]),
    ),
    table(
        "playlist_chunks",
        "The entries of your playlists, as the gateway has seen them",
        people(InBatches, &["entries"], &[]),
    ),
    table(
        "playlist_versions",
        "Earlier versions of your playlists",
        people(InBatches, &["head"], &[("fingerprint", INDEX)]),
    ),
    table("job_parts", "Contents of long-running work", people(InBatches, &["content"], &[])),
    table(
        "jobs",
        "Long-running work that was begun for you",
        people(InBatches, &["message", "document"], &[]),
    ),
    table(
        "idempotency_keys",
        "Changes that were made for you with a key against doing them twice, and what they answered",
        people(
            InBatches,
            &["note", "answer"],
            &[
                ("key_digest", "a hash of the key that the agent chose"),
                ("request_digest", "a hash of the call's arguments"),
            ],
        ),
    ),
    table(
        "shared_queue_commits",
        "Shared queues that were brought to your playlists or player within a day",
        people(
            InBatches,
            &[],
            &[
                ("key_digest", "a hash of the key that the agent chose"),
                ("request_digest", "a hash of the call's arguments"),
            ],
        ),
    ),
    table("shared_queue_votes", "Your votes in shared queues", people(InBatches, &[], &[])),
    table("shared_queue_items", "What you put into shared queues", people(Emptied, &[], &[])),
    table(
        "shared_queue_changes",
        "Your changes of shared queues",
        people(
            Emptied,
            &[],
            &[
                ("key_digest", "a hash of the key that the agent chose"),
                ("request_digest", "a hash of the call's arguments"),
            ],
        ),
    ),
    table("shared_queue_members", "The shared queues that you are in", people(InBatches, &[], &[])),
    table(
        "limit_violations",
        "Calls that were refused because there were too many",
        people(InBatches, &[], &[]),
    ),
    table(
        "usage_minutes",
        "How often your agents called which tools, by the minute",
        people(InBatches, &[], &[("latency", SKETCH)]),
    ),
    table(
        "usage_rollups",
        "The same by the hour and by the day",
        people(InBatches, &[], &[("latency", SKETCH)]),
    ),
    table(
        "provider_sessions",
        "The grants that you gave for your linked accounts",
        people(InBatches, &[], &[("access_token", TOKEN), ("refresh_token", TOKEN)]),
    ),
    table(
        "session_quarantine",
        "Grants that were set aside because they could not be opened",
        people(InBatches, &[], &[("access_token", TOKEN), ("refresh_token", TOKEN)]),
    ),
    table(
        "session_devices",
        "Devices that have used your linked accounts",
        people(InBatches, &[], &[("fingerprint", DEVICE)]),
    ),
    table(
        "session_imports",
        "Grants that were imported from other programs",
        people(InBatches, &[], &[("source_digest", "a keyed hash of the tokens that were imported")]),
    ),
    table(
        "link_attempts",
        "Your tries to link an account",
        people(
            InBatches,
            &[],
            &[
                ("page_hash", LINK_SECRET),
                ("state_hash", LINK_SECRET),
                ("browser_hash", LINK_SECRET),
                ("verifier", LINK_SECRET),
                ("device", DEVICE),
            ],
        ),
    ),
    table("preferences", "What you prefer", people(InBatches, &["document"], &[])),
    table("consents", "What you have consented to, with the proofs", people(InBatches, &["proof"], &[])),
    table("linked_accounts", "Your linked accounts", people(InBatches, &[], &[])),
    table(
        "api_keys",
        "The keys that act for you",
        people(
            InBatches,
            &[],
            &[
                ("digest", "what a presented key is checked against"),
                ("pepper_version", "part of what a presented key is checked against"),
                ("changed_in", "the number that the database gave to a change, which says nothing"),
                ("created_by", "the name of whoever of the operator's people made the key"),
            ],
        ),
    ),
    table("audit_payloads", "The audit trail of what was done for you", people(Emptied, &["sealed"], &[])),
    table(
        "privacy_requests",
        "Your requests for a copy or for erasure",
        people(
            InBatches,
            &[],
            &[
                ("page_hash", "the hash of the secret in the address of the request's page"),
                ("subject_digest", "a digest of the person's id, which the copy contains"),
            ],
        ),
    ),
    table(
        "data_keys",
        "The keys that your data is sealed with",
        people(
            WithTheKey,
            &[],
            &[
                ("wrapped_key", "a key; what it seals is in the copy, opened"),
                ("indexes", "keys of codes by which equal contents are found"),
            ],
        ),
    ),
    table("users", "You, as this service knows you", people(WithTheKey, &[], &[])),
    // Kept.
    table(
        "audit_records",
        "The chain of the audit trail",
        Kept(
            "hashes, times and random numbers, which prove that the trail was not altered; what they stand for is erased",
        ),
    ),
    table(
        "audit_chain_heads",
        "The ends of the audit trail's chains",
        Kept("one hash for each tenant and day"),
    ),
    table(
        "audit_checkpoint_heads",
        "The end of the line of signatures of the audit trail",
        Kept("one hash and two counts for each tenant"),
    ),
    table("audit_checkpoints", "Signatures of the audit trail", Kept("signatures of hashes")),
    table(
        "erasure_tombstones",
        "That someone was erased",
        Kept("a digest of random numbers and a time, so that a restored backup is erased again"),
    ),
    // About no person.
    table("tenants", "Tenants", NoPerson("a tenant's name and settings")),
    table(
        "shared_queues",
        "Queues that people of the tenant share",
        NoPerson("names and versions of queues; who is in them is in tables of its own"),
    ),
    table(
        "provider_apps",
        "The tenant's clients at the services",
        NoPerson("a tenant's own clients and their secrets"),
    ),
    table(
        "issuers",
        "Whose tokens the tenant accepts",
        NoPerson("addresses of issuers, and what their tokens may do"),
    ),
    table(
        "key_encryption_keys",
        "Since when each key-encryption key is used",
        NoPerson("ids and times of keys"),
    ),
    table(
        "admin_keys",
        "The keys of operators, tenant admins and auditors",
        NoPerson("keys of those who run the service, by names that they chose for the keys"),
    ),
    table(
        "admin_creates",
        "What the admin API was asked to make within a day",
        NoPerson("digests of requests, against making something twice"),
    ),
    table("replicas", "The gateway's processes", NoPerson("machines, versions and ids of keys")),
    table("signing_keys", "The keys that a tenant signs with", NoPerson("a tenant's own keys")),
    table("backups", "The catalogue of backups", NoPerson("times, counts and ids of keys")),
    table("key_rotations", "Rotations of keys", NoPerson("how far they are, and counts")),
    table("metric_rollups", "The tenant's figures", NoPerson("how much there was of what, a day or a month")),
    table(
        "keeper_runs",
        "Runs of the maintenance jobs",
        NoPerson("counts and times of jobs over all tenants"),
    ),
    table("storage_version", "The version of what is stored", NoPerson("one row for the whole installation")),
];

const fn table(name: &'static str, title: &'static str, holds: Holds) -> Table {
    Table { name, title, holds }
}

const fn people(
    erased: Erased,
    opened: &'static [&'static str],
    withheld: &'static [(&'static str, &'static str)],
) -> Holds {
    People(Personal { erased, opened, withheld })
}
