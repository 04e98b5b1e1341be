//! `profile`: who a linked account is at its service.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_cache::DataScope;
use stagedoor_domain::{Provider, TenantContext, ToolName};

use crate::desk::Desk;
use crate::origin::Origin;
use crate::passing::InPassing;
use crate::reuse::{Produced, Question, personal_key};

/// Whose profile.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileArguments {
    provider: Option<Provider>,
    account: Option<String>,
}

/// Who it is.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProfileOutput {
    provider: Provider,
    /// The account, as other tools take it.
    account: String,
    /// The account's id at the service.
    id: String,
    /// The name that the person is shown by there.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The market (ISO 3166-1 alpha-2), where the grant lets it be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    /// When the provider said so (RFC 3339).
    cached_at: String,
}

impl InPassing for ProfileOutput {}

pub(crate) async fn get(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: ProfileArguments,
) -> Produced {
    let account = desk.account(ctx, origin, arguments.provider, arguments.account.as_deref()).await?;
    let (tool, id) = (ToolName::Profile, account.id.to_string());
    let key = &personal_key(ctx, (tool, DataScope::Account), &account, &id)?;
    desk.cached(ctx, origin, Question { tool, key, country: None }, || async {
        let found = desk
            .personal(ctx, origin, &account, |music, access| async move {
                music.profile(ctx, &access.borrow()).await
            })
            .await?;
        Ok(ProfileOutput {
            provider: account.provider,
            account: id.clone(),
            id: found.account_id,
            name: found.name,
            country: found.country,
            cached_at: desk.now_text(),
        })
    })
    .await
}
