//! Changing Spotify's playlists: each kind of change, and the requests of which an edit consists. The order of those is
//! `plan`'s, sending them `editing`'s.

use std::collections::HashSet;

use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Map, Value, json};
use stagedoor_domain::music::Playlist;
use stagedoor_domain::{EntityKind, ItemRef, Provider, TenantContext};

use super::editing::Editing;
use super::plan::{Step, borrowed, plan};
use super::playlists::{head, playlist_call};
use super::request::{MODIFY_ANY, with_body, write};
use super::{Spotify, contents, editing};
use crate::call::Call;
use crate::error::ProviderError;
use crate::features::{Contents, Edit, Edited, Entry, PlaylistChange, PlaylistEdits};
use crate::provider::id_of;
use crate::types::Access;

#[async_trait]
impl PlaylistEdits for Spotify {
    fn service(&self) -> Provider {
        Provider::Spotify
    }

    async fn playlist_head(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        playlist: &ItemRef,
    ) -> Result<Playlist, ProviderError> {
        head(self, ctx, access, id_of(Provider::Spotify, playlist, EntityKind::Playlist)?).await
    }

    async fn playlist_contents(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        playlist: &ItemRef,
        most: u32,
    ) -> Result<Contents, ProviderError> {
        let id = id_of(Provider::Spotify, playlist, EntityKind::Playlist)?;
        contents::read(self, ctx, access, id, most).await
    }

    fn check_edits(&self, current: &[Box<str>], edits: &[Edit]) -> Result<(), ProviderError> {
        let mut names = current.to_vec();
        for edit in edits {
            plan(&borrowed(&names), edit, &HashSet::new())?;
            names = edit.applied(&names);
        }
        Ok(())
    }

    async fn edit_playlist(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        playlist: &ItemRef,
        (current, version): (&[Entry], Option<&str>),
        edit: &Edit,
        _idempotency_key: &str,
    ) -> Result<Edited, ProviderError> {
        let id = id_of(Provider::Spotify, playlist, EntityKind::Playlist)?;
        let held = current.iter().map(|entry| entry.name.clone()).collect();
        Editing::new(self, (ctx, access), id, (held, version)).run(edit).await
    }

    fn passes(&self, current: &[Box<str>], edit: &Edit, now: &[Box<str>]) -> Result<bool, ProviderError> {
        editing::passes(current, edit, now)
    }

    async fn update_playlist(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        playlist: &ItemRef,
        change: &PlaylistChange<'_>,
        _idempotency_key: &str,
    ) -> Result<(), ProviderError> {
        let id = id_of(Provider::Spotify, playlist, EntityKind::Playlist)?;
        let members = [
            ("name", change.name.map(Value::from)),
            ("description", change.description.map(Value::from)),
            ("public", change.public.map(Value::from)),
        ];
        let body: Map<String, Value> =
            members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        if body.is_empty() {
            return Ok(());
        }
        let call = write(access, Method::PUT, "change playlist", &["playlists", id], &[], MODIFY_ANY);
        self.http.acknowledged(ctx, &playlist_call(with_body(call, &body.into()))).await
    }

    async fn delete_playlist(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        playlist: &ItemRef,
        _idempotency_key: &str,
    ) -> Result<(), ProviderError> {
        id_of(Provider::Spotify, playlist, EntityKind::Playlist)?;
        let (uri, path) = (playlist.to_string(), ["me", "library"]);
        let call = write(access, Method::DELETE, "delete playlist", &path, &[("uris", &uri)], MODIFY_ANY);
        self.http.acknowledged(ctx, &call).await
    }
}

/// The request of one step.
pub(super) fn step_call<'a>(access: &Access<'a>, id: &str, step: &Step, version: Option<&str>) -> Call<'a> {
    let (method, operation, mut body) = match step {
        Step::Put(names) => (Method::PUT, "replace playlist items", json!({ "uris": names })),
        Step::Post(None, names) => (Method::POST, "add to playlist", json!({ "uris": names })),
        Step::Post(Some(at), names) => {
            (Method::POST, "add to playlist", json!({ "uris": names, "position": at }))
        }
        Step::Delete(names) => {
            let items: Vec<_> = names.iter().map(|name| json!({ "uri": name })).collect();
            (Method::DELETE, "remove from playlist", json!({ "items": items }))
        }
        Step::Move(range, before) => {
            let (start, length) = (range.start, range.len());
            let body = json!({ "range_start": start, "range_length": length, "insert_before": before });
            (Method::PUT, "reorder playlist", body)
        }
    };
    if let (Step::Delete(_) | Step::Move(..), Some(version)) = (step, version) {
        body["snapshot_id"] = version.into();
    }
    let call = write(access, method, operation, &["playlists", id, "items"], &[], MODIFY_ANY);
    playlist_call(with_body(call, &body))
}
