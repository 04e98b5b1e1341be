//! `mixes_list` and `mix_items`: what a service puts together for a person.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_cache::DataScope;
use stagedoor_domain::music::{Mix, Page};
use stagedoor_domain::{EntityKind, Provider, TenantContext, ToolName};

use crate::arguments::{bounded, is_bare_id, item_at};
use crate::desk::Desk;
use crate::lists::{ListPage, Listing};
use crate::origin::Origin;
use crate::reuse::{Produced, Question, personal_key};

/// The service that has mixes, where a call names no account.
const SERVICE: Provider = Provider::Tidal;

/// Whose mixes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MixesArguments {
    account: Option<String>,
}

/// Which mix, and which part of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MixItemsArguments {
    /// `tidal:mix:ID`, from `mixes_list`.
    #[serde(rename = "ref")]
    reference: String,
    account: Option<String>,
    /// 1-100, default 50.
    limit: Option<u32>,
    cursor: Option<String>,
}

/// The mixes there are now.
pub(crate) type MixesOutput = ListPage<Mix>;

/// What an answer depends on.
#[derive(Serialize)]
struct Parameters<'a> {
    account: String,
    mix: Option<&'a str>,
    limit: u32,
    page: Option<&'a str>,
}

pub(crate) async fn list(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: MixesArguments,
) -> Produced {
    let id = arguments.account.as_deref();
    let account = desk.account(ctx, origin, id.is_none().then_some(SERVICE), id).await?;
    let tool = ToolName::MixesList;
    let parameters = Parameters { account: account.id.to_string(), mix: None, limit: 0, page: None };
    let key = &personal_key(ctx, (tool, DataScope::Account), &account, &parameters)?;
    let listing = Listing::open((desk, ctx), origin, (tool, String::new()), None).await?;
    desk.cached(ctx, origin, Question { tool, key, country: None }, || async {
        let found = desk
            .personal(ctx, origin, &account, |music, access| async move {
                music.mixes(ctx, &access.borrow()).await
            })
            .await?;
        listing.answer(account.provider, Page::last(found)).await
    })
    .await
}

pub(crate) async fn items(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: MixItemsArguments,
) -> Produced {
    let limit = bounded("limit", arguments.limit, 50, 100)?;
    let service = is_bare_id(arguments.reference.trim()).then_some(SERVICE);
    let mix = &item_at("ref", &arguments.reference, EntityKind::Mix, service)?;
    let account = desk.account(ctx, origin, Some(mix.provider()), arguments.account.as_deref()).await?;
    let tool = ToolName::MixItems;
    let binding = format!("{} {mix}", account.id);
    let listing = Listing::open((desk, ctx), origin, (tool, binding), arguments.cursor.as_deref()).await?;
    let page = listing.page();
    let parameters = Parameters { account: account.id.to_string(), mix: Some(mix.id()), limit, page };
    let key = &personal_key(ctx, (tool, DataScope::Account), &account, &parameters)?;
    desk.cached(ctx, origin, Question { tool, key, country: None }, || async {
        let found = desk
            .personal(ctx, origin, &account, |music, access| async move {
                music.mix_items(ctx, &access.borrow(), mix, limit, page).await
            })
            .await?;
        listing.answer(account.provider, found).await
    })
    .await
}
