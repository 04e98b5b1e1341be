//! What an account has collected at Tidal: a collection for each kind, changed in batches with an `Idempotency-Key`.

use std::collections::HashSet;

use async_trait::async_trait;
use reqwest::Method;
use serde_json::json;
use stagedoor_domain::music::{Page, SavedItem};
use stagedoor_domain::{EntityKind, ItemRef, Provider, TenantContext};

use super::Tidal;
use super::added::AddAnswer;
use super::document::{Identifier, Included};
use super::paging::Position;
use super::relationship::List;
use super::request::{READ_COLLECTION, WRITE_COLLECTION, check_key, unsupported, write};
use super::wire;
use crate::call::Call;
use crate::error::ProviderError;
use crate::features::Library;
use crate::provider::id_of;
use crate::text;
use crate::types::{Access, Skipped};

/// Most items that one request adds or removes.
const BATCH: usize = 50;
/// Why an item was left out that is in all the same.
const ALREADY_PRESENT: &str = "already_present";

#[async_trait]
impl Library for Tidal {
    fn service(&self) -> Provider {
        Provider::Tidal
    }

    /// Playlists include the account's own, as Tidal's collection does.
    async fn library(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        kind: EntityKind,
        limit: u32,
        page: Option<&str>,
    ) -> Result<Page<SavedItem>, ProviderError> {
        let collection = Collection::of(kind)?;
        let list = List {
            operation: "library",
            of: [collection.name, "me"],
            name: "items",
            include: collection.include,
            query: collection.query,
            by_country: false,
            scopes: READ_COLLECTION,
        };
        list.page(self, ctx, access, (&Position::parse(page)?, limit), saved).await
    }

    async fn library_save(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        items: &[ItemRef],
        idempotency_key: &str,
    ) -> Result<(), ProviderError> {
        let batches = batches(items)?;
        check_key(idempotency_key)?;
        let mut change = Change::new(items);
        for (number, batch) in batches.iter().enumerate() {
            let key = format!("{idempotency_key}-{number}");
            let call = batch.call(access, Method::POST, "save to library", &key);
            match self.http.json::<AddAnswer>(ctx, &call).await {
                Ok(answer) => change.count(batch, answer),
                Err(cause) => return Err(change.stopped(cause)),
            }
        }
        change.finish()
    }

    async fn library_remove(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        items: &[ItemRef],
        idempotency_key: &str,
    ) -> Result<(), ProviderError> {
        let batches = batches(items)?;
        check_key(idempotency_key)?;
        let mut change = Change::new(items);
        for (number, batch) in batches.iter().enumerate() {
            let key = format!("{idempotency_key}-{number}");
            let call = batch.call(access, Method::DELETE, "remove from library", &key);
            match self.http.acknowledged(ctx, &call).await {
                Ok(()) => change.done.extend(&batch.items),
                Err(cause) => return Err(change.stopped(cause)),
            }
        }
        Ok(())
    }
}

fn saved(identifier: &Identifier, included: &Included<'_>) -> Option<SavedItem> {
    let added_at = identifier.meta.as_ref().and_then(|meta| text::word(meta.added_at.as_deref()?));
    Some(SavedItem { item: wire::item_of(identifier, included)?, added_at })
}

/// One of the collections that an account has.
struct Collection {
    /// The type of the resource that holds it.
    name: &'static str,
    /// The type of what is in it.
    items: &'static str,
    include: &'static str,
    query: &'static [(&'static str, &'static str)],
}

impl Collection {
    fn of(kind: EntityKind) -> Result<Self, ProviderError> {
        let (name, items, include, query): (_, _, _, &[_]) = match kind {
            EntityKind::Track => ("userCollectionTracks", "tracks", "items,items.artists,items.albums", &[]),
            EntityKind::Album => ("userCollectionAlbums", "albums", "items,items.artists", &[]),
            EntityKind::Artist => ("userCollectionArtists", "artists", "items", &[]),
            // Flat, so that what is in folders is there too.
            EntityKind::Playlist => {
                ("userCollectionPlaylists", "playlists", "items", &[("collectionView", "FLAT")])
            }
            EntityKind::Mix => return Err(unsupported("keep mixes in a library")),
        };
        Ok(Self { name, items, include, query })
    }
}

/// What one request changes: items of one kind.
struct Batch<'a> {
    collection: Collection,
    items: Vec<&'a ItemRef>,
}

impl Batch<'_> {
    fn call<'b>(
        &self,
        access: &Access<'b>,
        method: Method,
        operation: &'static str,
        key: &'b str,
    ) -> Call<'b> {
        let kind = self.collection.items;
        let data: Vec<_> = self.items.iter().map(|item| json!({ "id": item.id(), "type": kind })).collect();
        let segments = [self.collection.name, "me", "relationships", "items"];
        let call = write(access, method, operation, &segments, Some(&json!({ "data": data })), key);
        Call { scopes: WRITE_COLLECTION, ..call }
    }
}

/// The items kind by kind, each once, so many at a time as a request takes.
fn batches(items: &[ItemRef]) -> Result<Vec<Batch<'_>>, ProviderError> {
    let mut met = HashSet::new();
    let mut batches: Vec<Batch<'_>> = Vec::new();
    for item in items {
        id_of(Provider::Tidal, item, item.kind())?;
        let collection = Collection::of(item.kind())?;
        if !met.insert(item) {
            continue;
        }
        let open = batches
            .iter_mut()
            .find(|batch| batch.collection.name == collection.name && batch.items.len() < BATCH);
        match open {
            Some(batch) => batch.items.push(item),
            None => batches.push(Batch { collection, items: vec![item] }),
        }
    }
    Ok(batches)
}

/// What a change has done so far.
struct Change<'a> {
    items: &'a [ItemRef],
    done: HashSet<&'a ItemRef>,
    skipped: Vec<Skipped>,
}

impl<'a> Change<'a> {
    fn new(items: &'a [ItemRef]) -> Self {
        Self { items, done: HashSet::new(), skipped: Vec::new() }
    }

    /// Counts as in only what the answer says is.
    fn count(&mut self, batch: &Batch<'a>, mut answer: AddAnswer) {
        for item in &batch.items {
            let reason = if answer.take(batch.collection.items, item.id()).is_some() {
                ALREADY_PRESENT.to_owned()
            } else {
                answer.reason(batch.collection.items, item.id())
            };
            if reason == ALREADY_PRESENT {
                self.done.insert(item);
            } else {
                self.skipped.push(Skipped { item: (*item).clone(), reason });
            }
        }
    }

    /// Items that Tidal does not know are not saved, which is a failure too.
    fn finish(self) -> Result<(), ProviderError> {
        if self.skipped.is_empty() {
            return Ok(());
        }
        Err(self.stopped(ProviderError::NotFound { provider: Provider::Tidal }))
    }

    /// The bare cause if nothing is done.
    fn stopped(self, cause: ProviderError) -> ProviderError {
        if self.done.is_empty() {
            return cause;
        }
        let failed_at = self.items.iter().position(|item| !self.done.contains(item)).unwrap_or_default();
        let added = self.items.iter().filter(|item| self.done.contains(item)).cloned().collect();
        let (provider, skipped) = (Provider::Tidal, self.skipped);
        ProviderError::PartlyDone { provider, added, skipped, failed_at, cause: Box::new(cause) }
    }
}
