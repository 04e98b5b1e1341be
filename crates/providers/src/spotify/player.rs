//! Spotify's player. Commands take Premium and a device that is active or named.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use stagedoor_domain::music::Track;
use stagedoor_domain::playback::{Device, Playback};
use stagedoor_domain::{EntityKind, ItemRef, Provider, TenantContext};

use super::Spotify;
use super::request::{COMMAND_PLAYER, KINDS, READ_PLAYER, READ_QUEUE, cannot, get, market, with_body, write};
use super::wire::{DeviceObject, PlaybackObject, QueueObject};
use crate::call::Call;
use crate::error::ProviderError;
use crate::features::{PlaybackCommand, Player};
use crate::provider::{id_of, track_ids};
use crate::types::Access;

/// Most tracks that one command plays.
const MOST_TRACKS: usize = 100;

#[derive(Deserialize)]
struct DevicesAnswer {
    devices: Vec<Option<DeviceObject>>,
}

#[async_trait]
impl Player for Spotify {
    fn service(&self) -> Provider {
        Provider::Spotify
    }

    async fn playback(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
    ) -> Result<Option<Playback>, ProviderError> {
        let query: Vec<_> = market(access).into_iter().chain([KINDS]).collect();
        let call = Call { scopes: READ_PLAYER, ..get(access, "playback", &["me", "player"], &query) };
        let answer: Option<PlaybackObject> = self.http.json_or_nothing(ctx, &call).await?;
        Ok(answer.map(PlaybackObject::into_playback))
    }

    async fn queue(&self, ctx: &TenantContext, access: &Access<'_>) -> Result<Vec<Track>, ProviderError> {
        let call = Call { scopes: READ_QUEUE, ..get(access, "queue", &["me", "player", "queue"], &[]) };
        let answer: Option<QueueObject> = self.http.json_or_nothing(ctx, &call).await?;
        Ok(answer.map(QueueObject::into_tracks).unwrap_or_default())
    }

    async fn devices(&self, ctx: &TenantContext, access: &Access<'_>) -> Result<Vec<Device>, ProviderError> {
        let path = ["me", "player", "devices"];
        let call = Call { scopes: READ_PLAYER, ..get(access, "devices", &path, &[]) };
        let answer: DevicesAnswer = self.http.json(ctx, &call).await?;
        Ok(answer.devices.into_iter().flatten().filter_map(DeviceObject::into_device).collect())
    }

    async fn command_playback(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        command: &PlaybackCommand,
        device: Option<&str>,
    ) -> Result<(), ProviderError> {
        self.http.acknowledged(ctx, &Command::of(command, device)?.call(access, device)).await
    }

    async fn queue_add(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        track: &ItemRef,
        device: Option<&str>,
    ) -> Result<(), ProviderError> {
        id_of(Provider::Spotify, track, EntityKind::Track)?;
        let uri = ("uri", track.to_string());
        let command = Command { query: Some(uri), ..Command::new(Method::POST, "add to queue", &["queue"]) };
        self.http.acknowledged(ctx, &command.call(access, device)).await
    }
}

/// A command as a request: below `/me/player`.
struct Command {
    method: Method,
    operation: &'static str,
    path: &'static [&'static str],
    query: Option<(&'static str, String)>,
    body: Option<Value>,
    /// Whether the device is a parameter; a transfer has it in its body.
    takes_device: bool,
}

impl Command {
    fn new(method: Method, operation: &'static str, path: &'static [&'static str]) -> Self {
        Self { method, operation, path, query: None, body: None, takes_device: true }
    }

    fn of(command: &PlaybackCommand, device: Option<&str>) -> Result<Self, ProviderError> {
        let with =
            |operation, path, query| Self { query: Some(query), ..Self::new(Method::PUT, operation, path) };
        Ok(match command {
            PlaybackCommand::Play { items, position } => {
                let body = Some(what_to_play(items, *position)?);
                Self { body, ..Self::new(Method::PUT, "play", &["play"]) }
            }
            PlaybackCommand::Resume => Self::new(Method::PUT, "resume", &["play"]),
            PlaybackCommand::Pause => Self::new(Method::PUT, "pause", &["pause"]),
            PlaybackCommand::Next => Self::new(Method::POST, "next", &["next"]),
            PlaybackCommand::Previous => Self::new(Method::POST, "previous", &["previous"]),
            PlaybackCommand::Seek(to) => with("seek", &["seek"], ("position_ms", milliseconds(*to))),
            PlaybackCommand::Volume(percent) if *percent > 100 => {
                return Err(cannot("play louder than 100 %"));
            }
            PlaybackCommand::Volume(percent) => {
                with("volume", &["volume"], ("volume_percent", percent.to_string()))
            }
            PlaybackCommand::Shuffle(on) => with("shuffle", &["shuffle"], ("state", on.to_string())),
            PlaybackCommand::Repeat(mode) => with("repeat", &["repeat"], ("state", mode.to_string())),
            PlaybackCommand::Transfer => {
                let device = device.ok_or_else(|| cannot("move playback without the id of a device"))?;
                let body = Some(json!({ "device_ids": [device], "play": true }));
                Self { body, takes_device: false, ..Self::new(Method::PUT, "transfer playback", &[]) }
            }
        })
    }

    fn call<'a>(&self, access: &Access<'a>, device: Option<&str>) -> Call<'a> {
        let path: Vec<&str> = ["me", "player"].iter().chain(self.path).copied().collect();
        let query = self.query.as_ref().map(|(name, value)| (*name, value.as_str()));
        let device = device.filter(|_| self.takes_device).map(|device| ("device_id", device));
        let query: Vec<_> = query.into_iter().chain(device).collect();
        let call = write(access, self.method.clone(), self.operation, &path, &query, COMMAND_PLAYER);
        match &self.body {
            Some(body) => with_body(call, body),
            None => call,
        }
    }
}

/// Tracks, or one album, artist or playlist.
fn what_to_play(items: &[ItemRef], position: Option<u32>) -> Result<Value, ProviderError> {
    let mut body = match items {
        [item] if item.kind() != EntityKind::Track => {
            let begins_at_will = matches!(item.kind(), EntityKind::Album | EntityKind::Playlist);
            if item.provider() != Provider::Spotify || !(begins_at_will || item.kind() == EntityKind::Artist)
            {
                return Err(cannot(format!("play {item}")));
            }
            if position.is_some() && !begins_at_will {
                return Err(cannot("begin at a position of an artist's tracks"));
            }
            json!({ "context_uri": item })
        }
        tracks if (1..=MOST_TRACKS).contains(&tracks.len()) => {
            track_ids(Provider::Spotify, tracks)?;
            json!({ "uris": tracks })
        }
        _ => return Err(cannot("play no track, or more than 100 at once; play a playlist instead")),
    };
    if let Some(position) = position {
        body["offset"] = json!({ "position": position });
    }
    Ok(body)
}

fn milliseconds(duration: Duration) -> String {
    duration.as_millis().to_string()
}
