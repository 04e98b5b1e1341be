//! The tools that change what a playlist holds, or what it is called: their arguments, turned into what `editing` does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_domain::text::clean;
use stagedoor_domain::{EntityKind, ItemRef, Provider, PublicError, TenantContext, ToolName};

use super::editing::{self, Change, Terms, Wish};
use super::expected::Expected;
use super::heads::HeadChange;
use super::planning::Intent;
use super::revival;
use super::route::Names;
use crate::accounts::Account;
use crate::arguments::{bounded, invalid, item_at, visible};
use crate::desk::Desk;
use crate::origin::Origin;
use crate::reuse::Produced;

/// The most tracks of one call; a longer list is several calls.
const MOST_TRACKS: usize = 500;

/// The tracks to add, and where.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddArguments {
    #[serde(rename = "ref")]
    reference: String,
    /// 1-500 tracks of the same service, in order.
    tracks: Vec<String>,
    /// Where, from 0; the end if left out.
    position: Option<u32>,
    skip_duplicates: Option<bool>,
    account: Option<String>,
    expected_version: Option<Expected>,
    dry_run: Option<bool>,
    idempotency_key: Option<String>,
}

/// The tracks to take out.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveArguments {
    #[serde(rename = "ref")]
    reference: String,
    /// Every entry of these.
    tracks: Option<Vec<String>>,
    /// Or the entries at these positions, from 0.
    positions: Option<Vec<u32>>,
    account: Option<String>,
    expected_version: Option<Expected>,
    dry_run: Option<bool>,
    idempotency_key: Option<String>,
}

/// The entries to move.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReorderArguments {
    #[serde(rename = "ref")]
    reference: String,
    /// The first to move, from 0.
    start: u32,
    /// How many; 1 if left out.
    length: Option<u32>,
    /// Before the entry that is at this position now; the number of entries for the end.
    before: u32,
    account: Option<String>,
    expected_version: Option<Expected>,
    dry_run: Option<bool>,
    idempotency_key: Option<String>,
}

/// What it is to hold.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplaceArguments {
    #[serde(rename = "ref")]
    reference: String,
    /// At most 500 tracks, in order; none empties it.
    tracks: Vec<String>,
    skip_duplicates: Option<bool>,
    account: Option<String>,
    expected_version: Option<Expected>,
    dry_run: Option<bool>,
    idempotency_key: Option<String>,
}

/// What counts as the same.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DedupeArguments {
    #[serde(rename = "ref")]
    pub(super) reference: String,
    /// Also other references of the same recording.
    same_isrc: Option<bool>,
    pub(super) account: Option<String>,
    pub(super) expected_version: Option<Expected>,
    pub(super) dry_run: Option<bool>,
    pub(super) idempotency_key: Option<String>,
}

/// Which version to restore.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UndoArguments {
    #[serde(rename = "ref")]
    pub(super) reference: String,
    /// The one before the last write if left out.
    pub(super) to_version: Option<u32>,
    pub(super) account: Option<String>,
    pub(super) expected_version: Option<Expected>,
    pub(super) dry_run: Option<bool>,
    pub(super) idempotency_key: Option<String>,
}

/// What to change of its description.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateArguments {
    #[serde(rename = "ref")]
    reference: String,
    name: Option<String>,
    /// Empty for none.
    description: Option<String>,
    /// Tidal: false is unlisted.
    public: Option<bool>,
    account: Option<String>,
    expected_version: Option<Expected>,
    dry_run: Option<bool>,
    idempotency_key: Option<String>,
}

/// What each of these has in common.
macro_rules! change {
    ($desk:ident, $ctx:ident, $origin:ident, $arguments:ident, $tool:ident, $wish:expr) => {{
        let field = ("ref", $arguments.reference.as_str(), EntityKind::Playlist);
        let named_account = $arguments.account.as_deref();
        let (playlist, account) = $desk.item_and_account($ctx, $origin, field, named_account).await?;
        let wish: Result<Wish, PublicError> = $wish(playlist.provider());
        let terms = Terms {
            expected_version: $arguments.expected_version.as_ref(),
            dry_run: $arguments.dry_run.unwrap_or(false),
            idempotency_key: $arguments.idempotency_key.as_deref(),
        };
        let (tool, arguments) = (ToolName::$tool, &$arguments);
        let change = Change { tool, account, playlist, wish: wish?, terms, arguments, named_account };
        editing::run($desk, $ctx, $origin, change).await
    }};
}

pub(crate) async fn add(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: AddArguments,
) -> Produced {
    change!(desk, ctx, origin, arguments, PlaylistAdd, |provider| {
        Ok(Wish::Do(Intent::Add {
            names: tracks(&arguments.tracks, 1, provider)?,
            position: arguments.position,
            skip_duplicates: arguments.skip_duplicates.unwrap_or(false),
        }))
    })
}

