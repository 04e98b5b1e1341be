//! Paging cursors: sealed under the tenant's key and bound to the tool and the query that they belong to.
//! A cursor of another tenant, tool or query does not open, and none can be made up.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use stagedoor_crypto::{SealContext, digest};
use stagedoor_domain::{ErrorCode, PublicError, TenantContext, ToolName};
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
    let content = Content { page: page.into(), expires_at: desk.clock.now() + LIFE };
    let plaintext = serde_json::to_vec(&content).map_err(|error| internal(&error))?;
    let key = desk.tenant_key(ctx).await?;
    let envelope = key.seal(&context(ctx, tool, binding), &plaintext, desk.entropy.as_ref());
    Ok(URL_SAFE_NO_PAD.encode(envelope))
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
    let envelope = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid("was not given out here"))?;
    let key = desk.tenant_key(ctx).await?;
    let plaintext = key
        .open(&context(ctx, tool, binding), &envelope)
        .map_err(|_| invalid("was given out for another query, another tenant, or not by this server"))?;
    let content: Content<'_> =
        serde_json::from_slice(&plaintext).map_err(|_| invalid("is of a form that is no longer known"))?;
    if content.expires_at < desk.clock.now() {
        return Err(invalid("is more than a day old"));
    }
    Ok(content.page.into_owned())
}

fn context(ctx: &TenantContext, tool: ToolName, binding: &str) -> SealContext {
    let hash = digest::sha256(&[binding.as_bytes()]);
    let mut row = [0_u8; 16];
    row.copy_from_slice(&hash[..16]);
    SealContext {
        tenant: ctx.tenant_id(),
        table: "cursor",
        column: tool.as_str(),
        row: Uuid::from_bytes(row),
        revision: 0,
    }
}

pub(crate) fn invalid(why: &str) -> PublicError {
    PublicError::new(ErrorCode::InvalidCursor, format!("The cursor {why}."))
        .hint("Call again without `cursor` to start from the first page.")
}
