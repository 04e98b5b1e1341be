//! `shared_queue_get`: the person's queues, one of them, or what was done to it.

use chrono::SecondsFormat;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use stagedoor_domain::{PublicError, QueueItemId, QueueRole, SharedQueueId, TenantContext, UserId};
use stagedoor_storage::shared_queues::{self, Change, Item, Member, Queue};

use super::arguments::{self, GetArguments};
use super::refusals::told;
use super::{may_mix, of_queue, tracks};
use crate::arguments::invalid;
use crate::desk::{Desk, acting_for};
use crate::origin::Origin;
use crate::records::store_failure;
use crate::reuse::Produced;

/// Items or changes of one answer.
const PAGE: usize = 100;

/// What was asked for: queues, a queue, or its changes.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct GetOutput {
    #[serde(skip_serializing_if = "Option::is_none")]
    queues: Option<Vec<QueueShown>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<QueueShown>,
    /// Whether it is at another version than `since_version`; if not, that is the whole answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<ItemShown>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<ChangeShown>>,
    /// Hand this in as `from` for what follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_from: Option<i64>,
}

/// A queue.
#[derive(Debug, Serialize, JsonSchema)]
struct QueueShown {
    #[schemars(with = "String")]
    queue: SharedQueueId,
    name: String,
    /// Raised by every change.
    version: i64,
    /// What the person is in it.
    role: QueueRole,
    by_votes: bool,
    locked: bool,
    /// How many items are in it.
    count: i64,
    /// The last change (RFC 3339).
    changed_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<MemberShown>>,
}

/// A person in it.
#[derive(Debug, Serialize, JsonSchema)]
struct MemberShown {
    #[schemars(with = "String")]
    person: UserId,
    name: String,
    role: QueueRole,
}

/// An item.
#[derive(Debug, Serialize, JsonSchema)]
struct ItemShown {
    /// Its id, which stays wherever it is moved.
    #[schemars(with = "String")]
    item: QueueItemId,
    #[serde(rename = "ref")]
    reference: String,
    /// What its service tells of it; left out while that could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    track: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    added_by: Option<String>,
    /// The sum of its votes.
    score: i64,
    /// The person's own vote.
    #[serde(skip_serializing_if = "is_zero")]
    own_vote: i16,
}

/// A change.
#[derive(Debug, Serialize, JsonSchema)]
struct ChangeShown {
    /// The version that it made, by which it is undone.
    change: i64,
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// When (RFC 3339).
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    undoes: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undone_by: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<ChangedShown>,
}

/// What a change did to an item.
#[derive(Debug, Serialize, JsonSchema)]
struct ChangedShown {
    #[schemars(with = "String")]
    item: QueueItemId,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    /// `added`, `removed` or `moved`.
    what: &'static str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_zero(vote: &i16) -> bool {
    *vote == 0
}

/// `shared_queue_get`.
pub(crate) async fn get(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: GetArguments,
) -> Produced {
    let (user, store) = (acting_for(ctx)?, desk.vault().store());
    let Some(text) = &arguments.queue else {
        let found = shared_queues::list(store, ctx, user).await.map_err(|error| store_failure(&error))?;
        let queues = found.into_iter().map(|queue| shown(queue, None)).collect();
        return desk.fresh(&GetOutput { queues: Some(queues), ..GetOutput::default() });
    };
    let id = arguments::queue(text)?;
    origin.about(of_queue(id));
    let from = arguments.from.unwrap_or(0);
    if from < 0 {
        return Err(invalid("`from` is less than 0."));
    }
    let loaded = shared_queues::load(store, ctx, (id, user)).await;
    let (mut queue, members) = loaded.map_err(|failure| told(ctx, failure))?;
    if arguments.history == Some(true) {
        let changes = history(desk, ctx, (id, user), Some(from).filter(|from| *from > 0)).await?;
        let more = changes.len() == PAGE;
        let next_from = changes.last().map(|change| change.change).filter(|_| more);
        let queue = Some(shown(queue, None));
        return desk.fresh(&GetOutput { queue, changes: Some(changes), next_from, ..GetOutput::default() });
    }
    if arguments.since_version == Some(queue.standing.version) {
        let queue = Some(shown(queue, None));
        return desk.fresh(&GetOutput { queue, changed: Some(false), ..GetOutput::default() });
    }
    let read = shared_queues::items(store, ctx, (id, user)).await;
    let (version, items) = read.map_err(|failure| told(ctx, failure))?;
    queue.standing.version = version;
    queue.items = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let (items, next_from) = page(&items, usize::try_from(from).unwrap_or(usize::MAX));
    let mut items = apart(ctx, origin, items);
    tracks::catch_up(desk, ctx, origin, id, &mut items).await;
    desk.fresh(&GetOutput {
        queue: Some(shown(queue, Some(members))),
        changed: arguments.since_version.map(|_| true),
        items: Some(items.into_iter().map(item).collect()),
        next_from,
        ..GetOutput::default()
    })
}

fn page(items: &[Item], from: usize) -> (Vec<Item>, Option<i64>) {
    let until = from.saturating_add(PAGE).min(items.len());
    let more = until < items.len();
    let page = items.get(from..until).unwrap_or_default().to_vec();
    (page, i64::try_from(until).ok().filter(|_| more))
}

/// Tracks of one service only, where the tenant may not show them together any more.
fn apart(ctx: &TenantContext, origin: &Origin, items: Vec<Item>) -> Vec<Item> {
    let service = |item: &Item| item.track.split(':').next().unwrap_or_default().to_owned();
    let Some(first) = items.first().map(service).filter(|_| !may_mix(ctx)) else { return items };
    let all = items.len();
    let kept: Vec<Item> = items.into_iter().filter(|item| service(item) == first).collect();
    if kept.len() < all {
        origin.warn(format!(
            "{} items of another service are not shown: the policy gate cross_provider_view is closed.",
            all - kept.len()
        ));
    }
    kept
}

async fn history(
    desk: &Desk,
    ctx: &TenantContext,
    whose: (SharedQueueId, UserId),
    before: Option<i64>,
) -> Result<Vec<ChangeShown>, PublicError> {
    let most = u32::try_from(PAGE).unwrap_or(u32::MAX);
    let read = shared_queues::changes(desk.vault().store(), ctx, whose, (before, most)).await;
    Ok(read.map_err(|failure| told(ctx, failure))?.into_iter().map(change).collect())
}

fn shown(queue: Queue, members: Option<Vec<Member>>) -> QueueShown {
    let Queue { id, name, role, standing, items } = queue;
    let member = |member: Member| MemberShown { person: member.user, name: member.name, role: member.role };
    QueueShown {
        queue: id,
        name,
        version: standing.version,
        role,
        by_votes: standing.by_votes,
        locked: standing.locked,
        count: items,
        changed_at: standing.changed_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        members: members.map(|members| members.into_iter().map(member).collect()),
    }
}

fn item(item: Item) -> ItemShown {
    let Item { id, track, known, added_by, score, own_vote } = item;
    ItemShown { item: id, reference: track, track: known, added_by, score, own_vote }
}

fn change(change: Change) -> ChangeShown {
    let items = change.items.into_iter().map(|changed| ChangedShown {
        item: changed.id,
        reference: changed.track,
        what: changed.what,
    });
    ChangeShown {
        change: change.version,
        action: change.action,
        by: change.by,
        at: change.at.to_rfc3339_opts(SecondsFormat::Secs, true),
        undoes: change.undoes,
        undone_by: change.undone_by,
        items: items.collect(),
    }
}
