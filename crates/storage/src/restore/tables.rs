//! The tables whose rows come back from a backup: their keys, whose they are, and what is sealed in them. The database
//! has the same list in `restore_places`; a test compares them.

use serde_json::Value;
use stagedoor_crypto::SealContext;
use stagedoor_domain::TenantId;
use uuid::Uuid;

/// One table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub name: &'static str,
    /// The columns that name a row within the tenant.
    pub key: &'static [&'static str],
    /// Whose a row is.
    pub whose: Whose,
    pub(super) seals: &'static [Seal],
    /// Whether a row can be put in the place of another with its key.
    pub(super) replaceable: bool,
}

/// Whose the rows of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The person's in `user_id`; the tenant's where that is NULL.
    User,
    /// The person's that the account in `account_id` belongs to.
    Account,
    /// The tenant's.
    Tenant,
    /// The audit trail's, which is put back by days.
    Trail,
}

/// A sealed column, and what its seal is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) column: &'static str,
    /// The column that holds the row's id.
    row: &'static str,
    revision: Revision,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Revision {
    Column(&'static str),
    Always(i64),
}

/// Every table that comes back, parents before what refers to them.
pub const PLACES: &[Place] = &[
    place("tenants", &[], Whose::Tenant, &[]).replaceable(),
    place("users", &["user_id"], Whose::User, &[]).replaceable(),
    place("data_keys", &["key_id"], Whose::User, &[]),
    place("signing_keys", &["key_id"], Whose::Tenant, &[revised("private_key", "key_id")]),
    place("provider_apps", &["app_id"], Whose::Tenant, &[revised("client_secret", "app_id")]).replaceable(),
    // What it accepts was perhaps narrowed since.
    place("issuers", &["issuer_id"], Whose::Tenant, &[]),
    place("api_keys", &["key_id"], Whose::User, &[]).replaceable(),
    place("linked_accounts", &["account_id"], Whose::User, &[]).replaceable(),
    place(
        "provider_sessions",
        &["session_id"],
        Whose::Account,
        &[revised("access_token", "session_id"), revised("refresh_token", "session_id")],
    ),
    // Copies of what did not open: nobody expects them to.
    place("session_quarantine", &["quarantine_id"], Whose::Account, &[]),
    place("session_devices", &["account_id", "fingerprint"], Whose::Account, &[]),
    place("session_imports", &["source_digest"], Whose::User, &[]),
    place("preferences", &["user_id"], Whose::User, &[revised("document", "user_id")]).replaceable(),
    place("consents", &["consent_id"], Whose::User, &[fixed("proof", "consent_id", 1)]),
    place(
        "playlist_chunks",
        &["account_id", "playlist", "chunk_id"],
        Whose::Account,
        &[fixed("entries", "chunk_id", 1)],
    ),
    place(
        "playlist_versions",
        &["account_id", "playlist", "number"],
        Whose::User,
        &[Seal { column: "head", row: "version_id", revision: Revision::Column("number") }],
    ),
    place("shared_queues", &["queue_id"], Whose::Tenant, &[]),
    place("shared_queue_members", &["queue_id", "user_id"], Whose::User, &[]),
    // What someone put in who was erased since does not come back.
    place("shared_queue_items", &["queue_id", "item_id"], Whose::User, &[]),
    place("shared_queue_votes", &["queue_id", "item_id", "user_id"], Whose::User, &[]),
    place("shared_queue_changes", &["queue_id", "version"], Whose::User, &[]),
    place(
        "listening_history",
        &["account_id", "played_at", "track_digest"],
        Whose::User,
        &[fixed("play", "play_id", 1)],
    ),
    place("listening_gaps", &["account_id", "from_at"], Whose::User, &[]),
    place("privacy_requests", &["request_id"], Whose::Tenant, &[]),
    place("erasure_tombstones", &["subject_digest"], Whose::Tenant, &[]),
    place("audit_chain_heads", &["day"], Whose::Trail, &[]),
    place("audit_records", &["day", "seq"], Whose::Trail, &[]),
    place("audit_payloads", &["day", "bundle_id"], Whose::Trail, &[fixed("sealed", "bundle_id", 0)]),
    place("audit_checkpoint_heads", &[], Whose::Trail, &[]),
    place("audit_checkpoints", &["day", "seq"], Whose::Trail, &[]),
];

/// The table of that name, if its rows come back.
pub fn find(name: &str) -> Option<&'static Place> {
    PLACES.iter().find(|place| place.name == name)
}

const fn place(
    name: &'static str,
    key: &'static [&'static str],
    whose: Whose,
    seals: &'static [Seal],
) -> Place {
    Place { name, key, whose, seals, replaceable: false }
}

const fn revised(column: &'static str, row: &'static str) -> Seal {
    Seal { column, row, revision: Revision::Column("revision") }
}

const fn fixed(column: &'static str, row: &'static str, revision: i64) -> Seal {
    Seal { column, row, revision: Revision::Always(revision) }
}

impl Place {
    const fn replaceable(self) -> Self {
        Self { replaceable: true, ..self }
    }

    /// What names a row within its table, for whoever reads of it: `account_id=…, number=3`.
    pub fn name_of(&self, row: &Value) -> String {
        let name = |column: &&str| match &row[*column] {
            Value::String(text) => format!("{column}={text}"),
            other => format!("{column}={other}"),
        };
        self.key.iter().map(name).collect::<Vec<_>>().join(", ")
    }
}

impl Seal {
    /// What the value in `row` is bound to; `None` if the row lacks what it takes.
    pub(super) fn context(&self, tenant: TenantId, table: &'static str, row: &Value) -> Option<SealContext> {
        let revision = match self.revision {
            Revision::Column(column) => row[column].as_i64()?,
            Revision::Always(revision) => revision,
        };
        Some(SealContext { tenant, table, column: self.column, row: uuid(row, self.row)?, revision })
    }
}

pub(super) fn uuid(row: &Value, column: &str) -> Option<Uuid> {
    row[column].as_str()?.parse().ok()
}

/// The bytes of a `bytea` as `to_jsonb` writes them: `\x` and hexadecimal digits. `None` for another value.
pub fn bytes(value: &Value) -> Option<Vec<u8>> {
    let digits = value.as_str()?.strip_prefix("\\x")?.as_bytes();
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// The other way round.
pub(super) fn bytea(bytes: &[u8]) -> Value {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push_str("\\x");
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    Value::String(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bytes_are_read_as_the_database_writes_them() {
        for sample in [&b""[..], b"\x00", b"\x0a\xff\x7f"] {
            assert_eq!(bytes(&bytea(sample)).as_deref(), Some(sample));
        }
        assert_eq!(bytea(b"\x0a\xff"), json!("\\x0aff"));
        for wrong in [json!("\\x0"), json!("0aff"), json!("\\xzz"), json!(null), json!(7)] {
            assert_eq!(bytes(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_row_is_named_by_its_key_and_its_seal_bound_to_its_place() {
        let versions = find("playlist_versions").unwrap();
        let id = Uuid::from_u128(7);
        let row = json!({"account_id": "a", "playlist": "spotify:playlist:p", "number": 3, "version_id": id});
        assert_eq!(versions.name_of(&row), "account_id=a, playlist=spotify:playlist:p, number=3");
        let tenant = TenantId(Uuid::from_u128(1));
        let context = versions.seals[0].context(tenant, versions.name, &row).unwrap();
        assert_eq!((context.row, context.revision, context.column), (id, 3, "head"));
        assert_eq!(versions.seals[0].context(tenant, versions.name, &json!({"number": 3})), None);
        assert_eq!(find("jobs"), None);
    }
}
