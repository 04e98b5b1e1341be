//! `playlist_versions` and `playlist_diff`: what a playlist was, as far as it was seen; and which version an undo means.

use chrono::SecondsFormat;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_domain::{EntityKind, ErrorCode, ItemRef, PublicError, TenantContext, ToolName};
use stagedoor_storage::playlist_versions::{self, Cause, KEPT, Summary, Version};

use super::expected::Expected;
use super::memory::{self, Depth, Subject};
use super::output::Changes;
use super::telling::changes;
use crate::arguments::{bounded, invalid};
use crate::cursor;
use crate::desk::Desk;
use crate::origin::Origin;
use crate::records::store_failure;
use crate::reuse::Produced;

/// Why the version is stored that a playlist had when it was deleted.
pub(super) const DELETED: Cause = Cause::After(ToolName::PlaylistDelete);

/// Whose versions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VersionsArguments {
    #[serde(rename = "ref")]
    reference: String,
    account: Option<String>,
    /// 1-100; 20 if left out.
    limit: Option<u32>,
    cursor: Option<String>,
}

/// Which versions to compare.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiffArguments {
    #[serde(rename = "ref")]
    reference: String,
    account: Option<String>,
    /// A version's number; the one before `to` if left out. 0 stands for an empty playlist.
    from: Option<u32>,
    /// A version's number, or `now` if left out.
    to: Option<Expected>,
}

/// A page of versions, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct VersionsOutput {
    #[serde(rename = "ref")]
    reference: ItemRef,
    versions: Vec<VersionOutput>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// One version.
#[derive(Debug, Serialize, JsonSchema)]
struct VersionOutput {
    /// Its number.
    version: u32,
    /// What the service calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_version: Option<String>,
    /// Why it was stored: `before` a change, a tool's name, `undo of N`, `elsewhere`, `transfer`.
    cause: String,
    /// When (RFC 3339).
    recorded_at: String,
    /// Its entries.
    count: u32,
}

/// What differs between two versions.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DiffOutput {
    #[serde(rename = "ref")]
    reference: ItemRef,
    from: VersionOutput,
    to: VersionOutput,
    #[serde(flatten)]
    changes: Changes,
}

impl From<Summary> for VersionOutput {
    fn from(summary: Summary) -> Self {
        Self {
            version: summary.number,
            provider_version: summary.provider_version,
            cause: summary.cause.to_string(),
            recorded_at: summary.recorded_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            count: summary.entries,
        }
    }
}

pub(crate) async fn versions(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: VersionsArguments,
) -> Produced {
    let limit = bounded("limit", arguments.limit, 20, 100)?;
    let field = ("ref", arguments.reference.as_str(), EntityKind::Playlist);
    let (playlist, account) = desk.item_and_account(ctx, origin, field, arguments.account.as_deref()).await?;
    let of = Subject { account: &account, playlist: &playlist };
    let binding = format!("{} {playlist}", account.id);
    let tool = ToolName::PlaylistVersions;
    let before = if let Some(sealed) = &arguments.cursor {
        let page = cursor::open(desk, ctx, origin, (tool, &binding), sealed).await?;
        Some(page.parse().map_err(|_| cursor::invalid("is of a form that is no longer known"))?)
    } else {
        look_first(desk, ctx, origin, of).await?;
        None
    };
    let mut found = list(desk, ctx, of, before, limit + 1).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next_cursor = match found.last().filter(|_| more) {
        Some(last) => Some(cursor::seal(desk, ctx, tool, &binding, &last.number.to_string()).await?),
        None => None,
    };
    let versions = found.into_iter().map(VersionOutput::from).collect();
    desk.fresh(&VersionsOutput { reference: playlist, versions, next_cursor })
}

