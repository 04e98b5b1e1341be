//! Calls with an `idempotency_key`: whether one is the first, is told the first one's answer, or goes on where the first
//! was cut off; and what is noted so that it can.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use stagedoor_crypto::digest;
use stagedoor_domain::error::Chain;
use stagedoor_domain::{CallId, ErrorCode, Provider, PublicError, TenantContext, ToolName};
use stagedoor_storage::StoreError;
use stagedoor_storage::idempotency::{self, Begun, Claim, Request};

use super::writing::{Unwritten, hex};
use crate::accounts::Account;
use crate::arguments::invalid;
use crate::desk::{Desk, internal};
use crate::origin::Origin;
use crate::records::store_failure;
use crate::reuse::Produced;

/// Tidal replays a write under an equal key for an hour; a little less, because clocks differ.
const REPLAYED_FOR: TimeDelta = TimeDelta::minutes(55);

/// Arguments of which `false` says no more than leaving them out, in every tool that takes a key.
const FALSE_IF_LEFT_OUT: [&str; 3] = ["dry_run", "same_isrc", "skip_duplicates"];

/// One call, with or without a key.
#[derive(Debug)]
pub(super) struct Once {
    claim: Option<Claim>,
    /// What the keys of requests to a service are made of.
    pub(super) key: String,
}

/// How far a call came that was cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// The stored version that it began from; 0 for a playlist that was to be made.
    pub(super) before: u32,
    /// The stored version that holds what the service is known to have done.
    pub(super) left_at: Option<u32>,
    /// Whether more than that may be done.
    pub(super) uncertain: bool,
    /// What the service left out by then.
    pub(super) skipped: Vec<Box<str>>,
    /// The version that was to be restored.
    pub(super) restores: Option<u32>,
    /// Which entries of the version before were to go, where that was told by more than names.
    pub(super) positions: Option<Vec<u32>>,
    /// When it began to write.
    pub(super) at: DateTime<Utc>,
    /// The first call, which all versions that it led to are put down to.
    pub(super) call: CallId,
}

/// How a call begins.
#[derive(Debug)]
pub(super) enum Beginning {
    /// Nothing was done under this key.
    New(Once),
    /// Something was done, or may have been.
    CutOff(Once, Note),
    /// It was done; this is the first call's answer.
    Answered(Box<RawValue>),
}

/// What to do about a call that was cut off, by how its playlist stands now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resumption {
    /// Do what is left.
    GoOn,
    /// Nothing is left.
    Done,
    /// Someone else has changed the playlist since.
    Changed,
    /// Nobody knows whether it was done, and doing it again could do it twice.
    Unknown,
}

/// How a playlist stands for the call that goes on.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own, answered yes or no")]
pub(super) struct Standing {
    pub(super) provider: Provider,
    pub(super) now: DateTime<Utc>,
    /// Whether nothing is left to do.
    pub(super) done: bool,
    /// Whether it is what it was when the call was cut off, as far as that is known.
    pub(super) as_left: bool,
    /// Whether it is what one of the requests leads to that were to be sent from there.
    pub(super) on_the_way: bool,
    /// Whether a request that is done once more changes nothing more.
    pub(super) repeatable: bool,
}

/// What to do about a call that was cut off.
pub(super) fn resumption(note: &Note, standing: Standing) -> Resumption {
    let Standing { provider, now, done, as_left, on_the_way, repeatable } = standing;
    let is_ours = as_left || on_the_way;
    let replays = provider == Provider::Tidal && now - note.at < REPLAYED_FOR;
    match note {
        _ if done => Resumption::Done,
        Note { uncertain: false, .. } if as_left => Resumption::GoOn,
        Note { uncertain: false, .. } => Resumption::Changed,
        // The same requests under the same keys are done once.
        _ if is_ours && (replays || repeatable) => Resumption::GoOn,
        _ if repeatable => Resumption::Changed,
        _ => Resumption::Unknown,
    }
}

/// Begins a call, or finds what became of the first one with its key.
pub(super) async fn begin(
    desk: &Desk,
    ctx: &TenantContext,
    account: &Account,
    (tool, key): (ToolName, Option<&str>),
    arguments: &impl Serialize,
) -> Result<Beginning, PublicError> {
    let Some(key) = key else {
        return Ok(Beginning::New(Once { claim: None, key: ctx.call().to_string() }));
    };
    let key = checked(key)?;
    let request = Request { key, tool, digest: digest_of(arguments)? };
    let begun = idempotency::begin(desk.vault(), ctx, account.id, &request).await;
    let parts = [ctx.principal().label(), account.id.to_string(), key.to_owned()];
    let seed = hex(&digest::sha256(&[parts.join("\n").as_bytes()]));
    match begun.map_err(|error| store_failure(&error))? {
        Begun::First(claim) => Ok(Beginning::New(Once { claim: Some(claim), key: seed })),
        Begun::Replay(answer) => {
            serde_json::from_slice(&answer).map(Beginning::Answered).map_err(|error| internal(&error))
        }
        Begun::Mismatch => Err(mismatch()),
        Begun::Underway => Err(underway()),
        Begun::CutOff(cut_off) => {
            let resumed = idempotency::resume(desk.vault(), ctx, &cut_off).await;
            let claim = resumed.map_err(|error| store_failure(&error))?.ok_or_else(underway)?;
            let once = Once { claim: Some(claim), key: seed };
            match cut_off.note.as_deref() {
                // It had not begun to write.
                None => Ok(Beginning::New(once)),
                Some(note) => match serde_json::from_slice(note) {
                    Ok(note) => Ok(Beginning::CutOff(once, note)),
                    Err(error) => Err(internal(&error)),
                },
            }
        }
    }
}

