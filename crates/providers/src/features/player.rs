//! What plays where, and commands to it.

use std::time::Duration;

use async_trait::async_trait;
use stagedoor_domain::music::Track;
use stagedoor_domain::playback::{Device, Playback, RepeatMode};
use stagedoor_domain::{ItemRef, Provider, TenantContext};

use super::lacks;
use crate::error::ProviderError;
use crate::types::Access;

/// A command to a player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaybackCommand {
    /// Plays tracks, or one album, artist or playlist.
    Play {
        /// Tracks, 1-100, or one album, artist or playlist.
        items: Vec<ItemRef>,
        /// The position in the album or playlist to begin at, from 0.
        position: Option<u32>,
    },
    /// Goes on with what was paused.
    Resume,
    /// Pauses.
    Pause,
    /// The next track.
    Next,
    /// The one before.
    Previous,
    /// Goes to a place in the track.
    Seek(Duration),
    /// 0-100.
    Volume(u32),
    /// Random order or not.
    Shuffle(bool),
    /// What is played again.
    Repeat(RepeatMode),
    /// Goes on playing on the device that is named, and plays if it was paused.
    Transfer,
}

/// What plays where, and commands to it.
#[async_trait]
pub trait Player: Send + Sync {
    /// Which service this is.
    fn service(&self) -> Provider;

    /// What plays now; `None` if nothing does and nothing did lately.
    async fn playback(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
    ) -> Result<Option<Playback>, ProviderError> {
        let _ = (ctx, access);
        lacks(self.service(), "tell what plays")
    }

    /// The tracks that play next; anything else is left out.
    async fn queue(&self, ctx: &TenantContext, access: &Access<'_>) -> Result<Vec<Track>, ProviderError> {
        let _ = (ctx, access);
        lacks(self.service(), "tell what plays next")
    }

    /// Where the account can play.
    async fn devices(&self, ctx: &TenantContext, access: &Access<'_>) -> Result<Vec<Device>, ProviderError> {
        let _ = (ctx, access);
        lacks(self.service(), "list devices")
    }

    /// Commands the player on `device`, or the one that plays. `ProviderError::NoActiveDevice` if none does.
    async fn command_playback(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        command: &PlaybackCommand,
        device: Option<&str>,
    ) -> Result<(), ProviderError> {
        let _ = (ctx, access, command, device);
        lacks(self.service(), "control playback")
    }

    /// Adds a track to what plays next.
    async fn queue_add(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        track: &ItemRef,
        device: Option<&str>,
    ) -> Result<(), ProviderError> {
        let _ = (ctx, access, track, device);
        lacks(self.service(), "add to a queue")
    }
}
