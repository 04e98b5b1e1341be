//! Every column of every tenant table that holds sealed bytes, and why the other ones with bytes hold none. A test compares
//! this with the database's catalogue.

/// A column of sealed values.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The table that the seals are bound to, where that is another: a copy keeps its seal.
    pub(super) bound_to: &'static str,
    /// Values at a time: few where one can be big.
    pub(super) page: i64,
    /// Whether a rotation leaves them under the old key, which then opens until they are gone. They go with time.
    pub ages_out: bool,
}

/// All of them.
pub const PLACES: &[Place] = &[
    of("provider_apps", "client_secret"),
    of("signing_keys", "private_key"),
    of("provider_sessions", "access_token"),
    of("provider_sessions", "refresh_token"),
    Place { bound_to: "provider_sessions", ..of("session_quarantine", "access_token") },
    Place { bound_to: "provider_sessions", ..of("session_quarantine", "refresh_token") },
    of("link_attempts", "verifier"),
    of("preferences", "document"),
    of("consents", "proof"),
    of("playlist_versions", "head"),
    of("playlist_chunks", "entries"),
    Place { page: 500, ..of("listening_history", "play") },
    Place { page: 4, ..of("listening_rollups", "heard") },
    Place { page: 4, ..of("listening_rollups", "plays") },
    Place { page: 4, ..of("listening_rollups", "names") },
    Place { page: 8, ..of("idempotency_keys", "note") },
    Place { page: 8, ..of("idempotency_keys", "answer") },
    of("jobs", "message"),
    Place { page: 4, ..of("jobs", "document") },
    Place { page: 2, ..of("job_parts", "content") },
    Place { ages_out: true, ..of("audit_payloads", "sealed") },
];

/// The other columns of bytes, each with the reason, without a full stop.
pub const NOT_SEALED: &[(&str, &str, &str)] = &[
    ("data_keys", "wrapped_key", "a key under the one above it: wrapped anew, not sealed anew"),
    ("data_keys", "indexes", "sealed under the key that its own row holds, and gone with it"),
    ("signing_keys", "public_key", "public"),
    ("api_keys", "digest", "a digest under a pepper"),
    ("link_attempts", "page_hash", "a hash"),
    ("link_attempts", "state_hash", "a hash"),
    ("link_attempts", "browser_hash", "a hash"),
    ("link_attempts", "device", "a blind index"),
    ("session_devices", "fingerprint", "a blind index"),
    ("session_imports", "source_digest", "a blind index"),
    ("playlist_versions", "fingerprint", "a blind index"),
    ("listening_history", "track_digest", "a blind index"),
    ("listening_history", "names_digest", "a blind index"),
    ("listening_imports", "source_digest", "a blind index"),
    ("idempotency_keys", "key_digest", "a hash"),
    ("idempotency_keys", "request_digest", "a hash"),
    ("shared_queue_changes", "key_digest", "a hash"),
    ("shared_queue_changes", "request_digest", "a hash"),
    ("shared_queue_commits", "key_digest", "a hash"),
    ("shared_queue_commits", "request_digest", "a hash"),
    ("privacy_requests", "page_hash", "a hash"),
    ("privacy_requests", "subject_digest", "a hash"),
    ("erasure_tombstones", "subject_digest", "a hash"),
    ("audit_records", "previous_hash", "a hash of the chain"),
    ("audit_records", "hash", "a hash of the chain"),
    ("audit_records", "commitment", "a hash of what is sealed beside it"),
    ("audit_chain_heads", "hash", "a hash of the chain"),
    ("audit_checkpoint_heads", "digest", "a hash of a checkpoint"),
    ("audit_checkpoints", "hash", "a hash of the chain"),
    ("audit_checkpoints", "signature", "a signature"),
    ("audit_checkpoints", "previous_digest", "a hash of a checkpoint"),
    ("admin_creates", "request_digest", "a hash"),
    ("admin_creates", "body_digest", "a hash"),
    ("usage_minutes", "latency", "how long calls took, of nobody in particular"),
    ("usage_rollups", "latency", "how long calls took, of nobody in particular"),
];

const fn of(table: &'static str, column: &'static str) -> Place {
    Place { table, column, bound_to: table, page: 50, ages_out: false }
}

impl Place {
    /// `table.column`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.table, self.column)
    }
}