/// Adds tracks at the end for another use-case, once for the key. Answers which the service has left out, and why.
pub(crate) async fn add_once(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    at: (&Account, &ItemRef),
    (tracks, key): (Vec<String>, &str),
) -> Result<Vec<(String, String)>, PublicError> {
    let names = self::tracks(&tracks, 1, at.1.provider())?;
    let wish = Wish::Do(Intent::Add { names, position: None, skip_duplicates: false });
    let asked = (ToolName::PlaylistAdd, wish, tracks);
    editing::once(desk, ctx, origin, at, (asked, key)).await
}

/// Has a playlist hold exactly these tracks, in the same way.
pub(crate) async fn fill_once(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    at: (&Account, &ItemRef),
    (tracks, key): (Vec<String>, &str),
) -> Result<Vec<(String, String)>, PublicError> {
    let names = self::tracks(&tracks, 1, at.1.provider())?;
    let wish = Wish::Do(Intent::Replace { names, skip_duplicates: false });
    let asked = (ToolName::PlaylistReplace, wish, tracks);
    editing::once(desk, ctx, origin, at, (asked, key)).await
}

pub(crate) async fn remove(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: RemoveArguments,
) -> Produced {
    change!(desk, ctx, origin, arguments, PlaylistRemove, |provider| {
        match (&arguments.tracks, &arguments.positions) {
            (Some(given), None) => Ok(Wish::Do(Intent::Remove { names: tracks(given, 1, provider)? })),
            (None, Some(positions)) if positions.is_empty() => Err(invalid("`positions` is empty.")),
            (None, Some(positions)) => Ok(Wish::Do(Intent::RemoveAt { positions: positions.clone() })),
            _ => Err(invalid("Give either `tracks` or `positions`.")),
        }
    })
}

pub(crate) async fn reorder(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: ReorderArguments,
) -> Produced {
    change!(desk, ctx, origin, arguments, PlaylistReorder, |_| {
        let length = bounded("length", arguments.length, 1, super::planning::MOST_ENTRIES)?;
        Ok(Wish::Do(Intent::Reorder { start: arguments.start, length, before: arguments.before }))
    })
}

pub(crate) async fn replace(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: ReplaceArguments,
) -> Produced {
    change!(desk, ctx, origin, arguments, PlaylistReplace, |provider| {
        Ok(Wish::Do(Intent::Replace {
            names: tracks(&arguments.tracks, 0, provider)?,
            skip_duplicates: arguments.skip_duplicates.unwrap_or(false),
        }))
    })
}

pub(crate) async fn dedupe(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: DedupeArguments,
) -> Produced {
    change!(desk, ctx, origin, arguments, PlaylistDedupe, |_| Ok(arguments.wish()))
}

impl DedupeArguments {
    pub(super) fn wish(&self) -> Wish {
        if self.same_isrc.unwrap_or(false) { Wish::DedupeRecordings } else { Wish::Do(Intent::Dedupe) }
    }
}

pub(crate) async fn undo(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: UndoArguments,
) -> Produced {
    if let Some(revived) = Box::pin(revival::undo(desk, ctx, origin, &arguments)).await? {
        return Ok(revived);
    }
    change!(desk, ctx, origin, arguments, PlaylistUndo, |_| Ok(Wish::Undo(arguments.to_version)))
}

pub(crate) async fn update(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: UpdateArguments,
) -> Produced {
    change!(desk, ctx, origin, arguments, PlaylistUpdate, |_| {
        let change = HeadChange {
            name: arguments.name.as_deref().map(|name| visible("name", name, 100)).transpose()?,
            description: arguments.description.as_deref().map(described).transpose()?,
            public: arguments.public,
        };
        if change.is_empty() {
            return Err(invalid("Give at least one of `name`, `description` and `public`."));
        }
        Ok(Wish::Do(Intent::Head(change)))
    })
}

/// A description as services take it; empty for none.
pub(super) fn described(description: &str) -> Result<String, PublicError> {
    match clean(description, description.len()).as_str() {
        "" => Ok(String::new()),
        description => visible("description", description, 300),
    }
}

fn tracks(given: &[String], least: usize, provider: Provider) -> Result<Names, PublicError> {
    if given.len() < least || given.len() > MOST_TRACKS {
        return Err(invalid(format!(
            "`tracks` has {} entries, but must have {least} to {MOST_TRACKS}.",
            given.len()
        )));
    }
    let read = |(index, text): (usize, &String)| {
        let track = item_at(&format!("tracks[{index}]"), text, EntityKind::Track, Some(provider))?;
        Ok(track.to_string().into())
    };
    given.iter().enumerate().map(read).collect()
}
