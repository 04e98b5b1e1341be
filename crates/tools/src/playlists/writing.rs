//! Sending edits to a service: one after the other, with what became of each, and the version that is stored of it.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use stagedoor_cache::{DataScope, PlaylistSlot};
use stagedoor_crypto::digest;
use stagedoor_domain::music::Playlist;
use stagedoor_domain::{PublicError, TenantContext};
use stagedoor_providers::{Edit, Edited, Entry, NewPlaylist, ProviderError, Skipped};
use stagedoor_storage::playlist_versions::{Cause, Head};

use super::heads::{self, HeadChange};
use super::memory::{self, Seen, Subject, names};
use super::route::number;
use crate::accounts::Account;
use crate::desk::{Desk, told};
use crate::origin::Origin;

/// What to send, and how it is known afterwards.
#[derive(Debug, Clone, Copy)]
pub(super) struct Errand<'a> {
    pub(super) edits: &'a [Edit],
    pub(super) head: &'a HeadChange,
    /// Equal errands under an equal key are done once where the service honours such keys.
    pub(super) key: &'a str,
    pub(super) cause: Cause,
}

/// What a playlist holds after a write, by the service's answers.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    /// Every entry.
    pub(crate) entries: Vec<Entry>,
    /// The number of the stored version; `None` if it could not be stored, which the caller is warned of.
    pub(crate) number: Option<u32>,
    /// What the service calls it, if that is known for sure.
    pub(crate) provider_version: Option<String>,
    /// What the service left out.
    pub(crate) skipped: Vec<Skipped>,
    pub(super) head: Head,
}

/// Why a write was not done, or not all of it.
#[derive(Debug)]
pub(crate) struct Unwritten {
    /// What the agent may know.
    pub(crate) error: PublicError,
    /// Whether what was sent last may have been done all the same.
    pub(crate) uncertain: bool,
    /// What the playlist holds if something was done; stored as a version.
    pub(crate) so_far: Option<Box<Written>>,
}

/// How one request, or several, ended.
enum Attempt {
    Done(Edited),
    Interrupted(Edited, PublicError),
}

/// What is known of the playlist while its edits are sent.
struct Progress {
    entries: Vec<Entry>,
    version: Option<String>,
    skipped: Vec<Skipped>,
    head: Head,
    begun: bool,
}

