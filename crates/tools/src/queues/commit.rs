//! `shared_queue_commit`: brings a queue's tracks to a playlist or to the player. What is to be done is stored before it is
//! done, so that whoever repeats the call after it was cut off goes on where it was and does nothing twice.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_crypto::digest;
use stagedoor_domain::music::Track;
use stagedoor_domain::{
    EntityKind, ErrorCode, ItemRef, PolicyGate, Provider, PublicError, QueueItemId, SharedQueueId,
    TenantContext, UserId,
};
use stagedoor_storage::shared_queues::commits::{self, Commit, Found};
use stagedoor_storage::shared_queues::{self, Once};

use super::arguments::{self, CommitArguments};
use super::bringing::{self, Work};
use super::refusals::told;
use super::{may_mix, mixing_refused, of_queue};
use crate::accounts::Account;
use crate::arguments::{invalid, item_at, visible};
use crate::desk::{Desk, acting_for, internal};
use crate::gates;
use crate::origin::Origin;
use crate::playlists::once;
use crate::records::store_failure;
use crate::reuse::Produced;

/// Tracks that one commit puts into a player's queue, which takes them one by one.
const MOST_PLAYED: usize = 50;
/// How long one call works; the next one goes on.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is to be brought where, and how far that is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// The queue's version that is brought.
    pub(super) version: i64,
    pub(super) provider: Provider,
    pub(super) target: Target,
    pub(super) lines: Vec<Line>,
    /// How many items the player was not asked for.
    #[serde(default)]
    pub(super) beyond: u32,
    /// Whether nothing is left to do.
    #[serde(default)]
    pub(super) over: bool,
}

/// Where to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Target {
    /// A playlist that is there.
    Playlist(ItemRef),
    /// A playlist that is to be made, and is known once it is.
    New { name: String, made: Option<ItemRef> },
    /// The player.
    Player { device: Option<String> },
}

/// An item on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) item: QueueItemId,
    pub(super) track: ItemRef,
    /// What it is looked for by at another service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) known: Option<Box<Track>>,
    pub(super) fate: Fate,
}

/// What became of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fate {
    /// It was not looked for yet.
    Open,
    /// This is it at the service.
    Found(ItemRef),
    /// The service has nothing like it.
    Missing(String),
    /// Several may be it.
    Ambiguous(Vec<ItemRef>),
    /// The service has refused it.
    Refused(String),
    /// It was about to be sent: nobody knows whether it was.
    Sending(ItemRef),
    /// It is there.
    Written(ItemRef),
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CommitOutput {
    #[schemars(with = "String")]
    queue: SharedQueueId,
    /// The queue's version that was brought.
    version: i64,
    /// Whether nothing is left; if not, call again with the same arguments.
    done: bool,
    /// The playlist.
    #[serde(skip_serializing_if = "Option::is_none")]
    playlist: Option<ItemRef>,
    /// How many tracks are there now.
    written: usize,
    /// What is not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<LeftOut>,
    /// Items behind the last that a player is given at once.
    #[serde(skip_serializing_if = "is_zero")]
    beyond: u32,
}