/// The first call's answer, told again.
pub(super) fn again(desk: &Desk, origin: &Origin, answer: &RawValue) -> Produced {
    origin.warn("This is what the first call with this idempotency_key was answered; nothing was done now.");
    desk.fresh(&answer)
}

impl Note {
    /// Of a call that has done nothing yet.
    pub(super) fn first(before: u32, at: DateTime<Utc>, call: CallId) -> Self {
        Self {
            before,
            left_at: None,
            uncertain: false,
            skipped: vec![],
            restores: None,
            positions: None,
            at,
            call,
        }
    }
}

impl Once {
    /// Notes that writing begins: whoever finds the call cut off from here on cannot know how far it came.
    pub(super) async fn writing(
        &self,
        desk: &Desk,
        ctx: &TenantContext,
        note: &Note,
    ) -> Result<(), PublicError> {
        let Some(claim) = &self.claim else { return Ok(()) };
        let bytes = serde_json::to_vec(note).map_err(|error| internal(&error))?;
        let kept = idempotency::note(desk.vault(), ctx, claim, &bytes).await;
        if kept.map_err(|error| store_failure(&error))? { Ok(()) } else { Err(underway()) }
    }

    /// Stores the answer, which every repeat is given.
    pub(super) async fn finish(self, desk: &Desk, ctx: &TenantContext, answer: &impl Serialize) {
        let Some(claim) = &self.claim else { return };
        match serde_json::to_vec(answer) {
            Ok(bytes) => told(idempotency::finish(desk.vault(), ctx, claim, &bytes).await),
            Err(error) => tracing::error!(error = %Chain(&error), "an answer could not be kept for repeats"),
        }
    }

    /// Gives the key back, because nothing was done.
    pub(super) async fn release(self, desk: &Desk, ctx: &TenantContext) {
        if let Some(claim) = &self.claim {
            told(idempotency::release(desk.vault(), ctx, claim).await);
        }
    }

    /// Leaves the call where it was cut off before.
    pub(super) async fn leave(self, desk: &Desk, ctx: &TenantContext, note: &Note) {
        let Some(claim) = &self.claim else { return };
        match serde_json::to_vec(note) {
            Ok(bytes) => told(idempotency::give_up(desk.vault(), ctx, claim, &bytes).await),
            Err(error) => tracing::error!(error = %Chain(&error), "how far a call came could not be noted"),
        }
    }

    /// Ends a call whose write failed: its key is free again if nothing was done, else it says how far it came.
    pub(super) async fn failed(self, desk: &Desk, ctx: &TenantContext, note: Note, failure: &Unwritten) {
        let Unwritten { uncertain, so_far, .. } = failure;
        let began_anew = note.left_at.is_none() && !note.uncertain;
        match so_far {
            None if !uncertain && began_anew => self.release(desk, ctx).await,
            None => {
                let uncertain = *uncertain || note.uncertain;
                self.leave(desk, ctx, &Note { uncertain, ..note }).await;
            }
            Some(written) => {
                let mut skipped = note.skipped;
                skipped.extend(written.skipped.iter().map(|skipped| Box::from(skipped.item.to_string())));
                // Without a version nobody can tell later whether the playlist is as it was left.
                let (left_at, uncertain) = (written.number, *uncertain || written.number.is_none());
                self.leave(desk, ctx, &Note { left_at, uncertain, skipped, ..note }).await;
            }
        }
    }
}

/// The call is over; the key is forgotten in a day, whatever is noted of it.
fn told(kept: Result<bool, StoreError>) {
    match kept {
        Ok(true) => {}
        Ok(false) => tracing::warn!("an idempotency key was taken over while its call was under way"),
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "what became of an idempotency key is not noted");
        }
    }
}

pub(crate) fn checked(key: &str) -> Result<&str, PublicError> {
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if visible && (1..=100).contains(&key.len()) {
        Ok(key)
    } else {
        Err(invalid("`idempotency_key` must be 1 to 100 visible ASCII characters."))
    }
}

