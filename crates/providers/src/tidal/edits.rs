//! Changing Tidal's playlists. What a playlist holds is kept up to date with each answer, so that a failure in between can
//! say how far it came.

use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value, json};
use stagedoor_domain::music::Playlist;
use stagedoor_domain::{EntityKind, ItemRef, Provider, TenantContext};

use super::Tidal;
use super::added::AddAnswer;
use super::plan::{Step, needs_ids, steps};
use super::request::{check_key, unsupported, write};
use super::{contents, wire};
use crate::call::Call;
use crate::error::{ForbiddenReason, ProviderError};
use crate::features::{Contents, Edit, Edited, Entry, PlaylistChange, PlaylistEdits};
use crate::provider::id_of;
use crate::types::{Access, Skipped};

#[async_trait]
impl PlaylistEdits for Tidal {
    fn service(&self) -> Provider {
        Provider::Tidal
    }

    async fn playlist_head(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        playlist: &ItemRef,
    ) -> Result<Playlist, ProviderError> {
        let id = id_of(Provider::Tidal, playlist, EntityKind::Playlist)?;
        contents::head(self, ctx, access, id).await
    }

    async fn playlist_contents(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        playlist: &ItemRef,
        most: u32,
    ) -> Result<Contents, ProviderError> {
        let id = id_of(Provider::Tidal, playlist, EntityKind::Playlist)?;
        contents::read(self, ctx, access, id, most).await
    }

    fn check_edits(&self, current: &[Box<str>], edits: &[Edit]) -> Result<(), ProviderError> {
        let mut names = current.to_vec();
        for edit in edits {
            let entries: Vec<Entry> = names.iter().cloned().map(Entry::new).collect();
            for step in steps(&entries, edit)? {
                body(&step)?;
            }
            names = edit.applied(&names);
        }
        Ok(())
    }

    async fn edit_playlist(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        playlist: &ItemRef,
        (current, _): (&[Entry], Option<&str>),
        edit: &Edit,
        idempotency_key: &str,
    ) -> Result<Edited, ProviderError> {
        let id = id_of(Provider::Tidal, playlist, EntityKind::Playlist)?;
        check_key(idempotency_key)?;
        let entries = if needs_ids(current, edit) && current.iter().any(|entry| entry.item_id.is_none()) {
            contents::identify(self, ctx, access, id, current).await?
        } else {
            current.to_vec()
        };
        let steps = steps(&entries, edit)?;
        // All of them before the first is sent, so that what cannot be named stops nothing half-way.
        let bodies = steps.iter().map(body).collect::<Result<Vec<_>, _>>()?;
        let mut editing = Editing { tidal: self, ctx, access, id, entries, skipped: Vec::new() };
        for (number, (step, body)) in steps.iter().zip(&bodies).enumerate() {
            let key = editing.key_of(idempotency_key, body);
            if let Err(cause) = editing.take(step, body, &key).await {
                return Err(if number == 0 { cause } else { editing.interrupted(cause) });
            }
        }
        Ok(editing.finish())
    }

    fn passes(&self, current: &[Box<str>], edit: &Edit, now: &[Box<str>]) -> Result<bool, ProviderError> {
        // Any ids do that tell the entries apart.
        let numbered = current.iter().enumerate();
        let mut entries: Vec<Entry> = numbered
            .map(|(number, name)| Entry { name: name.clone(), item_id: Some(number.to_string().into()) })
            .collect();
        let steps = steps(&entries, edit)?;
        Ok(steps.iter().any(|step| {
            apply(step, &mut entries);
            entries.iter().map(|entry| &entry.name).eq(now)
        }))
    }

    async fn update_playlist(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        playlist: &ItemRef,
        change: &PlaylistChange<'_>,
        idempotency_key: &str,
    ) -> Result<(), ProviderError> {
        let id = id_of(Provider::Tidal, playlist, EntityKind::Playlist)?;
        check_key(idempotency_key)?;
        let mut attributes = serde_json::Map::new();
        attributes.extend(change.name.map(|name| ("name".to_owned(), name.into())));
        attributes.extend(change.description.map(|text| ("description".to_owned(), text.into())));
        let access_type = change.public.map(wire::access_type);
        attributes.extend(access_type.map(|access_type| ("accessType".to_owned(), access_type.into())));
        if attributes.is_empty() {
            return Ok(());
        }
        let body = json!({ "data": { "type": "playlists", "id": id, "attributes": attributes } });
        let segments = ["playlists", id];
        let call = write(access, Method::PATCH, "change playlist", &segments, Some(&body), idempotency_key);
        self.http.acknowledged(ctx, &Call { forbidden: ForbiddenReason::Ownership, ..call }).await
    }

    async fn delete_playlist(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        playlist: &ItemRef,
        idempotency_key: &str,
    ) -> Result<(), ProviderError> {
        let id = id_of(Provider::Tidal, playlist, EntityKind::Playlist)?;
        check_key(idempotency_key)?;
        let call =
            write(access, Method::DELETE, "delete playlist", &["playlists", id], None, idempotency_key);
        self.http.acknowledged(ctx, &Call { forbidden: ForbiddenReason::Ownership, ..call }).await
    }
}