pub(crate) async fn diff(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: DiffArguments,
) -> Produced {
    let to = match &arguments.to {
        None => None,
        Some(Expected::Text(text)) if text == "now" => None,
        Some(Expected::Number(number)) => Some(*number),
        Some(Expected::Text(text)) => {
            Some(text.parse().map_err(|_| invalid("`to` must be a version's number or \"now\"."))?)
        }
    };
    let field = ("ref", arguments.reference.as_str(), EntityKind::Playlist);
    let (playlist, account) = desk.item_and_account(ctx, origin, field, arguments.account.as_deref()).await?;
    let of = Subject { account: &account, playlist: &playlist };
    let to = if let Some(number) = to {
        number
    } else {
        look_first(desk, ctx, origin, of).await?;
        memory::newest(desk, ctx, of).await?.ok_or_else(|| no_version(None))?.number
    };
    let from = match arguments.from {
        Some(from) => from,
        None => list(desk, ctx, of, Some(to), 1).await?.first().map_or(to, |before| before.number),
    };
    let to = version(desk, ctx, of, to).await?;
    let from = match from {
        0 => nothing(&to),
        from => version(desk, ctx, of, from).await?,
    };
    let changes = changes((&from.entries, &from.head), (&to.entries, &to.head));
    desk.fresh(&DiffOutput {
        reference: playlist.clone(),
        from: from.summary.into(),
        to: to.summary.into(),
        changes,
    })
}

/// The version that an undo restores: the one that is named, else the one before the last write.
pub(super) async fn to_restore(
    desk: &Desk,
    ctx: &TenantContext,
    of: Subject<'_>,
    named: Option<u32>,
) -> Result<Version, PublicError> {
    let number = match named {
        Some(number) => number,
        None => before_last_write(&list(desk, ctx, of, None, KEPT).await?)?,
    };
    version(desk, ctx, of, number).await
}

/// The number of the version before the last write, which has to be the last thing that happened. A write that was cut
/// off and went on later is one, with all its versions.
fn before_last_write(newest_first: &[Summary]) -> Result<u32, PublicError> {
    let newest = newest_first.first().ok_or_else(|| no_version(None))?;
    match newest.cause {
        Cause::Elsewhere => Err(PublicError::new(
            ErrorCode::Conflict,
            "The playlist was changed elsewhere since the last write here; an undo would take that back, too.",
        )
        .hint("See playlist_versions and playlist_diff, then name the version to restore as `to_version`.")),
        Cause::Before => Err(nothing_to_undo()),
        Cause::Undo { .. } if newest_first.get(1).is_some_and(|before| before.cause == DELETED) => {
            Err(PublicError::new(
                ErrorCode::VersionUnknown,
                "The last change brought the deleted playlist back, which is not undone.",
            )
            .hint("playlist_delete deletes it again; playlist_versions shows which versions can be restored."))
        }
        Cause::After(_) | Cause::Undo { .. } | Cause::Transfer => {
            // What made the playlist is no change of it.
            let is_of_it = |version: &&Summary| {
                version.call == newest.call
                    && is_write(version.cause)
                    && newest.call.is_some()
                    && (version.number > 1 || version.number == newest.number)
            };
            let versions = newest_first.iter().take_while(is_of_it).count().max(1);
            // Versions of a transfer take each other's place, so that numbers are left out.
            let before = newest_first.get(versions).map_or_else(
                || newest_first[versions - 1].number.checked_sub(1).filter(|number| *number > 0),
                |before| Some(before.number),
            );
            before.ok_or_else(nothing_to_undo)
        }
    }
}

fn is_write(cause: Cause) -> bool {
    matches!(cause, Cause::After(_) | Cause::Undo { .. } | Cause::Transfer)
}

/// An empty playlist, as it may have been before anything was stored of it.
fn nothing(then: &Version) -> Version {
    let summary = Summary {
        number: 0,
        provider_version: None,
        cause: Cause::Before,
        entries: 0,
        call: None,
        ..then.summary.clone()
    };
    Version { summary, head: then.head.clone(), entries: Vec::new() }
}

fn nothing_to_undo() -> PublicError {
    PublicError::new(ErrorCode::VersionUnknown, "Nothing was changed here that could be undone.")
        .hint("playlist_versions shows which versions are stored; name one as `to_version`.")
}

async fn version(
    desk: &Desk,
    ctx: &TenantContext,
    of: Subject<'_>,
    number: u32,
) -> Result<Version, PublicError> {
    memory::load(desk, ctx, of, number).await?.ok_or_else(|| no_version(Some(number)))
}

