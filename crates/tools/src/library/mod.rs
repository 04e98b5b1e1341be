//! `library_list`, `library_contains`, `library_save`, `library_remove`: what a person has saved at a service. Which
//! items a call names is in `named`.

mod named;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_cache::DataScope;
use stagedoor_domain::{EntityKind, ItemRef, Provider, PublicError, TenantContext, ToolName};

use crate::arguments::bounded;
use crate::desk::Desk;
use crate::lists::Listing;
use crate::origin::Origin;
use crate::passing::InPassing;
use crate::reuse::{Produced, Question, personal_key};
use crate::search::Kind;
use crate::trail::of_account;
use named::Named;

/// Which part of whose library.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListArguments {
    kind: Kind,
    provider: Option<Provider>,
    account: Option<String>,
    /// 1-50, default 20.
    limit: Option<u32>,
    cursor: Option<String>,
}

/// Which items.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ItemsArguments {
    /// 1-200 references or links of one service.
    refs: Vec<String>,
    account: Option<String>,
}

/// Which of the items are saved.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ContainsOutput {
    items: Vec<Contained>,
    /// When the provider said so (RFC 3339).
    cached_at: String,
}

/// Whether one is.
#[derive(Debug, Serialize, JsonSchema)]
struct Contained {
    #[serde(rename = "ref")]
    reference: ItemRef,
    saved: bool,
}

/// What was saved or taken out.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ChangedOutput {
    provider: Provider,
    /// How many items are in, or out, now.
    items: usize,
}

impl InPassing for ContainsOutput {}

/// What an answer depends on.
#[derive(Serialize)]
struct Parameters<'a> {
    account: String,
    kind: EntityKind,
    limit: u32,
    page: Option<&'a str>,
}

pub(crate) async fn list(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: ListArguments,
) -> Produced {
    let limit = bounded("limit", arguments.limit, 20, 50)?;
    let kind = EntityKind::from(arguments.kind);
    let account = desk.account(ctx, origin, arguments.provider, arguments.account.as_deref()).await?;
    let tool = ToolName::LibraryList;
    let binding = format!("{} {kind}", account.id);
    let listing = Listing::open((desk, ctx), origin, (tool, binding), arguments.cursor.as_deref()).await?;
    let page = listing.page();
    let parameters = Parameters { account: account.id.to_string(), kind, limit, page };
    // Playlists come and go by writes to playlists, too.
    let scope = if kind == EntityKind::Playlist { DataScope::Playlists } else { DataScope::Library };
    let key = &personal_key(ctx, (tool, scope), &account, &parameters)?;
    desk.cached(ctx, origin, Question { tool, key, country: None }, || async {
        let found = desk
            .personal(ctx, origin, &account, |music, access| async move {
                music.library(ctx, &access.borrow(), kind, limit, page).await
            })
            .await?;
        listing.answer(account.provider, found).await
    })
    .await
}

pub(crate) async fn contains(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: ItemsArguments,
) -> Produced {
    let named = Named::read(&arguments.refs)?;
    let account = desk.account(ctx, origin, Some(named.provider), arguments.account.as_deref()).await?;
    let items = &*named.items;
    let look_up = || async {
        let saved = desk
            .personal(ctx, origin, &account, |music, access| async move {
                music.library_contains(ctx, &access.borrow(), items).await
            })
            .await?;
        let items = items.iter().cloned().zip(saved);
        let items = items.map(|(reference, saved)| Contained { reference, saved }).collect();
        Ok::<_, PublicError>(ContainsOutput { items, cached_at: desk.now_text() })
    };
    let Some(scope) = named.depends_on() else { return desk.fresh(&look_up().await?) };
    let tool = ToolName::LibraryContains;
    let key = &personal_key(ctx, (tool, scope), &account, &(account.id.to_string(), items))?;
    desk.cached(ctx, origin, Question { tool, key, country: None }, look_up).await
}

pub(crate) async fn save(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: ItemsArguments,
) -> Produced {
    let named = Named::read(&arguments.refs)?;
    change(desk, ctx, origin, (named, true), arguments.account.as_deref()).await
}

pub(crate) async fn remove(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: ItemsArguments,
) -> Produced {
    let named = Named::read(&arguments.refs)?;
    named.may_be_removed()?;
    change(desk, ctx, origin, (named, false), arguments.account.as_deref()).await
}

async fn change(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    (named, save): (Named, bool),
    account: Option<&str>,
) -> Produced {
    let account = desk.account(ctx, origin, Some(named.provider), account).await?;
    origin.about(of_account(account.id));
    let items = &*named.items;
    desk.write(ctx, origin, (&account, named.changes()), |music, access| async move {
        let (access, key) = (&access.borrow(), &ctx.call().to_string());
        if save {
            music.library_save(ctx, access, items, key).await
        } else {
            music.library_remove(ctx, access, items, key).await
        }
    })
    .await?;
    desk.fresh(&ChangedOutput { provider: account.provider, items: items.len() })
}
