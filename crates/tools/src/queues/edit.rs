//! `shared_queue_edit`: every change of a queue, by its `action`.

use schemars::JsonSchema;
use serde::Serialize;
use stagedoor_crypto::digest;
use stagedoor_domain::{EntityKind, ItemRef, PublicError, QueueItemId, SharedQueueId, TenantContext, UserId};
use stagedoor_storage::shared_queues::{
    self, Admission, Edited, Errand, NewItem, NewQueue, Once, Place, Rules,
};

use super::arguments::{Action, EditArguments, missing};
use super::refusals::told;
use super::tracks::{self, Asked};
use super::{may_mix, of_queue};
use crate::arguments::{invalid, item_at, visible};
use crate::desk::{Desk, acting_for, internal};
use crate::origin::Origin;
use crate::playlists::once;
use crate::reuse::Produced;

/// The most tracks of one call.
const MOST_TRACKS: usize = 50;

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EditOutput {
    #[schemars(with = "String")]
    queue: SharedQueueId,
    /// The queue's version now; of a repeated call, what the first one made.
    version: i64,
    /// What undoes it, as `change` of action undo.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<i64>,
    /// The items that it is about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    items: Vec<QueueItemId>,
    /// Tracks that were not put in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<Skipped>,
}

/// A track that was not put in.
#[derive(Debug, Serialize, JsonSchema)]
struct Skipped {
    #[serde(rename = "ref")]
    reference: String,
    reason: &'static str,
}

/// `shared_queue_edit`.
pub(crate) async fn edit(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: EditArguments,
) -> Produced {
    let user = acting_for(ctx)?;
    let once = match &arguments.idempotency_key {
        Some(key) => Some(Once {
            key: digest::sha256(&[once::checked(key)?.as_bytes()]),
            request: once::digest_of(&arguments)?,
        }),
        None => None,
    };
    let call = Call { desk, ctx, origin, user, arguments: &arguments, once: once.as_ref() };
    if arguments.action == Action::Create {
        return call.create().await;
    }
    let queue = arguments.queue()?;
    origin.about(of_queue(queue));
    let (edited, skipped) = call.change(queue).await?;
    call.answer(edited, skipped)
}

struct Call<'a> {
    desk: &'a Desk,
    ctx: &'a TenantContext,
    origin: &'a Origin,
    user: UserId,
    arguments: &'a EditArguments,
    once: Option<&'a Once>,
}

