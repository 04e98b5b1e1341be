//! `artist_albums`, `similar` and `radio`: music found from an item of the catalogue.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_domain::music::Item;
use stagedoor_domain::{EntityKind, TenantContext, ToolName};

use crate::arguments::bounded;
use crate::desk::Desk;
use crate::lists::Listing;
use crate::origin::Origin;
use crate::reuse::{Produced, Question, catalogue_key};

/// From which item.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FromItemArguments {
    #[serde(rename = "ref")]
    reference: String,
    /// 1-50, default 20.
    limit: Option<u32>,
    cursor: Option<String>,
}

/// What is found from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// An artist's albums.
    Albums,
    /// Items of the same kind.
    Similar,
    /// Tracks that go with it.
    Radio,
}

impl Way {
    const fn tool(self) -> ToolName {
        match self {
            Self::Albums => ToolName::ArtistAlbums,
            Self::Similar => ToolName::Similar,
            Self::Radio => ToolName::Radio,
        }
    }

    const fn kinds(self) -> &'static [EntityKind] {
        match self {
            Self::Albums => &[EntityKind::Artist],
            Self::Similar => &[EntityKind::Track, EntityKind::Album, EntityKind::Artist],
            Self::Radio => &[EntityKind::Track, EntityKind::Artist],
        }
    }
}

/// What an answer depends on.
#[derive(Serialize)]
struct Parameters<'a> {
    item: &'a str,
    limit: u32,
    page: Option<&'a str>,
    country: Option<&'a str>,
}

pub(crate) async fn run(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    way: Way,
    arguments: FromItemArguments,
) -> Produced {
    let limit = bounded("limit", arguments.limit, 20, 50)?;
    let item = &desk.catalogue_item(ctx, ("ref", &arguments.reference), way.kinds()).await?;
    let (tool, provider, name) = (way.tool(), item.provider(), item.to_string());
    let listing =
        Listing::open((desk, ctx), origin, (tool, name.clone()), arguments.cursor.as_deref()).await?;
    let page = listing.page();
    let country = desk.country(ctx, provider).await?;
    let country = country.as_deref();
    let key = &catalogue_key(ctx, tool, provider, &Parameters { item: &name, limit, page, country })?;
    desk.cached(ctx, origin, Question { tool, key, country }, || async {
        let found = desk
            .catalogue(ctx, origin, provider, country, |music, access| async move {
                let access = &access.borrow();
                match way {
                    Way::Albums => {
                        let albums = music.artist_albums(ctx, access, item, limit, page).await?;
                        Ok(albums.map(Item::Album))
                    }
                    Way::Similar => music.similar(ctx, access, item, limit, page).await,
                    Way::Radio => Ok(music.radio(ctx, access, item, limit, page).await?.map(Item::Track)),
                }
            })
            .await?;
        listing.answer(provider, found).await
    })
    .await
}