/// Adds at the end of a playlist that holds what was seen, whose turn the caller holds.
pub(crate) async fn append(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    (of, seen): (Subject<'_>, &Seen),
    names: &[Box<str>],
    (key, cause): (&str, Cause),
) -> Result<Written, Unwritten> {
    let edits = &[Edit::Insert { at: number(seen.entries.len()), names: names.to_vec() }];
    send(desk, ctx, origin, (of, seen), Errand { edits, head: &HeadChange::default(), key, cause }).await
}

/// Makes a playlist, whose first version is stored.
pub(crate) async fn create(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    (account, playlist): (&Account, &NewPlaylist<'_>),
    (key, cause): (&str, Cause),
) -> Result<(Playlist, Option<u32>), Unwritten> {
    let uncertain = AtomicBool::new(false);
    let key = &key_of(key, &format!("{playlist:?}"), &[]);
    let made = desk
        .write_doubted(ctx, origin, (account, DataScope::Playlists), &uncertain, |music, access| async move {
            music.create_playlist(ctx, &access.borrow(), playlist, key).await
        })
        .await
        .map_err(|error| Unwritten { error, uncertain: uncertain.load(Ordering::Relaxed), so_far: None })?;
    let of = Subject { account, playlist: &made.reference };
    let stored = (made.version.as_deref(), cause);
    let stored = memory::store(desk, ctx, of, stored, (&heads::of(&made), &[])).await;
    let number = kept(origin, stored.map(|summary| summary.number));
    Ok((made, number))
}

/// Sends edits and a change of the head, and stores what came of it.
pub(super) async fn send(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    (of, seen): (Subject<'_>, &Seen),
    errand: Errand<'_>,
) -> Result<Written, Unwritten> {
    let mut progress = Progress {
        entries: seen.entries.clone(),
        version: seen.playlist.version.clone(),
        skipped: Vec::new(),
        head: seen.head.clone(),
        begun: false,
    };
    let uncertain = AtomicBool::new(false);
    let sent = send_all(desk, ctx, origin, of, errand, &mut progress, &uncertain).await;
    let error = match sent {
        Ok(()) => return Ok(remember(desk, ctx, origin, of, errand.cause, progress).await),
        Err(error) => error,
    };
    let so_far = if progress.begun {
        Some(Box::new(remember(desk, ctx, origin, of, errand.cause, progress).await))
    } else {
        None
    };
    Err(Unwritten { error, uncertain: uncertain.load(Ordering::Relaxed), so_far })
}

async fn send_all(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    of: Subject<'_>,
    Errand { edits, head, key, .. }: Errand<'_>,
    progress: &mut Progress,
    uncertain: &AtomicBool,
) -> Result<(), PublicError> {
    let scope = DataScope::Playlist(PlaylistSlot::of(of.playlist.id()));
    for edit in edits {
        let key = &key_of(key, &format!("{edit:?}"), &progress.entries);
        let current = (&*progress.entries, progress.version.as_deref());
        let attempt = desk
            .write_doubted(ctx, origin, (of.account, scope), uncertain, |music, access| async move {
                let access = access.patient(desk);
                let edited =
                    music.edit_playlist(ctx, &access.borrow(), of.playlist, current, edit, key).await;
                match edited {
                    Err(ProviderError::Interrupted { so_far, cause, .. }) => {
                        if cause.uncertain() {
                            uncertain.store(true, Ordering::Relaxed);
                        }
                        Ok(Attempt::Interrupted(*so_far, told(origin, &cause)))
                    }
                    edited => edited.map(Attempt::Done),
                }
            })
            .await?;
        let (edited, failure) = match attempt {
            Attempt::Done(edited) => (edited, None),
            Attempt::Interrupted(edited, error) => (edited, Some(error)),
        };
        progress.entries = edited.entries;
        progress.version = edited.version;
        progress.skipped.extend(edited.skipped);
        progress.begun = true;
        if let Some(error) = failure {
            return Err(error);
        }
    }
    if !head.is_empty() {
        let key = &key_of(key, &format!("{head:?}"), &[]);
        desk.write_doubted(ctx, origin, (of.account, scope), uncertain, |music, access| async move {
            music.update_playlist(ctx, &access.borrow(), of.playlist, &head.borrow(), key).await
        })
        .await?;
        progress.head = head.applied(&progress.head);
        // Some services count it as a new version, and none tells which.
        progress.version = None;
        progress.begun = true;
    }
    Ok(())
}

/// Stores what a playlist holds by the answers. What the service calls it is only kept if a look at it shows that nobody
/// else wrote meanwhile; else the next look reads it.
async fn remember(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    of: Subject<'_>,
    cause: Cause,
    progress: Progress,
) -> Written {
    let Progress { entries, version, skipped, head, .. } = progress;
    let provider_version = match memory::read_head(desk, ctx, origin, of).await {
        Ok(now) => {
            let counted = now.item_count.is_none_or(|count| count == number(entries.len()));
            match &version {
                // The service does not show the write yet, or someone else has written since.
                Some(version) if now.version.as_ref() != Some(version) => Some(version.clone()),
                _ => now.version.filter(|_| counted),
            }
        }
        Err(_) => version,
    };
    let stored = (provider_version.as_deref(), cause);
    let stored = memory::store(desk, ctx, of, stored, (&head, &names(&entries))).await;
    let number = kept(origin, stored.map(|summary| summary.number));
    Written { entries, number, provider_version, skipped, head }
}

/// A write that was done is no failure because it could not be remembered.
fn kept(origin: &Origin, stored: Result<u32, PublicError>) -> Option<u32> {
    if stored.is_err() {
        origin.warn(
            "It was done, but its version could not be stored now; the next look at the playlist stores what it holds.",
        );
    }
    stored.ok()
}

/// The key of one edit under a key of the whole: another one for each edit, and for each state that it begins from.
fn key_of(key: &str, edit: &str, current: &[Entry]) -> String {
    let mut parts = vec![digest::sha256(&[key.as_bytes()]), digest::sha256(&[edit.as_bytes()])];
    parts.extend(current.iter().map(|entry| digest::sha256(&[entry.name.as_bytes()])));
    hex(&digest::sha256(&[parts.as_flattened()]))
}

/// A digest as text.
pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(2 * digest.len()), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_edits_of_an_equal_state_have_an_equal_key() {
        let entries = |names: &[&str]| names.iter().map(|name| Entry::new(*name)).collect::<Vec<_>>();
        let key = key_of("a", "edit", &entries(&["x", "y"]));
        assert_eq!(key, key_of("a", "edit", &entries(&["x", "y"])));
        assert!(key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let others =
            [("b", "edit", &["x", "y"][..]), ("a", "other", &["x", "y"]), ("a", "edit", &["y", "x"])];
        for (other, edit, names) in others {
            assert_ne!(key, key_of(other, edit, &entries(names)));
        }
    }
}