impl Call<'_> {
    async fn create(&self) -> Produced {
        let name = self.arguments.name.as_deref().ok_or_else(|| missing("name"))?;
        let name = &*visible("name", name, 100)?;
        let id = SharedQueueId::generate(self.desk.clock.as_ref(), self.desk.entropy.as_ref());
        let by_votes = self.arguments.by_votes.unwrap_or(false);
        let new = NewQueue { id, name, by_votes, owner: self.user };
        let limits = self.ctx.tenant().settings.queues;
        let made = shared_queues::create(self.desk.vault().store(), self.ctx, &new, self.once, limits).await;
        let made = made.map_err(|failure| told(self.ctx, failure))?;
        self.origin.about(of_queue(made.queue));
        self.answer(made, Vec::new())
    }

    async fn change(&self, queue: SharedQueueId) -> Result<(Edited, Vec<Skipped>), PublicError> {
        let (ctx, store, arguments) = (self.ctx, self.desk.vault().store(), self.arguments);
        let limits = ctx.tenant().settings.queues;
        let rules = Rules { items: limits.items, mixed: may_mix(ctx) };
        let expected_version = arguments.expected_version;
        let errand = Errand { queue, user: self.user, expected_version, once: self.once };
        let changed = match arguments.action {
            Action::Create => return Err(internal(&std::fmt::Error)),
            Action::Add => {
                let (new, skipped) = self.new_items().await?;
                if new.is_empty() {
                    return Err(nothing_to_add(&skipped));
                }
                let place = arguments.before()?.map_or(Place::End, Place::Before);
                let added = shared_queues::add(store, ctx, &errand, (&new, place), rules).await;
                return Ok((added.map_err(|failure| told(ctx, failure))?, skipped));
            }
            Action::Remove => shared_queues::remove(store, ctx, &errand, &arguments.items()?).await,
            Action::Reorder => {
                let (item, before) = (arguments.only_item()?, arguments.before()?);
                if before == Some(item) {
                    return Err(invalid("`before` is the item that is to be moved."));
                }
                let place = before.map_or(Place::End, Place::Before);
                shared_queues::reorder(store, ctx, &errand, (item, place)).await
            }
            Action::Vote => {
                let vote = arguments.vote.ok_or_else(|| missing("vote"))?;
                if !(-1..=1).contains(&vote) {
                    return Err(invalid("`vote` must be 1, -1, or 0 to take a vote back."));
                }
                shared_queues::vote(store, ctx, &errand, (arguments.only_item()?, vote)).await
            }
            Action::Undo => {
                let wanted = arguments.change.ok_or_else(|| missing("change"))?;
                shared_queues::undo(store, ctx, &errand, wanted, rules).await
            }
            Action::Lock | Action::Unlock => {
                shared_queues::lock(store, ctx, &errand, arguments.action == Action::Lock).await
            }
            Action::Invite => {
                let person = arguments.person.as_deref().ok_or_else(|| missing("person"))?;
                let role = arguments.role.ok_or_else(|| missing("role"))?.role();
                shared_queues::invite(store, ctx, &errand, Admission { person, role }, limits).await
            }
            Action::Leave => gone(queue, shared_queues::leave(store, ctx, &errand).await),
            Action::End => gone(queue, shared_queues::end(store, ctx, &errand).await),
        };
        Ok((changed.map_err(|failure| told(ctx, failure))?, Vec::new()))
    }

    /// What is to be put in. A track that its service does not have is left out; one whose service cannot be asked now is
    /// put in all the same.
    async fn new_items(&self) -> Result<(Vec<NewItem>, Vec<Skipped>), PublicError> {
        let given = self.arguments.tracks.as_deref().ok_or_else(|| missing("tracks"))?;
        if !(1..=MOST_TRACKS).contains(&given.len()) {
            return Err(invalid(format!(
                "`tracks` has {} entries, but must have 1 to {MOST_TRACKS}.",
                given.len()
            )));
        }
        let read = |(index, text): (usize, &String)| {
            item_at(&format!("tracks[{index}]"), text, EntityKind::Track, None)
        };
        let tracks: Vec<ItemRef> = given.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        let asked = tracks::ask(self.desk, self.ctx, self.origin, &tracks).await?;
        let (mut new, mut skipped, mut later) = (Vec::new(), Vec::new(), 0);
        for (track, asked) in tracks.iter().zip(asked) {
            let known = match asked {
                Asked::Known(track) => Some(serde_json::to_value(*track).map_err(|error| internal(&error))?),
                Asked::Later => {
                    later += 1;
                    None
                }
                Asked::Absent => {
                    skipped.push(Skipped {
                        reference: track.to_string(),
                        reason: "the service has no such track",
                    });
                    continue;
                }
            };
            let id = QueueItemId::generate(self.desk.clock.as_ref(), self.desk.entropy.as_ref());
            new.push(NewItem { id, track: track.to_string(), known });
        }
        if later > 0 {
            self.origin.warn(format!(
                "{later} tracks were put in unseen, because their service cannot be asked now; what it tells of them \
                 is added later."
            ));
        }
        Ok((new, skipped))
    }

    fn answer(&self, edited: Edited, skipped: Vec<Skipped>) -> Produced {
        if edited.repeated {
            self.origin
                .warn("This is what the first call with this idempotency_key did; nothing was done now.");
        }
        let Edited { queue, version, items, undoable, .. } = edited;
        self.desk.fresh(&EditOutput { queue, version, change: undoable.then_some(version), items, skipped })
    }
}

/// A queue that is not the person's any more has no version to tell.
fn gone(
    queue: SharedQueueId,
    done: Result<(), shared_queues::Failure>,
) -> Result<Edited, shared_queues::Failure> {
    done.map(|()| Edited { queue, version: 0, items: Vec::new(), repeated: false, undoable: false })
}

fn nothing_to_add(skipped: &[Skipped]) -> PublicError {
    let names: Vec<&str> = skipped.iter().map(|skipped| &*skipped.reference).collect();
    PublicError::new(
        stagedoor_domain::ErrorCode::ItemNotFound,
        format!("Nothing was put in: their service has no {}.", names.join(", ")),
    )
}
