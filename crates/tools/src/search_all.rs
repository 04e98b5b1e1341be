//! `search_all`: one query at every service of the tenant, answered service by service. Nothing is merged: what belongs
//! to whom stays visible.

use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_domain::music::{Album, Artist, Playlist, Track};
use stagedoor_domain::text::joined;
use stagedoor_domain::{ErrorCode, PolicyGate, Provider, PublicError, TenantContext, ToolName};
use stagedoor_providers::{SearchQuery, SearchResults};

use crate::arguments::{bounded, text};
use crate::desk::Desk;
use crate::gates;
use crate::origin::Origin;
use crate::passing::InPassing;
use crate::preferred::Preferred;
use crate::reuse::{Produced, Question, catalogue_key};
use crate::search::{Kind, same_question, wanted};

/// The most items of a kind that each service is asked for.
const MOST: u32 = 20;

/// What to search for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchAllArguments {
    query: String,
    /// Default tracks.
    kinds: Option<Vec<Kind>>,
    /// Of each kind and service, 1-20; default as preferred.
    limit: Option<u32>,
}

/// What was found, by service.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SearchAllOutput {
    services: Vec<Found>,
    /// When the providers said so (RFC 3339).
    cached_at: String,
}

/// What one service found, or why it found nothing.
#[derive(Debug, Serialize, JsonSchema)]
struct Found {
    provider: Provider,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tracks: Vec<Track>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    albums: Vec<Album>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    artists: Vec<Artist>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    playlists: Vec<Playlist>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    /// What went wrong there; the other services were asked all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

/// What went wrong at one service.
#[derive(Debug, Serialize, JsonSchema)]
struct Failure {
    #[schemars(with = "String")]
    code: ErrorCode,
    message: String,
}

/// What lacks a service should be asked again soon.
impl InPassing for SearchAllOutput {
    fn finds_nothing(&self) -> bool {
        let empty = |found: &Found| {
            found.tracks.is_empty()
                && found.albums.is_empty()
                && found.artists.is_empty()
                && found.playlists.is_empty()
        };
        self.services.iter().any(|found| found.failure.is_some()) || self.services.iter().all(empty)
    }
}

/// What the answer depends on.
#[derive(Serialize)]
struct Parameters<'a> {
    query: &'a str,
    kinds: u64,
    limit: u32,
    services: &'a [(Provider, Option<String>)],
    #[serde(flatten)]
    preferred: Preferred,
}

pub(crate) async fn run(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: SearchAllArguments,
) -> Produced {
    let query = &*joined(text("query", &arguments.query, 250)?);
    let folded = &*same_question(query);
    let preferences = desk.preferences(ctx).await;
    let limit = bounded("limit", arguments.limit, preferences.search_defaults.limit.min(MOST), MOST)?;
    let kinds = wanted(arguments.kinds.as_deref())?;
    origin.searches(kinds.iter(), query);
    let services = &*services(desk, ctx).await?;
    let asked: Vec<Provider> = services.iter().map(|(provider, _)| *provider).collect();
    let preferred = Preferred::of(&preferences, &asked);
    let parameters = Parameters { query: folded, kinds: kinds.bits(), limit, services, preferred };
    let (tool, first) = (ToolName::SearchAll, services[0].0);
    let key = &catalogue_key(ctx, tool, first, &parameters)?;
    desk.cached(ctx, origin, Question { tool, key, country: None }, || async {
        let query = SearchQuery { text: query, kinds, limit, page: None };
        let searches = services.iter().map(|(provider, country)| async move {
            desk.catalogue(ctx, origin, *provider, country.as_deref(), |music, access| async move {
                music.search(ctx, &access.borrow(), &query).await
            })
            .await
        });
        let found = join_all(searches).await;
        if let Some(error) = all_failed(&found) {
            return Err(error);
        }
        let shown =
            services.iter().zip(found).map(|((provider, _), found)| shown(*provider, preferred, found));
        Ok(SearchAllOutput { services: shown.collect(), cached_at: desk.now_text() })
    })
    .await
}

/// The services that the tenant is set up for, each with the caller's market there. Where there are several, each of
/// them has to allow that it is shown beside others.
async fn services(desk: &Desk, ctx: &TenantContext) -> Result<Vec<(Provider, Option<String>)>, PublicError> {
    let apps = desk.apps(ctx).await?;
    if apps.is_empty() {
        return Err(crate::records::not_configured(None));
    }
    let mut services = Vec::with_capacity(apps.len());
    for app in apps.iter() {
        if apps.len() > 1 {
            gates::check(ctx, app.provider, PolicyGate::CrossProviderView)?;
        }
        services.push((app.provider, desk.country(ctx, app.provider).await?));
    }
    Ok(services)
}

/// The first failure, if there is nothing else.
fn all_failed<T>(found: &[Result<T, PublicError>]) -> Option<PublicError> {
    let failures: Vec<&PublicError> = found.iter().filter_map(|found| found.as_ref().err()).collect();
    failures.first().filter(|_| failures.len() == found.len()).map(|first| (*first).clone())
}

fn shown(provider: Provider, preferred: Preferred, found: Result<SearchResults, PublicError>) -> Found {
    let (mut found, failure) = match found {
        Ok(found) => (found, None),
        Err(error) => (SearchResults::empty(), Some(Failure { code: error.code, message: error.message })),
    };
    found.warnings.extend(preferred.sift(&mut found.tracks.items, &mut found.albums.items));
    Found {
        provider,
        tracks: found.tracks.items,
        albums: found.albums.items,
        artists: found.artists.items,
        playlists: found.playlists.items,
        warnings: found.warnings,
        failure,
    }
}