/// An item that is not there.
#[derive(Debug, Serialize, JsonSchema)]
struct LeftOut {
    #[schemars(with = "String")]
    item: QueueItemId,
    #[serde(rename = "ref")]
    reference: ItemRef,
    /// `missing`, `ambiguous`, `refused`, `unknown` (it may be there), or `open`.
    is: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    /// What it may be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates: Vec<ItemRef>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// `shared_queue_commit`.
pub(crate) async fn commit(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: CommitArguments,
) -> Produced {
    let user = acting_for(ctx)?;
    let queue = arguments::queue(&arguments.queue)?;
    origin.about(of_queue(queue));
    let once = Once {
        key: digest::sha256(&[once::checked(&arguments.idempotency_key)?.as_bytes()]),
        request: once::digest_of(&arguments)?,
    };
    // Who is not in the queue learns nothing of it, not even by a key.
    let store = desk.vault().store();
    shared_queues::load(store, ctx, (queue, user)).await.map_err(|failure| told(ctx, failure))?;
    let (provider, target) = target(&arguments)?;
    let account = desk.account(ctx, origin, provider, arguments.account.as_deref()).await?;
    let taken = commits::take(store, ctx, user, &once).await.map_err(|failure| told(ctx, failure))?;
    let mut commit = match taken {
        Found::Ours(commit) => commit,
        Found::Underway => return Err(once::underway()),
        Found::None => {
            let plan = planned(desk, ctx, (queue, user), (&account, target)).await?;
            let plan = serde_json::to_value(plan).map_err(|error| internal(&error))?;
            let id = stagedoor_domain::ids::uuid_v7(desk.clock.as_ref(), desk.entropy.as_ref());
            let begun = commits::begin(store, ctx, (queue, user, account.id), &once, (id, plan)).await;
            begun.map_err(|error| store_failure(&error))?.ok_or_else(once::underway)?
        }
    };
    let mut plan: Plan = serde_json::from_value(commit.plan.clone()).map_err(|error| internal(&error))?;
    if plan.over {
        origin.warn("This is what the first call with this idempotency_key did; nothing was done now.");
        keep(desk, ctx, &mut commit, &plan, true).await?;
        return desk.fresh(&output(queue, plan));
    }
    check_gates(ctx, &plan)?;
    let until = desk.clock.elapsed() + PATIENCE;
    let work = Work { desk, ctx, origin, account: &account, until };
    let worked = Box::pin(bringing::go_on(&work, &mut commit, &mut plan)).await;
    // However it ended, the next call may go on.
    keep(desk, ctx, &mut commit, &plan, true).await?;
    worked?;
    if !plan.over {
        origin.warn("Not all of it is done: call again with the same arguments to go on.");
    }
    desk.fresh(&output(queue, plan))
}

/// Stores how far it is.
pub(super) async fn keep(
    desk: &Desk,
    ctx: &TenantContext,
    commit: &mut Commit,
    plan: &Plan,
    over: bool,
) -> Result<(), PublicError> {
    commit.plan = serde_json::to_value(plan).map_err(|error| internal(&error))?;
    let kept = commits::keep(desk.vault().store(), ctx, commit, over).await;
    if kept.map_err(|error| store_failure(&error))? { Ok(()) } else { Err(once::underway()) }
}

fn target(arguments: &CommitArguments) -> Result<(Option<Provider>, Target), PublicError> {
    let provider = arguments.provider;
    let player = arguments.player == Some(true);
    match (&arguments.playlist, &arguments.name, player) {
        (Some(text), None, false) => {
            let playlist = item_at("playlist", text, EntityKind::Playlist, provider)?;
            Ok((Some(playlist.provider()), Target::Playlist(playlist)))
        }
        (None, Some(name), false) => {
            if provider.is_none() && arguments.account.is_none() {
                return Err(invalid("`provider` is missing: say where the playlist is to be made."));
            }
            Ok((provider, Target::New { name: visible("name", name, 100)?, made: None }))
        }
        (None, None, true) => match provider {
            Some(Provider::Tidal) => Err(invalid("`provider`: Tidal has no player that takes commands.")),
            _ => Ok((Some(Provider::Spotify), Target::Player { device: arguments.device.clone() })),
        },
        _ => Err(invalid("Give one of `playlist`, `name` and `player`.")),
    }
}

async fn planned(
    desk: &Desk,
    ctx: &TenantContext,
    (queue, user): (SharedQueueId, UserId),
    (account, target): (&Account, Target),
) -> Result<Plan, PublicError> {
    let read = shared_queues::items(desk.vault().store(), ctx, (queue, user)).await;
    let (version, mut items) = read.map_err(|failure| told(ctx, failure))?;
    if items.is_empty() {
        return Err(PublicError::new(
            ErrorCode::ItemNotFound,
            "The queue is empty; there is nothing to bring.",
        ));
    }
    let played = matches!(target, Target::Player { .. });
    let beyond = if played { items.len().saturating_sub(MOST_PLAYED) } else { 0 };
    items.truncate(items.len() - beyond);
    let line = |item: shared_queues::Item| {
        let track: ItemRef = item.track.parse().map_err(|error| internal(&error))?;
        let same = track.provider() == account.provider;
        let known = item.known.filter(|_| !same).and_then(|known| serde_json::from_value(known).ok());
        let fate = if same { Fate::Found(track.clone()) } else { Fate::Open };
        Ok(Line { item: item.id, track, known, fate })
    };
    let lines = items.into_iter().map(line).collect::<Result<Vec<_>, PublicError>>()?;
    let beyond = u32::try_from(beyond).unwrap_or(u32::MAX);
    let plan = Plan { version, provider: account.provider, target, lines, beyond, over: false };
    check_gates(ctx, &plan)?;
    Ok(plan)
}

/// What the services' terms close stays closed, also between two calls.
fn check_gates(ctx: &TenantContext, plan: &Plan) -> Result<(), PublicError> {
    let services = |provider: &Provider| plan.lines.iter().any(|line| line.track.provider() == *provider);
    let named: Vec<Provider> = Provider::ALL.iter().copied().filter(services).collect();
    if named.len() > 1 && !may_mix(ctx) {
        return Err(mixing_refused(ctx));
    }
    if named.iter().all(|provider| *provider == plan.provider) {
        return Ok(());
    }
    for provider in named.into_iter().chain([plan.provider]) {
        gates::check(ctx, provider, PolicyGate::Transfer)?;
    }
    Ok(())
}

fn output(queue: SharedQueueId, plan: Plan) -> CommitOutput {
    let playlist = match &plan.target {
        Target::Playlist(playlist) => Some(playlist.clone()),
        Target::New { made, .. } => made.clone(),
        Target::Player { .. } => None,
    };
    let written = plan.lines.iter().filter(|line| matches!(line.fate, Fate::Written(_))).count();
    let left_out = plan.lines.into_iter().filter_map(|line| {
        let (is, reason, candidates) = match line.fate {
            Fate::Written(_) => return None,
            Fate::Open | Fate::Found(_) => ("open", String::new(), Vec::new()),
            Fate::Missing(reason) => ("missing", reason, Vec::new()),
            Fate::Ambiguous(candidates) => ("ambiguous", String::new(), candidates),
            Fate::Refused(reason) => ("refused", reason, Vec::new()),
            Fate::Sending(_) => (
                "unknown",
                "the call was cut off while it was sent; it is not sent again".to_owned(),
                Vec::new(),
            ),
        };
        Some(LeftOut { item: line.item, reference: line.track, is, reason, candidates })
    });
    CommitOutput {
        queue,
        version: plan.version,
        done: plan.over,
        playlist,
        written,
        left_out: left_out.collect(),
        beyond: plan.beyond,
    }
}
