//! `search`: one provider's catalogue, by text.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_domain::music::{Album, Artist, Page, Playlist, Track};
use stagedoor_domain::preferences::SearchLayer;
use stagedoor_domain::reference::EntityKindSet;
use stagedoor_domain::text::{folded, joined};
use stagedoor_domain::{EntityKind, Provider, PublicError, TenantContext, ToolName};
use stagedoor_providers::SearchQuery;

use crate::arguments::{bounded, invalid, text};
use crate::cursor;
use crate::desk::Desk;
use crate::origin::Origin;
use crate::passing::{InPassing, Passing};
use crate::preferred::Preferred;
use crate::reuse::{Produced, Question, catalogue_key};

/// What to search for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchArguments {
    query: String,
    /// Needed if several are set up.
    provider: Option<Provider>,
    /// Default track.
    kinds: Option<Vec<Kind>>,
    /// Of each kind, 1-50; default as preferred, else 20.
    limit: Option<u32>,
    /// With the same query, for the next page of that kind.
    cursor: Option<String>,
}

/// A kind of item.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Kind {
    Track,
    Album,
    Artist,
    Playlist,
}

impl From<Kind> for EntityKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Track => Self::Track,
            Kind::Album => Self::Album,
            Kind::Artist => Self::Artist,
            Kind::Playlist => Self::Playlist,
        }
    }
}

/// What was found, by kind; a kind that was not asked for is left out.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SearchOutput {
    /// Where it was found.
    provider: Provider,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracks: Option<Section<Track>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    albums: Option<Section<Album>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    artists: Option<Section<Artist>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    playlists: Option<Section<Playlist>>,
    /// When the provider said so (RFC 3339).
    cached_at: String,
    /// What to know about this answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// One page of one kind.
#[derive(Debug, Serialize, JsonSchema)]
struct Section<T> {
    items: Vec<T>,
    /// Hand this in as `cursor` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// How many there are in all, where the provider tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u32>,
}

/// Albums and playlists do not come in the form of a call for one of them.
impl InPassing for SearchOutput {
    fn in_passing(&self) -> Passing {
        Passing {
            tracks: self.tracks.as_ref().map(|section| section.items.clone()).unwrap_or_default(),
            artists: self.artists.as_ref().map(|section| section.items.clone()).unwrap_or_default(),
        }
    }

    fn finds_nothing(&self) -> bool {
        fn is_empty<T>(section: Option<&Section<T>>) -> bool {
            section.is_none_or(|section| section.items.is_empty() && section.next_cursor.is_none())
        }
        is_empty(self.tracks.as_ref())
            && is_empty(self.albums.as_ref())
            && is_empty(self.artists.as_ref())
            && is_empty(self.playlists.as_ref())
    }
}

/// What the answer depends on.
#[derive(Serialize)]
struct Parameters<'a> {
    /// What people write in capitals, or with two blanks, is the same question.
    query: &'a str,
    kinds: u64,
    limit: u32,
    page: Option<&'a str>,
    country: Option<&'a str>,
    #[serde(flatten)]
    preferred: Preferred,
}

