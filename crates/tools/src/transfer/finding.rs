//! Looking for tracks at another service: by ISRC, by their place on an album with the same UPC, by a search. What is
//! found is judged by `matching`.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use stagedoor_domain::music::{Album, Track};
use stagedoor_domain::reference::EntityKindSet;
use stagedoor_domain::{EntityKind, ErrorCode, ItemRef, Provider, PublicError, TenantContext};
use stagedoor_providers::SearchQuery;
use tokio::sync::Mutex;

use super::document::{Entry, Fate};
use super::matching::{self, Candidate, Confidence, Judgement, Wanted};
use super::titles::{Title, Version};
use crate::desk::Desk;
use crate::origin::Origin;

/// Tracks that are looked for at a time. All of them stand in the fair line of the tenant's calls.
const AT_A_TIME: usize = 4;
/// How many results of a search are judged; what Spotify gives in either mode.
const RESULTS: u32 = 10;
/// The longest query that is sent.
const QUERY_CHARS: usize = 200;

type Look<'a> = Pin<Box<dyn Future<Output = Result<Fate, PublicError>> + Send + 'a>>;

/// For whom tracks are looked for.
#[derive(Clone, Copy)]
pub(crate) struct Who<'a> {
    pub(crate) desk: &'a Desk,
    pub(crate) ctx: &'a TenantContext,
    pub(crate) origin: &'a Origin,
}

/// What was found for a track, for use-cases that ask nobody.
#[derive(Debug)]
pub(crate) enum Looked {
    /// This is the one.
    Found(ItemRef),
    /// One of these may be it, the likeliest first.
    Several(Vec<ItemRef>),
    /// The service does not have it, and why that is thought.
    Nothing(String),
}

/// Looks for tracks of other services at one, as a transfer does.
pub(crate) async fn look_for(
    who: Who<'_>,
    (to, country): (Provider, Option<String>),
    wanted: &[&Track],
) -> Result<Vec<Looked>, PublicError> {
    let mut looked = Vec::with_capacity(wanted.len());
    // Tracks that stand together are mostly of one service.
    for together in wanted.chunk_by(|one, next| one.reference.provider() == next.reference.provider()) {
        let from = together[0].reference.provider();
        let from_country = who.desk.country(who.ctx, from).await?;
        let finder = Finder::new(who, (from, from_country), (to, country.clone()));
        let entries: Vec<Entry> = together.iter().map(|track| Entry::of_track(track)).collect();
        for fate in finder.find(&entries).await? {
            looked.push(match fate {
                Fate::Matched { to, .. } => Looked::Found(to),
                Fate::Ambiguous { candidates } => {
                    Looked::Several(candidates.into_iter().map(|candidate| candidate.reference).collect())
                }
                Fate::Missing { reason } | Fate::LeftOut { reason } => Looked::Nothing(reason),
                Fate::Open => Looked::Nothing("it could not be looked for".to_owned()),
            });
        }
    }
    Ok(looked)
}

/// Looks for tracks of one service at another, or the same.
pub(super) struct Finder<'a> {
    who: Who<'a>,
    from: Provider,
    to: Provider,
    from_country: Option<String>,
    to_country: Option<String>,
    /// Albums that were looked at; several tracks of a playlist are often of one.
    albums: Mutex<HashMap<ItemRef, Option<Arc<Album>>>>,
}

impl<'a> Finder<'a> {
    pub(super) fn new(
        who: Who<'a>,
        (from, from_country): (Provider, Option<String>),
        (to, to_country): (Provider, Option<String>),
    ) -> Self {
        Self { who, from, to, from_country, to_country, albums: Mutex::default() }
    }