/// The same for equal arguments, in whatever order and with whatever key they come. What is told to be as it is without
/// being told is the same as not told.
pub(crate) fn digest_of(arguments: &impl Serialize) -> Result<[u8; 32], PublicError> {
    let mut value = serde_json::to_value(arguments).map_err(|error| internal(&error))?;
    if let Some(members) = value.as_object_mut() {
        let is_default = |name: &str, value: &Value| {
            value.is_null() || (FALSE_IF_LEFT_OUT.contains(&name) && *value == Value::Bool(false))
        };
        members.retain(|name, value| name != "idempotency_key" && !is_default(name, value));
    }
    Ok(digest::sha256(&[value.to_string().as_bytes()]))
}

pub(crate) fn mismatch() -> PublicError {
    PublicError::new(
        ErrorCode::IdempotencyMismatch,
        "This idempotency_key was used before with other arguments.",
    )
    .hint("Take a new key for a new call; repeat a call with all its arguments as they were.")
}

pub(crate) fn underway() -> PublicError {
    PublicError::new(
        ErrorCode::IdempotencyUnderway,
        "The first call with this idempotency_key is still under way.",
    )
    .hint("Call again in a moment to get its answer.")
    .retry_after(std::time::Duration::from_secs(3))
}

/// Nobody knows whether the first call was done.
pub(super) fn unknown(provider: Provider) -> PublicError {
    PublicError::new(
        ErrorCode::OutcomeUnknown,
        format!(
            "The first call with this idempotency_key was cut off while {} was writing, and doing it again could do it \
             twice.",
            provider.title()
        ),
    )
    .hint("Look at the playlist; if it was not done, call again with another idempotency_key.")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn note(uncertain: bool) -> Note {
        Note { uncertain, ..Note::first(1, DateTime::UNIX_EPOCH, CallId(uuid::Uuid::nil())) }
    }

    fn standing(provider: Provider) -> Standing {
        let now = DateTime::UNIX_EPOCH + TimeDelta::minutes(1);
        Standing { provider, now, done: false, as_left: true, on_the_way: false, repeatable: false }
    }

    #[test]
    fn what_is_known_goes_on_if_nobody_interfered() {
        for provider in [Provider::Spotify, Provider::Tidal] {
            let as_left = standing(provider);
            assert_eq!(resumption(&note(false), as_left), Resumption::GoOn);
            let changed = Standing { as_left: false, repeatable: true, ..as_left };
            assert_eq!(resumption(&note(false), changed), Resumption::Changed);
            assert_eq!(resumption(&note(true), Standing { done: true, ..changed }), Resumption::Done);
        }
    }

    #[test]
    fn what_is_unknown_is_repeated_only_where_that_is_harmless() {
        assert_eq!(resumption(&note(true), standing(Provider::Spotify)), Resumption::Unknown);
        assert_eq!(resumption(&note(true), standing(Provider::Tidal)), Resumption::GoOn);
        let changed = Standing { as_left: false, ..standing(Provider::Tidal) };
        assert_eq!(resumption(&note(true), changed), Resumption::Unknown);
        let half_way = Standing { on_the_way: true, ..changed };
        assert_eq!(resumption(&note(true), half_way), Resumption::GoOn);
        let late = Standing { now: DateTime::UNIX_EPOCH + TimeDelta::hours(1), ..standing(Provider::Tidal) };
        assert_eq!(resumption(&note(true), late), Resumption::Unknown);
    }

    #[test]
    fn what_someone_else_did_is_never_written_over() {
        for provider in [Provider::Spotify, Provider::Tidal] {
            let as_left = Standing { repeatable: true, ..standing(provider) };
            let changed = Standing { as_left: false, ..as_left };
            let half_way = Standing { on_the_way: true, ..changed };
            assert_eq!(resumption(&note(true), as_left), Resumption::GoOn);
            assert_eq!(resumption(&note(true), half_way), Resumption::GoOn);
            assert_eq!(resumption(&note(true), changed), Resumption::Changed);
        }
    }

    #[test]
    fn the_digest_is_of_what_is_asked_for() {
        let digest = |value: &Value| digest_of(value).unwrap();
        let asked = json!({ "ref": "a", "tracks": ["b"], "idempotency_key": "1" });
        assert_eq!(digest(&asked), digest(&json!({ "tracks": ["b"], "ref": "a", "idempotency_key": "2" })));
        assert_ne!(digest(&asked), digest(&json!({ "ref": "a", "tracks": ["c"], "idempotency_key": "1" })));
        let told = json!({ "ref": "a", "tracks": ["b"], "dry_run": false, "skip_duplicates": null });
        assert_eq!(digest(&asked), digest(&told));
        let not_public = json!({ "ref": "a", "tracks": ["b"], "public": false });
        assert_ne!(digest(&asked), digest(&not_public), "an update of it is another");
    }

    #[test]
    fn a_key_is_short_and_visible() {
        assert!(checked("a-1").is_ok() && checked(&"k".repeat(100)).is_ok());
        for key in ["", "a b", "ä", &"k".repeat(101)] {
            assert_eq!(checked(key).unwrap_err().code, ErrorCode::InvalidArguments);
        }
    }
}
