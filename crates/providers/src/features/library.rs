//! What an account has saved, and what it listens to.

use async_trait::async_trait;
use stagedoor_domain::music::{Item, Page, SavedItem};
use stagedoor_domain::playback::Played;
use stagedoor_domain::{EntityKind, ItemRef, Provider, TenantContext};

use super::lacks;
use crate::error::ProviderError;
use crate::types::Access;

/// Over which time something was listened to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopRange {
    /// About four weeks.
    Short,
    /// About six months.
    Medium,
    /// About a year.
    Long,
}

/// What an account has saved, and what it listens to.
#[async_trait]
pub trait Library: Send + Sync {
    /// Which service this is.
    fn service(&self) -> Provider;

    /// What the account has saved, newest first: tracks, albums, artists (followed) or playlists (followed).
    async fn library(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        kind: EntityKind,
        limit: u32,
        page: Option<&str>,
    ) -> Result<Page<SavedItem>, ProviderError> {
        let _ = (ctx, access, kind, limit, page);
        lacks(self.service(), "list a library")
    }

    /// Whether the account has saved each of these, in their order.
    async fn library_contains(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        items: &[ItemRef],
    ) -> Result<Vec<bool>, ProviderError> {
        let _ = (ctx, access, items);
        lacks(self.service(), "tell whether an item is saved without listing all; use library_list")
    }

    /// Saves items of any kind but mixes. If a later batch fails, `ProviderError::PartlyDone` says which are in.
    async fn library_save(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        items: &[ItemRef],
        idempotency_key: &str,
    ) -> Result<(), ProviderError> {
        let _ = (ctx, access, items, idempotency_key);
        lacks(self.service(), "save items")
    }

    /// Takes items out of the library; what was not in it stays out. If a later batch fails,
    /// `ProviderError::PartlyDone` says which are out.
    async fn library_remove(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        items: &[ItemRef],
        idempotency_key: &str,
    ) -> Result<(), ProviderError> {
        let _ = (ctx, access, items, idempotency_key);
        lacks(self.service(), "remove saved items")
    }

    /// The tracks or artists that the account listens to most.
    async fn top(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        (kind, range): (EntityKind, TopRange),
        limit: u32,
        page: Option<&str>,
    ) -> Result<Page<Item>, ProviderError> {
        let _ = (ctx, access, kind, range, limit, page);
        lacks(self.service(), "tell what is listened to most")
    }

    /// What was played last, newest first; about 50 in all.
    async fn recently_played(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        limit: u32,
        page: Option<&str>,
    ) -> Result<Page<Played>, ProviderError> {
        let _ = (ctx, access, limit, page);
        lacks(self.service(), "tell what was played")
    }
}