async fn list(
    desk: &Desk,
    ctx: &TenantContext,
    of: Subject<'_>,
    before: Option<u32>,
    limit: u32,
) -> Result<Vec<Summary>, PublicError> {
    let found = playlist_versions::list(desk.vault(), ctx, of.account.id, of.playlist, before, limit).await;
    found.map_err(|error| store_failure(&error))
}

/// Stores what has changed elsewhere. What is stored is told even if the service cannot be asked or shows the playlist
/// no more.
async fn look_first(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    of: Subject<'_>,
) -> Result<(), PublicError> {
    let Err(error) = memory::look(desk, ctx, origin, of, Depth::Names).await else { return Ok(()) };
    if error.code == ErrorCode::StoreUnavailable || memory::newest(desk, ctx, of).await?.is_none() {
        return Err(error);
    }
    let title = of.playlist.provider().title();
    origin.warn(format!("{title} could not tell whether the playlist has changed since: {}", error.message));
    Ok(())
}

fn no_version(number: Option<u32>) -> PublicError {
    let message = match number {
        Some(number) => format!("No version {number} of this playlist is stored."),
        None => "No version of this playlist is stored.".to_owned(),
    };
    PublicError::new(ErrorCode::VersionUnknown, message).hint(format!(
        "playlist_versions shows which there are; the newest {KEPT} are kept of each playlist that was changed or \
         looked at here."
    ))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use stagedoor_domain::ToolName;

    use super::*;

    fn newest(number: u32, cause: Cause) -> Vec<Summary> {
        let (recorded_at, provider_version, call) = (DateTime::UNIX_EPOCH, None, None);
        vec![Summary { number, cause, provider_version, recorded_at, entries: 0, call }]
    }

    #[test]
    fn an_undo_takes_back_the_last_write_and_nothing_else() {
        let undone = |number, cause| before_last_write(&newest(number, cause)).map_err(|error| error.code);
        assert_eq!(undone(5, Cause::After(ToolName::PlaylistAdd)), Ok(4));
        assert_eq!(undone(6, Cause::Undo { to: 4 }), Ok(5));
        assert_eq!(undone(5, Cause::Elsewhere), Err(ErrorCode::Conflict));
        assert_eq!(undone(1, Cause::Before), Err(ErrorCode::VersionUnknown));
        assert_eq!(undone(1, Cause::After(ToolName::PlaylistCreate)), Err(ErrorCode::VersionUnknown));
        let call = |number| Some(stagedoor_domain::CallId(uuid::Uuid::from_u128(number)));
        let one = |number, cause, of| Summary { call: call(of), ..newest(number, cause).remove(0) };
        let add = Cause::After(ToolName::PlaylistAdd);
        let resumed = [one(6, add, 2), one(5, add, 2), one(4, Cause::Elsewhere, 2), one(3, add, 2)];
        assert_eq!(before_last_write(&resumed), Ok(4), "what one call did, in two goes");
        assert_eq!(before_last_write(&[one(6, add, 2), one(5, add, 1)]), Ok(5));
        let moved = |number, entries, of| Summary { entries, ..one(number, Cause::Transfer, of) };
        let into_new = [moved(9, 80, 3), moved(8, 40, 3), moved(1, 0, 3)];
        assert_eq!(before_last_write(&into_new), Ok(1), "a playlist that a transfer made is empty again");
        let into_old = [moved(9, 80, 3), moved(5, 40, 3), moved(3, 20, 2), one(2, add, 1)];
        assert_eq!(before_last_write(&into_old), Ok(3), "what one transfer did, and not the one before");
        let back = [one(7, Cause::Undo { to: 5 }, 2), one(6, DELETED, 1), one(5, add, 1)];
        assert_eq!(before_last_write(&back).map_err(|error| error.code), Err(ErrorCode::VersionUnknown));
        assert_eq!(before_last_write(&[]).map_err(|error| error.code), Err(ErrorCode::VersionUnknown));
    }
}
