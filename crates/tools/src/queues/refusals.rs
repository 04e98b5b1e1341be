//! What an agent is told of a queue that was left as it is.

use serde_json::json;
use stagedoor_domain::{ErrorCode, PublicError, TenantContext};
use stagedoor_storage::shared_queues::{Failure, Refusal};

use super::mixing_refused;
use crate::playlists::once;
use crate::records::store_failure;

/// What the agent may know of a failure.
pub(super) fn told(ctx: &TenantContext, failure: Failure) -> PublicError {
    match failure {
        Failure::Store(error) => store_failure(&error),
        Failure::Refused(refusal) => of(ctx, &refusal),
    }
}

/// No such queue, for all that the person can know.
pub(super) fn unknown() -> PublicError {
    PublicError::new(ErrorCode::QueueUnknown, "There is no such shared queue for this person.")
        .hint("shared_queue_get without `queue` shows which there are; its owner can invite the person.")
}

fn of(ctx: &TenantContext, refusal: &Refusal) -> PublicError {
    match refusal {
        Refusal::Unknown => unknown(),
        Refusal::Role { has, needs } if has == needs => PublicError::new(
            ErrorCode::QueueRoleNeeded,
            "A queue needs an owner, so the owner cannot take another role.",
        )
        .hint("Make someone else the owner with action invite, then leave or stay as an editor."),
        Refusal::Role { has, needs } => PublicError::new(
            ErrorCode::QueueRoleNeeded,
            format!("The person is a {has} in this queue; that takes the role {needs}. Nothing was done."),
        )
        .hint("The queue's owner can give the person another role with action invite.")
        .details(json!({ "has": has, "needs": needs })),
        Refusal::Locked => {
            PublicError::new(ErrorCode::QueueLocked, "The queue is locked, so nothing in it was changed.")
                .hint("Its owner can unlock it with action unlock.")
        }
        Refusal::Full { what, bound } => PublicError::new(
            ErrorCode::QueueFull,
            format!("The bound of {what} is {bound}, and is reached; nothing was done."),
        )
        .hint("Take out what is not needed any more, or ask the tenant's operator for another bound.")
        .details(json!({ "what": what, "bound": bound })),
        Refusal::Version { now } => conflict(&format!("The queue is at version {now}: it was changed meanwhile."))
            .details(json!({ "version": now })),
        Refusal::ItemUnknown(item) => PublicError::new(
            ErrorCode::QueueItemUnknown,
            format!("Item {item} is not in the queue: it was never, or someone has taken it out. Nothing was done."),
        )
        .hint("Read the queue again with shared_queue_get and decide anew."),
        Refusal::PersonUnknown => {
            PublicError::new(ErrorCode::ObjectUnknown, "There is no such person in this tenant, or in this queue.")
                .hint("Name the person as the tenant does, or by the `person` that shared_queue_get shows.")
        }
        Refusal::ByVotes => {
            conflict("This queue is shown by votes, so nothing in it is moved by hand.")
                .hint("Vote for the item instead.")
        }
        Refusal::Mixed => mixing_refused(ctx),
        Refusal::ChangeUnknown => PublicError::new(
            ErrorCode::VersionUnknown,
            "The queue has no such change, or none that can be undone; nothing was done.",
        )
        .hint("shared_queue_get with `history` shows the changes; what is undone are items that came, went or moved."),
        Refusal::Undone { by } => conflict(&format!("Change {by} has undone it already."))
            .hint("To have it again, undo that change.")
            .details(json!({ "undone_by": by })),
        Refusal::ChangedSince(item) => conflict(&format!("Someone has moved or taken out item {item} since."))
            .hint("Undo the later change first, or edit the queue as it is now."),
        Refusal::Mismatch => once::mismatch(),
        Refusal::Underway => once::underway(),
    }
}

fn conflict(message: &str) -> PublicError {
    PublicError::new(ErrorCode::Conflict, format!("{message} Nothing was done."))
        .hint("Read the queue again with shared_queue_get, then decide anew.")
}