pub(crate) async fn run(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: SearchArguments,
) -> Produced {
    let query = &*joined(text("query", &arguments.query, 250)?);
    let folded = &*same_question(query);
    let preferences = desk.preferences(ctx).await;
    let limit = bounded("limit", arguments.limit, preferences.search_defaults.limit, SearchLayer::MOST)?;
    let provider = desk.choose_provider(ctx, arguments.provider).await?;
    let preferred = Preferred::of(&preferences, &[provider]);
    let mut kinds = wanted(arguments.kinds.as_deref())?;
    let binding = format!("{provider} {folded}");
    let page = match &arguments.cursor {
        Some(sealed) => {
            let (kind, page) = open_page(desk, ctx, origin, &binding, sealed).await?;
            if arguments.kinds.is_some() && !kinds.contains(kind) {
                return Err(cursor::invalid("is one of another kind than those asked for"));
            }
            kinds = EntityKindSet::empty().with(kind);
            Some(page)
        }
        None => None,
    };
    origin.searches(kinds.iter(), query);
    let country = desk.country(ctx, provider).await?;
    let parameters = Parameters {
        query: folded,
        kinds: kinds.bits(),
        limit,
        page: page.as_deref(),
        country: country.as_deref(),
        preferred,
    };
    let key = &catalogue_key(ctx, ToolName::Search, provider, &parameters)?;
    let question = Question { tool: ToolName::Search, key, country: country.as_deref() };
    desk.cached(ctx, origin, question, || async {
        let query = SearchQuery { text: query, kinds, limit, page: page.as_deref() };
        let mut found = desk
            .catalogue(ctx, origin, provider, country.as_deref(), |music, access| async move {
                music.search(ctx, &access.borrow(), &query).await
            })
            .await?;
        found.warnings.extend(preferred.sift(&mut found.tracks.items, &mut found.albums.items));
        let sealer = Sealer { desk, ctx, binding: &binding, asked: kinds, page: page.is_some() };
        Ok(SearchOutput {
            provider,
            tracks: sealer.section(EntityKind::Track, found.tracks).await?,
            albums: sealer.section(EntityKind::Album, found.albums).await?,
            artists: sealer.section(EntityKind::Artist, found.artists).await?,
            playlists: sealer.section(EntityKind::Playlist, found.playlists).await?,
            cached_at: desk.now_text(),
            warnings: found.warnings,
        })
    })
    .await
}

/// One text for all queries that ask the same. Words that services take for operators if they are in capitals are no
/// others in small letters, so a query with one of them stays as it is.
pub(crate) fn same_question(query: &str) -> Cow<'_, str> {
    if query.split(' ').any(|word| matches!(word, "NOT" | "OR" | "AND")) {
        return Cow::Borrowed(query);
    }
    folded(query)
}

/// Ends the kind that a sealed page begins with: a page belongs to one kind.
const KIND_END: char = ' ';

async fn open_page(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    binding: &str,
    sealed: &str,
) -> Result<(EntityKind, String), PublicError> {
    let opened = cursor::open(desk, ctx, origin, (ToolName::Search, binding), sealed).await?;
    let parsed =
        opened.split_once(KIND_END).and_then(|(kind, page)| Some((kind.parse().ok()?, page.to_owned())));
    parsed.ok_or_else(|| cursor::invalid("is of a form that is no longer known"))
}

/// The kinds that a search is for.
pub(crate) fn wanted(kinds: Option<&[Kind]>) -> Result<EntityKindSet, PublicError> {
    let Some(kinds) = kinds else { return Ok(EntityKindSet::empty().with(EntityKind::Track)) };
    if kinds.is_empty() {
        return Err(invalid(
            "`kinds` is empty; leave it out for tracks, or name track, album, artist or playlist.",
        ));
    }
    Ok(kinds.iter().copied().map(EntityKind::from).collect())
}

struct Sealer<'a> {
    desk: &'a Desk,
    ctx: &'a TenantContext,
    binding: &'a str,
    asked: EntityKindSet,
    page: bool,
}

impl Sealer<'_> {
    /// The kind's page with its cursor sealed; a next page holds only the kind that its cursor belongs to.
    async fn section<T>(&self, kind: EntityKind, page: Page<T>) -> Result<Option<Section<T>>, PublicError> {
        let absent =
            !self.asked.contains(kind) || (self.page && page.items.is_empty() && page.next.is_none());
        if absent {
            return Ok(None);
        }
        let next_cursor = match &page.next {
            Some(next) => {
                let page = format!("{kind}{KIND_END}{next}");
                Some(cursor::seal(self.desk, self.ctx, ToolName::Search, self.binding, &page).await?)
            }
            None => None,
        };
        Ok(Some(Section { items: page.items, next_cursor, total: page.total }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_not_words() {
        assert_eq!(same_question("Miles DAVIS"), same_question("miles davis"));
        for operator in ["NOT", "OR", "AND"] {
            let query = format!("miles {operator} davis");
            assert_ne!(same_question(&query), same_question(&query.to_lowercase()));
        }
        assert_eq!(same_question("NOTHING Else Matters"), same_question("nothing else matters"));
    }
}
