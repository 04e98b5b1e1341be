//! The receipt of a deletion: signed lines (`stagedoor/erasure-receipt/1`) that say what was deleted, and nothing of whom.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use stagedoor_crypto::signed_lines::SignedLinesWriter;
use stagedoor_domain::{PublicError, TenantContext};
use stagedoor_storage::privacy_requests::PrivacyRequest;
use stagedoor_storage::signing_keys;

use super::revoking::Revocations;
use super::{Privacy, PrivacyKind, words};
use crate::desk::internal;
use crate::records::store_failure;

/// What the first line says that the file is.
const FORMAT: &str = "stagedoor/erasure-receipt/1";

impl Privacy {
    /// The receipt of a deletion of which only the receipt is left to do.
    pub(super) async fn sign_receipt(
        &self,
        ctx: &TenantContext,
        request: &PrivacyRequest,
        additions: Map<String, Value>,
    ) -> Result<String, PublicError> {
        let vault = self.desk.vault();
        let key = signing_keys::active(vault, ctx).await.map_err(|error| store_failure(&error))?;
        let rows: Map<String, Value> =
            request.rows().map(|(table, rows)| (table.to_owned(), rows.into())).collect();
        let header = json!({
            "format": FORMAT,
            "kind": request.kind.as_str(),
            "tenant": { "id": ctx.tenant_id().to_string() },
            "request": request.id.to_string(),
            "subject_digest": request.subject_digest.map(hex),
            "key": key.verifying_key().to_jwk(),
        });
        let mut done = Map::from_iter([
            ("requested_at".to_owned(), text(request.requested_at).into()),
            ("confirmed_at".to_owned(), request.verified_at.map(text).into()),
            ("deleted_by".to_owned(), text(self.desk.clock.now()).into()),
            ("rows".to_owned(), rows.into()),
            ("data_key".to_owned(), "destroyed".into()),
        ]);
        done.extend(additions);
        let kept = match request.kind {
            PrivacyKind::TenantErasure => words::kept_of_a_tenant(),
            PrivacyKind::Erasure | PrivacyKind::Export => words::kept(),
        };
        let mut lines = SignedLinesWriter::default();
        let mut receipt = Vec::new();
        for line in [header, json!({ "deleted": done }), json!({ "kept": kept })] {
            receipt.extend(lines.push(&line).map_err(|error| internal(&error))?);
        }
        receipt.extend(lines.finish(&key));
        String::from_utf8(receipt).map_err(|error| internal(&error))
    }
}

/// What became of the grants, for a receipt.
pub(super) fn grants(known: &Revocations) -> Result<Map<String, Value>, PublicError> {
    let tallies = serde_json::to_value(known.tallies()).map_err(|error| internal(&error))?;
    Ok(Map::from_iter([("grants".to_owned(), tallies)]))
}

fn hex(bytes: [u8; 32]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
