//! Who asked for a link, and whether they may still have it finished. Read from the database: what is remembered of a
//! credential may be older than its end.

use chrono::{DateTime, Utc};
use stagedoor_domain::{ApiKeyId, PrincipalKind};
use stagedoor_storage::link_attempts::{self, ADMIN_LABEL, ADMIN_TOKEN_LABEL, LinkAttempt};
use stagedoor_storage::{StoreError, TenantTransaction, api_keys, issuers};

/// Whoever asked for a link and may still have it.
#[derive(Debug)]
pub(super) struct Asker {
    /// What people are told it is called: a key's name, or the address of a token's issuer; `None` for an
    /// admin.
    pub(super) name: Option<String>,
}

/// Who asked for a link; `None` if a key was revoked or has ended meanwhile, an issuer is accepted no more, or either has
/// nothing to do with the person.
pub(super) async fn asker(
    tx: &mut TenantTransaction,
    attempt: &LinkAttempt,
    now: DateTime<Utc>,
) -> Result<Option<Asker>, StoreError> {
    if let Some(id) = key_of(&attempt.principal) {
        let key = api_keys::get(tx, &id).await?;
        let valid = key.filter(|key| key.is_valid_at(now) && key.user == Some(attempt.user));
        return Ok(valid.map(|key| Asker { name: Some(key.name) }));
    }
    // A token ends within minutes, and is renewed without anyone noticing: what counts is whether its issuer may still
    // speak for the person.
    if let Some((issuer, user)) = PrincipalKind::token_of_label(&attempt.principal) {
        if user != attempt.user {
            return Ok(None);
        }
        let accepted = issuers::accepted(tx, issuer, user).await?;
        return Ok(accepted.map(|issuer| Asker { name: Some(issuer.url) }));
    }
    if attempt.principal.starts_with(ADMIN_LABEL) {
        let admin = link_attempts::asking_admin(tx, attempt.id).await?;
        return Ok(admin.filter(|admin| admin.may_link_at(now)).map(|_| Asker { name: None }));
    }
    // What an admin's token said is not told again after its end: the link's own few minutes are the bound.
    if attempt.principal.starts_with(ADMIN_TOKEN_LABEL) {
        return Ok(Some(Asker { name: None }));
    }
    Ok(None)
}

/// The id of the key whose label that is.
fn key_of(label: &str) -> Option<ApiKeyId> {
    label.strip_prefix("key:")?.parse().ok()
}
