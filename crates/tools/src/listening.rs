//! `top_items` and `recently_played`: what a service itself tells of what a person listens to. Nothing is derived here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_cache::DataScope;
use stagedoor_domain::{EntityKind, Provider, TenantContext, ToolName};
use stagedoor_providers::TopRange;

use crate::arguments::bounded;
use crate::desk::Desk;
use crate::lists::Listing;
use crate::origin::Origin;
use crate::reuse::{Produced, Question, personal_key};

/// The service that tells, where a call names no account.
pub(crate) const SERVICE: Provider = Provider::Spotify;

/// What is listened to most of.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum TopKind {
    Track,
    Artist,
}

/// Over which time.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Range {
    Short,
    Medium,
    Long,
}

/// What was listened to most.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopArguments {
    /// Default track.
    kind: Option<TopKind>,
    /// About 4 weeks, 6 months (default) or a year.
    range: Option<Range>,
    account: Option<String>,
    /// 1-50, default 20.
    limit: Option<u32>,
    cursor: Option<String>,
}

/// What was played last.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecentArguments {
    account: Option<String>,
    /// 1-50, default 20.
    limit: Option<u32>,
    cursor: Option<String>,
}

/// What an answer depends on.
#[derive(Serialize)]
struct Parameters<'a> {
    account: String,
    kind: EntityKind,
    range: Range,
    limit: u32,
    page: Option<&'a str>,
}

pub(crate) async fn top(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: TopArguments,
) -> Produced {
    let limit = bounded("limit", arguments.limit, 20, 50)?;
    let kind = match arguments.kind {
        None | Some(TopKind::Track) => EntityKind::Track,
        Some(TopKind::Artist) => EntityKind::Artist,
    };
    let range = arguments.range.unwrap_or(Range::Medium);
    let over = match range {
        Range::Short => TopRange::Short,
        Range::Medium => TopRange::Medium,
        Range::Long => TopRange::Long,
    };
    let id = arguments.account.as_deref();
    let account = desk.account(ctx, origin, id.is_none().then_some(SERVICE), id).await?;
    let tool = ToolName::TopItems;
    let binding = format!("{} {kind} {range:?}", account.id);
    let listing = Listing::open((desk, ctx), origin, (tool, binding), arguments.cursor.as_deref()).await?;
    let page = listing.page();
    let parameters = Parameters { account: account.id.to_string(), kind, range, limit, page };
    let key = &personal_key(ctx, (tool, DataScope::Account), &account, &parameters)?;
    desk.cached(ctx, origin, Question { tool, key, country: None }, || async {
        let found = desk
            .personal(ctx, origin, &account, |music, access| async move {
                music.top(ctx, &access.borrow(), (kind, over), limit, page).await
            })
            .await?;
        listing.answer(account.provider, found).await
    })
    .await
}

/// `recently_played`: never from a cache, because it moves with each track.
pub(crate) async fn recent(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: RecentArguments,
) -> Produced {
    let limit = bounded("limit", arguments.limit, 20, 50)?;
    let id = arguments.account.as_deref();
    let account = desk.account(ctx, origin, id.is_none().then_some(SERVICE), id).await?;
    let binding = account.id.to_string();
    let tool = ToolName::RecentlyPlayed;
    let listing = Listing::open((desk, ctx), origin, (tool, binding), arguments.cursor.as_deref()).await?;
    let page = listing.page();
    let found = desk
        .personal(ctx, origin, &account, |music, access| async move {
            music.recently_played(ctx, &access.borrow(), limit, page).await
        })
        .await?;
    desk.fresh(&listing.answer(account.provider, found).await?)
}