/// An edit under way.
struct Editing<'a> {
    tidal: &'a Tidal,
    ctx: &'a TenantContext,
    access: &'a Access<'a>,
    id: &'a str,
    /// What the playlist holds by the answers so far.
    entries: Vec<Entry>,
    skipped: Vec<Skipped>,
}

impl Editing<'_> {
    async fn take(&mut self, step: &Step, body: &Value, key: &str) -> Result<(), ProviderError> {
        match step {
            Step::Add { names, before } => {
                let call = self.call(Method::POST, "add to playlist", body, key);
                let answer = self.tidal.http.json(self.ctx, &call).await?;
                let added = self.count(names, answer)?;
                put(&mut self.entries, added, before.as_deref());
            }
            Step::Remove(_) => {
                let call = self.call(Method::DELETE, "remove from playlist", body, key);
                self.tidal.http.acknowledged(self.ctx, &call).await?;
                apply(step, &mut self.entries);
            }
            Step::Move { .. } => {
                let call = self.call(Method::PATCH, "reorder playlist", body, key);
                self.tidal.http.acknowledged(self.ctx, &call).await?;
                apply(step, &mut self.entries);
            }
        }
        Ok(())
    }

    /// The key of one request under that of all: another one for each body, and for each state of the playlist, so that
    /// whoever goes on after some of them asks for the next one under the key that it had.
    fn key_of(&self, key: &str, body: &Value) -> String {
        let body = body.to_string();
        let names = self.entries.iter().map(|entry| &*entry.name);
        let bytes = names.chain([&*body]).flat_map(|part| part.bytes().chain([0]));
        // FNV-1a, 64 bits.
        let digest = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| {
            (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("{key}-{digest:016x}")
    }

    /// The new entries: only what the answer lists, one entry for one name.
    fn count(&mut self, names: &[Box<str>], mut answer: AddAnswer) -> Result<Vec<Entry>, ProviderError> {
        let mut added = Vec::with_capacity(names.len());
        for name in names {
            let (kind, id) = resource(name)?;
            if let Some(identifier) = answer.take(kind, id) {
                added.push(contents::entry(&identifier));
            } else if let Ok(item) = name.parse() {
                self.skipped.push(Skipped { item, reason: answer.reason(kind, id) });
            }
        }
        Ok(added)
    }

    fn call<'b>(&self, method: Method, operation: &'static str, body: &Value, key: &'b str) -> Call<'b>
    where
        Self: 'b,
    {
        let segments = ["playlists", self.id, "relationships", "items"];
        let call = write(self.access, method, operation, &segments, Some(body), key);
        Call { forbidden: ForbiddenReason::Ownership, ..call }
    }

    fn interrupted(self, cause: ProviderError) -> ProviderError {
        let so_far = Box::new(self.finish());
        ProviderError::Interrupted { provider: Provider::Tidal, so_far, cause: Box::new(cause) }
    }

    /// Writes do not tell the playlist's new `lastModifiedAt`.
    fn finish(self) -> Edited {
        Edited { entries: self.entries, skipped: self.skipped, version: None }
    }
}

/// What becomes of entries if nothing is left out.
fn apply(step: &Step, current: &mut Vec<Entry>) {
    match step {
        Step::Add { names, before } => {
            put(current, names.iter().cloned().map(Entry::new).collect(), before.as_deref());
        }
        Step::Remove(gone) => current.retain(|entry| !gone.contains(entry)),
        Step::Move { entries, before } => {
            current.retain(|entry| !entries.contains(entry));
            put(current, entries.clone(), before.as_deref());
        }
    }
}

fn put(entries: &mut Vec<Entry>, new: Vec<Entry>, before: Option<&str>) {
    let at =
        before.and_then(|before| entries.iter().position(|entry| entry.item_id.as_deref() == Some(before)));
    let at = at.unwrap_or(entries.len());
    entries.splice(at..at, new);
}

/// The body of a request; the end needs no `positionBefore`.
fn body(step: &Step) -> Result<Value, ProviderError> {
    let held = |entry: &Entry| {
        let (kind, id) = resource(&entry.name)?;
        Ok(json!({ "id": id, "type": kind, "meta": { "itemId": entry.item_id } }))
    };
    let new = |name: &str| resource(name).map(|(kind, id)| json!({ "id": id, "type": kind }));
    let (data, before): (Result<Vec<Value>, ProviderError>, _) = match step {
        Step::Add { names, before } => (names.iter().map(|name| new(name)).collect(), before.as_deref()),
        Step::Remove(gone) => (gone.iter().map(held).collect(), None),
        Step::Move { entries, before } => (entries.iter().map(held).collect(), before.as_deref()),
    };
    Ok(match before {
        Some(before) => json!({ "data": data?, "meta": { "positionBefore": before } }),
        None => json!({ "data": data? }),
    })
}

/// Type and id of what a name stands for.
fn resource(name: &str) -> Result<(&'static str, &str), ProviderError> {
    let (kind, id) = match name.strip_prefix("tidal:").and_then(|rest| rest.split_once(':')) {
        Some(("track", id)) => ("tracks", id),
        Some(("video", id)) => ("videos", id),
        _ => ("", ""),
    };
    if ItemRef::new(Provider::Tidal, EntityKind::Track, id).is_err() {
        return Err(unsupported(format!("write {name:?} to a playlist, only its own tracks and videos")));
    }
    Ok((kind, id))
}
