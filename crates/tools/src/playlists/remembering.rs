//! After a write: the version that is stored of it. What the service calls it is kept only for contents that were read;
//! by the answers alone nobody knows what others wrote meanwhile.

use stagedoor_domain::{CallId, Provider, PublicError, TenantContext};
use stagedoor_storage::playlist_versions::Cause;

use super::heads;
use super::memory::{self, Seen, Subject, names};
use super::route::{Names, number};
use super::telling::changes;
use super::writing::{Progress, Written, kept};
use crate::desk::Desk;
use crate::origin::Origin;

/// What a write was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aftermath<'a> {
    /// What it began from.
    pub(super) seen: &'a Seen,
    pub(super) cause: Cause,
    pub(super) call: CallId,
    /// Whether more than its answers tell may have been done.
    pub(super) uncertain: bool,
}

/// What is seen of a playlist after a write.
#[derive(Debug, Default)]
struct Sight {
    /// What the service calls it.
    version: Option<String>,
    count: Option<u32>,
    /// All of it, if that was read.
    contents: Option<Seen>,
}

/// Stores what a playlist holds by the answers. A short one is read as well, for no more than its version costs; a
/// longer one is read by whoever looks at it next. The caller is told of what is not as it was written.
pub(super) async fn remember(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    of: Subject<'_>,
    aftermath: Aftermath<'_>,
    progress: Progress,
) -> Written {
    let Progress { entries, version, skipped, head, .. } = progress;
    let Aftermath { seen, cause, call, uncertain } = aftermath;
    let wanted = names(&entries);
    // Whatever a look shows after a request that may be done or not, it cannot be told from what others did.
    let mut sight =
        if uncertain { Sight::default() } else { look(desk, ctx, origin, of, wanted.len()).await };
    let shown = shown(version, &sight, &wanted);
    let mut verified = verified(&sight, &wanted);
    let what = (&head, &*wanted);
    let stored = (verified.as_deref(), cause);
    let number = match memory::store_after(desk, ctx, of, stored, what, (call, seen.number)).await {
        Ok(Some(summary)) => Some(summary.number),
        // Another replica has stored something since.
        Ok(None) => {
            sight = Sight { contents: read(desk, ctx, origin, of).await.ok(), ..sight };
            verified = self::verified(&sight, &wanted);
            let stored = memory::store(desk, ctx, of, (verified.as_deref(), cause), what).await;
            kept(origin, stored.map(|summary| summary.number))
        }
        Err(error) => kept(origin, Err(error)),
    };
    notice(desk, ctx, origin, of, (&sight, seen), (&wanted, number)).await;
    Written { entries, number, provider_version: verified, shown, skipped, head }
}

/// What the service calls what was written, as far as it tells.
fn shown(answered: Option<String>, sight: &Sight, wanted: &[Box<str>]) -> Option<String> {
    let counted = sight.count.is_none_or(|count| count == number(wanted.len()));
    match answered {
        // Where the service shows another one, it does not show the write yet, or someone else has written since.
        Some(answered) => Some(answered),
        None => sight.version.clone().filter(|_| counted),
    }
}

/// What the service calls what was read, if that is what was written.
fn verified(sight: &Sight, wanted: &[Box<str>]) -> Option<String> {
    let contents = sight.contents.as_ref()?;
    contents.playlist.version.clone().filter(|_| contents.names() == wanted)
}

async fn look(desk: &Desk, ctx: &TenantContext, origin: &Origin, of: Subject<'_>, entries: usize) -> Sight {
    if entries <= page(of.playlist.provider()) {
        return match read(desk, ctx, origin, of).await {
            Ok(contents) => Sight {
                version: contents.playlist.version.clone(),
                count: Some(number(contents.entries.len())),
                contents: Some(contents),
            },
            Err(_) => Sight::default(),
        };
    }
    match memory::read_head(desk, ctx, origin, of).await {
        Ok(head) => Sight { version: head.version, count: head.item_count, contents: None },
        Err(_) => Sight::default(),
    }
}

async fn read(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    of: Subject<'_>,
) -> Result<Seen, PublicError> {
    let (playlist, items) = memory::read_contents(desk, ctx, origin, of).await?;
    let entries = items.iter().map(Into::into).collect();
    let head = heads::of(&playlist);
    Ok(Seen { playlist, entries, number: 0, head, items: Some(items) })
}

/// How many entries come with a playlist itself, in one request.
fn page(provider: Provider) -> usize {
    match provider {
        Provider::Spotify => 100,
        Provider::Tidal => 20,
    }
}

/// Tells of what is not as it was written, and stores it if it was read.
async fn notice(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    of: Subject<'_>,
    (sight, before): (&Sight, &Seen),
    (wanted, version): (&Names, Option<u32>),
) {
    let title = of.playlist.provider().title();
    let Some(contents) = &sight.contents else {
        if let Some(count) = sight.count.filter(|count| *count != number(wanted.len())) {
            origin.warn(format!(
                "{title} shows {count} entries, not the {} that were written: someone else may have changed the \
                 playlist, or it does not show everything yet. The next look reads it again.",
                wanted.len()
            ));
        }
        return;
    };
    let there = contents.names();
    if there == *wanted {
        return;
    }
    if there == before.names() {
        origin.warn(format!("{title} does not show the change yet; the next look reads the playlist again."));
        return;
    }
    let differs = changes((wanted, &contents.head), (&there, &contents.head));
    let stored = (contents.playlist.version.as_deref(), Cause::Elsewhere);
    let stored = memory::store(desk, ctx, of, stored, (&contents.head, &there)).await;
    let number = stored.ok().map(|summary| summary.number);
    let named = match (version, number) {
        (Some(version), Some(number)) => format!(" See playlist_diff from {version} to {number}."),
        _ => String::new(),
    };
    origin.warn(format!(
        "The playlist does not hold what was written ({}): someone else changed it meanwhile, or {title} left something \
         out.{named}",
        differs.in_words()
    ));
}

#[cfg(test)]
mod tests {
    use stagedoor_domain::music::Playlist;
    use stagedoor_providers::Entry;

    use super::*;

    fn sight(names: &[&str]) -> Sight {
        let playlist: Playlist = serde_json::from_value(serde_json::json!({
            "ref": "spotify:playlist:a", "name": "a", "version": "read"
        }))
        .unwrap();
        let entries = names.iter().map(|name| Entry::new(*name)).collect();
        let head = heads::of(&playlist);
        let count = Some(number(names.len()));
        let contents = Some(Seen { playlist, entries, number: 0, head, items: None });
        Sight { version: Some("read".to_owned()), count, contents }
    }

    #[test]
    fn only_what_was_read_is_vouched_for() {
        let wanted: Names = vec!["x".into(), "y".into()];
        assert_eq!(verified(&sight(&["x", "y"]), &wanted).as_deref(), Some("read"));
        assert_eq!(verified(&sight(&["y", "x"]), &wanted), None);
        let counted = Sight { contents: None, ..sight(&["x", "y"]) };
        assert_eq!(verified(&counted, &wanted), None, "a count tells nothing of the order");
        assert_eq!(shown(None, &counted, &wanted).as_deref(), Some("read"));
        assert_eq!(shown(Some("answered".to_owned()), &counted, &wanted).as_deref(), Some("answered"));
    }
}