    /// What becomes of each of these entries, in their order.
    pub(super) async fn find(&self, entries: &[Entry]) -> Result<Vec<Fate>, PublicError> {
        let looks: Vec<Look<'_>> =
            entries.iter().map(|entry| Box::pin(self.look(entry)) as Look<'_>).collect();
        stream::iter(looks).buffered(AT_A_TIME).try_collect().await
    }

    async fn look(&self, entry: &Entry) -> Result<Fate, PublicError> {
        let (Fate::Open, Some(wanted)) = (&entry.fate, &entry.track) else { return Ok(entry.fate.clone()) };
        if self.from == self.to
            && let Some(Ok(to)) = entry.name.as_ref().map(|name| name.parse())
        {
            let reason = "the same service".to_owned();
            return Ok(Fate::Matched { to, confidence: Confidence::FULL, reason, written: false });
        }
        let mut doubtful = Vec::new();
        if let Some(isrc) = &wanted.isrc {
            match matching::by_isrc(wanted, &self.by_isrc(isrc, self.to_country.as_deref()).await?) {
                Judgement::Matched(candidate) => return Ok(candidate.into()),
                Judgement::Ambiguous(candidates) => doubtful = candidates,
                Judgement::None => {}
            }
        }
        if let Some(track) = self.at_same_place(entry).await? {
            match matching::by_place(wanted, &track) {
                Judgement::Matched(candidate) => return Ok(candidate.into()),
                judgement => add(&mut doubtful, judgement),
            }
        }
        match self.by_search(wanted).await? {
            Judgement::Matched(candidate) => return Ok(candidate.into()),
            judgement => add(&mut doubtful, judgement),
        }
        if !doubtful.is_empty() {
            doubtful.sort_by_key(|candidate| std::cmp::Reverse(candidate.confidence));
            return Ok(Fate::Ambiguous { candidates: doubtful });
        }
        Ok(Fate::Missing { reason: self.why_missing(wanted).await? })
    }

    async fn by_isrc(&self, isrc: &str, country: Option<&str>) -> Result<Vec<Track>, PublicError> {
        let Who { desk, ctx, origin } = self.who;
        let found = desk.catalogue(ctx, origin, self.to, country, |music, access| async move {
            music.tracks_by_isrc(ctx, &access.borrow(), isrc).await
        });
        Ok(if_there(found.await)?.unwrap_or_default())
    }

    /// The track at the same place of the album with the same UPC.
    async fn at_same_place(&self, entry: &Entry) -> Result<Option<Track>, PublicError> {
        let (Some(album), Some(name)) = (&entry.album, &entry.name) else { return Ok(None) };
        let Some(ours) = self.album(album).await? else { return Ok(None) };
        let place = ours.tracks.iter().position(|track| track.reference.to_string() == *name);
        let (Some(place), Some(upc)) = (place, &ours.upc) else { return Ok(None) };
        let Who { desk, ctx, origin } = self.who;
        let country = self.to_country.as_deref();
        let found = desk.catalogue(ctx, origin, self.to, country, |music, access| async move {
            music.albums_by_upc(ctx, &access.borrow(), upc).await
        });
        let Some(theirs) = if_there(found.await)?.and_then(|albums| albums.into_iter().next()) else {
            return Ok(None);
        };
        let Some(theirs) = self.album(&theirs.reference).await? else { return Ok(None) };
        Ok(theirs.tracks.get(place).cloned())
    }

    async fn album(&self, album: &ItemRef) -> Result<Option<Arc<Album>>, PublicError> {
        if let Some(known) = self.albums.lock().await.get(album) {
            return Ok(known.clone());
        }
        let provider = album.provider();
        let country = if provider == self.to { &self.to_country } else { &self.from_country };
        let Who { desk, ctx, origin } = self.who;
        let found = desk.catalogue(ctx, origin, provider, country.as_deref(), |music, access| async move {
            music.album(ctx, &access.borrow(), album).await
        });
        let found = if_there(found.await)?.map(Arc::new);
        self.albums.lock().await.insert(album.clone(), found.clone());
        Ok(found)
    }

    async fn by_search(&self, wanted: &Wanted) -> Result<Judgement, PublicError> {
        let title = Title::of(&wanted.title);
        let artist = wanted.artists.first().map(String::as_str).unwrap_or_default();
        let versions: Vec<&str> = title.recordings().into_iter().map(Version::word).collect();
        let exact = format!("{} {artist} {}", title.base, versions.join(" "));
        let found = matching::by_search(wanted, &self.search(&exact).await?);
        if matches!(found, Judgement::Matched(_)) || versions.is_empty() {
            return Ok(found);
        }
        // A service may not write the version into what it searches.
        let plain = matching::by_search(wanted, &self.search(&format!("{} {artist}", title.base)).await?);
        Ok(match (found, plain) {
            (_, plain @ Judgement::Matched(_)) | (Judgement::None, plain) => plain,
            (found, _) => found,
        })
    }

    async fn search(&self, text: &str) -> Result<Vec<Track>, PublicError> {
        let text: String = text.trim().chars().take(QUERY_CHARS).collect();
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let query = SearchQuery {
            text: &text,
            kinds: EntityKindSet::empty().with(EntityKind::Track),
            limit: RESULTS,
            page: None,
        };
        let Who { desk, ctx, origin } = self.who;
        let (query, country) = (&query, self.to_country.as_deref());
        let found = desk.catalogue(ctx, origin, self.to, country, |music, access| async move {
            music.search(ctx, &access.borrow(), query).await
        });
        Ok(if_there(found.await)?.map(|found| found.tracks.items).unwrap_or_default())
    }

    /// Whether the other service has it in other countries only.
    async fn why_missing(&self, wanted: &Wanted) -> Result<String, PublicError> {
        let name = self.to.title();
        if let (Some(isrc), Some(country)) = (&wanted.isrc, &self.to_country) {
            let anywhere = matching::by_isrc(wanted, &self.by_isrc(isrc, None).await?);
            if let Judgement::Matched(candidate) = anywhere {
                return Ok(format!("{name} has it ({}), but not in {country}", candidate.reference));
            }
        }
        Ok(format!("{name} has nothing like it"))
    }
}

/// Adds the candidates of a judgement that are not known yet.
fn add(doubtful: &mut Vec<Candidate>, judgement: Judgement) {
    let Judgement::Ambiguous(candidates) = judgement else { return };
    for new in candidates {
        if !doubtful.iter().any(|old| old.reference == new.reference) {
            doubtful.push(new);
        }
    }
}

/// `None` if there is no such thing. A single question that a service refuses does not end the transfer.
fn if_there<T>(asked: Result<T, PublicError>) -> Result<Option<T>, PublicError> {
    match asked {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.code, ErrorCode::ItemNotFound | ErrorCode::ProviderRejected) => Ok(None),
        Err(error) => Err(error),
    }
}

impl From<Candidate> for Fate {
    fn from(candidate: Candidate) -> Self {
        let Candidate { reference: to, confidence, reason, .. } = candidate;
        Self::Matched { to, confidence, reason, written: false }
    }
}
