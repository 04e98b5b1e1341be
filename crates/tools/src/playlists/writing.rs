//! Sending edits to a service: one after the other, with what became of each, and the version that is stored of it.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use stagedoor_cache::{DataScope, PlaylistSlot};
use stagedoor_crypto::digest;
use stagedoor_domain::music::Playlist;
use stagedoor_domain::{CallId, PublicError, TenantContext};
use stagedoor_providers::{Edit, Edited, Entry, NewPlaylist, ProviderError, Skipped};
use stagedoor_storage::playlist_versions::{Cause, Head};

use super::heads::{self, HeadChange};
use super::memory::{self, Seen, Subject, names};
use super::once::{Note, Once};
use super::remembering::{Aftermath, remember};
use super::route::{number, rebased};
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
    /// Whose doing it is.
    pub(super) call: CallId,
    /// The right to write, which is renewed with each edit, and what is noted meanwhile.
    pub(super) keeping: Option<(&'a Once, &'a Note)>,
}

/// What a playlist holds after a write, by the service's answers.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    /// Every entry.
    pub(crate) entries: Vec<Entry>,
    /// The number of the stored version; `None` if it could not be stored, which the caller is warned of.
    pub(crate) number: Option<u32>,
    /// What the service calls it, if it was read at that version.
    pub(crate) provider_version: Option<String>,
    /// What the service answered that it calls it, whoever else may have written by then.
    pub(super) shown: Option<String>,
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
pub(super) struct Progress {
    pub(super) entries: Vec<Entry>,
    pub(super) version: Option<String>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) head: Head,
    begun: bool,
}

/// Adds at the end of a playlist that holds what was seen, whose turn the caller holds.
pub(crate) async fn append(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    (of, seen): (Subject<'_>, &Seen),
    names: &[Box<str>],
    (key, cause, call): (&str, Cause, CallId),
) -> Result<Written, Unwritten> {
    let edits = &[Edit::Insert { at: number(seen.entries.len()), names: names.to_vec() }];
    let head = &HeadChange::default();
    send(desk, ctx, origin, (of, seen), Errand { edits, head, key, cause, call, keeping: None }).await
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
    let key = &key_of(key, &format!("{playlist:?}"));
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
    let uncertain = uncertain.load(Ordering::Relaxed);
    let begun = progress.begun;
    let aftermath = Aftermath { seen, cause: errand.cause, call: errand.call, uncertain };
    match sent {
        Ok(()) => Ok(remember(desk, ctx, origin, of, aftermath, progress).await),
        Err(error) if begun => {
            let so_far = remember(desk, ctx, origin, of, aftermath, progress).await;
            Err(Unwritten { error, uncertain, so_far: Some(Box::new(so_far)) })
        }
        Err(error) => Err(Unwritten { error, uncertain, so_far: None }),
    }
}

async fn send_all(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    of: Subject<'_>,
    Errand { edits, head, key, keeping, .. }: Errand<'_>,
    progress: &mut Progress,
    uncertain: &AtomicBool,
) -> Result<(), PublicError> {
    let scope = DataScope::Playlist(PlaylistSlot::of(of.playlist.id()));
    // The service's own keys tell requests apart, and are the same again for whoever goes on.
    let edits_key = &key_of(key, "");
    let mut edits = edits.to_vec();
    edits.reverse();
    while let Some(edit) = edits.pop() {
        let edit = &edit;
        keep(desk, ctx, keeping, progress).await?;
        let key = edits_key;
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
        let planned = edit.applied(&names(&progress.entries));
        progress.entries = edited.entries;
        progress.version = edited.version;
        progress.skipped.extend(edited.skipped);
        progress.begun = true;
        if let Some(error) = failure {
            return Err(error);
        }
        let now = names(&progress.entries);
        if now != planned && !edits.is_empty() {
            // Something was left out, so that the other edits do not fit any more.
            edits.reverse();
            let skipped = progress.skipped.iter().map(|skipped| skipped.item.to_string().into());
            edits = rebased(&planned, &now, &edits, &skipped.collect());
            edits.reverse();
        }
    }
    if !head.is_empty() {
        keep(desk, ctx, keeping, progress).await?;
        let key = &key_of(key, &format!("{head:?}"));
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

/// Renews the right to write, unless it was had just now.
async fn keep(
    desk: &Desk,
    ctx: &TenantContext,
    keeping: Option<(&Once, &Note)>,
    progress: &Progress,
) -> Result<(), PublicError> {
    match keeping {
        Some((once, note)) if progress.begun => once.writing(desk, ctx, note).await,
        _ => Ok(()),
    }
}

/// A write that was done is no failure because it could not be remembered.
pub(super) fn kept(origin: &Origin, stored: Result<u32, PublicError>) -> Option<u32> {
    if stored.is_err() {
        origin.warn(
            "It was done, but its version could not be stored now; the next look at the playlist stores what it holds.",
        );
    }
    stored.ok()
}

/// The key of a kind of requests under that of the whole: 32 hexadecimal digits.
fn key_of(key: &str, kind: &str) -> String {
    let parts = [digest::sha256(&[key.as_bytes()]), digest::sha256(&[kind.as_bytes()])];
    hex(&digest::sha256(&[parts.as_flattened()])[..16])
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
    fn equal_requests_have_an_equal_key() {
        let key = key_of("a", "name");
        assert_eq!(key, key_of("a", "name"));
        assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(key != key_of("b", "name") && key != key_of("a", "description"));
    }
}
