//! Paging cursors: sealed under the tenant's key and bound to the tool and the query that they belong to.
//! A cursor of another tenant, tool or query does not open, and none can be made up.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use stagedoor_crypto::{DataKey, SealContext, digest};
use stagedoor_domain::{Entropy, ErrorCode, PublicError, TenantContext, TenantId, ToolName};
use uuid::Uuid;

use crate::desk::{Desk, internal};
use crate::origin::Origin;

/// How long a cursor can be used.
const LIFE: TimeDelta = TimeDelta::hours(24);

#[derive(Serialize, Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    page: std::borrow::Cow<'a, str>,
    expires_at: DateTime<Utc>,
}

/// A cursor for the provider's `page`.
pub(crate) async fn seal(
    desk: &Desk,
    ctx: &TenantContext,
    tool: ToolName,
    binding: &str,
    page: &str,
) -> Result<String, PublicError> {
    let key = desk.tenant_key(ctx).await?;
    sealed(&key, &context(ctx.tenant_id(), tool, binding), desk.clock.now(), page, desk.entropy.as_ref())
        .map_err(|error| internal(&error))
}

/// The provider's page behind a cursor.
pub(crate) async fn open(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    (tool, binding): (ToolName, &str),
    cursor: &str,
) -> Result<String, PublicError> {
    origin.pages_on(cursor);
    let key = desk.tenant_key_of(ctx, cursor).await?;
    opened(&key, &context(ctx.tenant_id(), tool, binding), desk.clock.now(), cursor)
}

/// The text of a cursor.
pub(crate) fn sealed(
    key: &DataKey,
    context: &SealContext,
    now: DateTime<Utc>,
    page: &str,
    entropy: &dyn Entropy,
) -> Result<String, serde_json::Error> {
    let plaintext = serde_json::to_vec(&Content { page: page.into(), expires_at: now + LIFE })?;
    Ok(URL_SAFE_NO_PAD.encode(key.seal(context, &plaintext, entropy)))
}

/// What the text of a cursor holds.
pub(crate) fn opened(
    key: &DataKey,
    context: &SealContext,
    now: DateTime<Utc>,
    cursor: &str,
) -> Result<String, PublicError> {
    let envelope = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid("was not given out here"))?;
    let plaintext = key
        .open(context, &envelope)
        .map_err(|_| invalid("was given out for another query, another tenant, or not by this server"))?;
    let content: Content<'_> =
        serde_json::from_slice(&plaintext).map_err(|_| invalid("is of a form that is no longer known"))?;
    if content.expires_at < now {
        return Err(invalid("is more than a day old"));
    }
    Ok(content.page.into_owned())
}

/// The place that a cursor is bound to.
pub(crate) fn context(tenant: TenantId, tool: ToolName, binding: &str) -> SealContext {
    let hash = digest::sha256(&[binding.as_bytes()]);
    let mut row = [0_u8; 16];
    row.copy_from_slice(&hash[..16]);
    SealContext { tenant, table: "cursor", column: tool.as_str(), row: Uuid::from_bytes(row), revision: 0 }
}

pub(crate) fn invalid(why: &str) -> PublicError {
    PublicError::new(ErrorCode::InvalidCursor, format!("The cursor {why}."))
        .hint("Call again without `cursor` to start from the first page.")
}
