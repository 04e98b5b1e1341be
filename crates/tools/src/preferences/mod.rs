//! `preferences_get` and `preferences_set`: what a person prefers, as one document that is changed by merge patch
//! (RFC 7396) and lies over the tenant's defaults. A change counts on every replica before it is answered.

mod patch;
mod shown;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use stagedoor_domain::{ErrorCode, PublicError, TenantContext, UserId};
use stagedoor_storage::StoreError;
use stagedoor_storage::preferences::{self, Document, StoredPreferences};

use self::patch::{PreferencesPatch, check, merged};
pub(crate) use self::shown::PreferencesOutput;
use self::shown::shown;
use crate::accounts::NoArguments;
use crate::desk::{Desk, acting_for};
use crate::origin::Origin;
use crate::records::store_failure;
use crate::reuse::Produced;
use crate::wishes::Announcement;

/// How often a change is merged anew that someone else's came before.
const ATTEMPTS: usize = 5;

/// What to change.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetArguments {
    #[schemars(with = "PreferencesPatch")]
    preferences: Value,
    /// `revision` that the change is meant for.
    #[serde(default)]
    expected_revision: Option<i64>,
}

/// `preferences_get`.
pub(crate) async fn get(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    _arguments: NoArguments,
) -> Produced {
    let stored = load(desk, ctx, acting_for(ctx)?).await?;
    if !stored.not_understood.is_empty() {
        let members: Vec<&str> = stored.not_understood.iter().map(|problem| problem.path.as_str()).collect();
        origin.warn(format!(
            "What is stored in {} is not understood here, perhaps because a later release wrote it; it counts as not \
             set and is kept.",
            members.join(", ")
        ));
    }
    desk.fresh(&shown(ctx, &stored))
}

/// `preferences_set`.
pub(crate) async fn set(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: SetArguments,
) -> Produced {
    let user = acting_for(ctx)?;
    let SetArguments { preferences: patch, expected_revision } = arguments;
    check(&patch)?;
    let mut answer = Err(changed());
    for _ in 0..ATTEMPTS {
        let loaded = preferences::load_to_replace(desk.vault(), ctx, user).await;
        let (before, damage) = loaded.map_err(|error| store_failure(&error))?;
        if let Some(expected) = expected_revision.filter(|expected| *expected != before.revision) {
            return Err(moved(expected, before.revision));
        }
        let wanted = merged(before.document(), &patch);
        if let Some(damage) = &damage {
            store_failure(damage);
            origin.warn(
                "The preferences that were stored could not be read; this change begins with the defaults.",
            );
        } else if wanted == *before.document() {
            return desk.fresh(&shown(ctx, &before));
        }
        answer = store(desk, ctx, origin, user, (&before, wanted)).await;
        match &answer {
            // The patch holds for what is there now, unless the agent said for what it is meant.
            Err(error) if error.code == ErrorCode::Conflict && expected_revision.is_none() => {}
            _ => break,
        }
    }
    desk.fresh(&shown(ctx, &answer?))
}

/// Stores a change. Whether or not it is known to have been stored, no replica goes by what was there before.
async fn store(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    user: UserId,
    (before, wanted): (&StoredPreferences, Document),
) -> Result<StoredPreferences, PublicError> {
    let announcement = Announcement::of(desk, ctx, user);
    let stored = preferences::store(desk.vault(), ctx, user, before, wanted).await;
    announcement.make(origin).await;
    stored.map_err(|error| match error {
        StoreError::Changed(_) => changed(),
        error => store_failure(&error),
    })
}

async fn load(desk: &Desk, ctx: &TenantContext, user: UserId) -> Result<StoredPreferences, PublicError> {
    preferences::load(desk.vault(), ctx, user).await.map_err(|error| match error {
        StoreError::Unreadable { .. } => {
            store_failure(&error);
            PublicError::new(ErrorCode::Internal, "The person's stored preferences could not be opened.")
                .hint("Until preferences_set replaces them nothing is answered from the cache; the operator may be able to restore them.")
        }
        error => store_failure(&error),
    })
}

fn moved(expected: i64, now: i64) -> PublicError {
    let message = format!(
        "The preferences are at revision {now}, not {expected}: they were changed meanwhile. Nothing was done."
    );
    PublicError::new(ErrorCode::Conflict, message)
        .hint("Read them with preferences_get and decide again; or leave `expected_revision` out.")
}

fn changed() -> PublicError {
    PublicError::new(
        ErrorCode::Conflict,
        "The preferences were changed by someone else meanwhile. Nothing was done.",
    )
    .hint("Read them with preferences_get, then call again.")
}
