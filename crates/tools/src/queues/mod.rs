//! Queues that people of a tenant share: `shared_queue_get`, `shared_queue_edit`, `shared_queue_commit`. Who may do what is
//! decided by `storage::shared_queues`, in the transaction that does it; what refusals say is in `refusals`.

mod arguments;
mod bringing;
mod commit;
mod edit;
mod refusals;
mod show;
mod tracks;

use stagedoor_audit::AuditResource;
use stagedoor_domain::{PolicyGate, Provider, PublicError, SharedQueueId, TenantContext};

pub(crate) use arguments::{CommitArguments, EditArguments, GetArguments};
pub(crate) use commit::{CommitOutput, commit};
pub(crate) use edit::{EditOutput, edit};
pub(crate) use show::{GetOutput, get};

/// The queue as audit records name it.
fn of_queue(queue: SharedQueueId) -> AuditResource {
    AuditResource { kind: "queue", id: queue.to_string().into() }
}

/// Whether tracks of several services may stand in one queue: showing them together is what the gate is about.
fn may_mix(ctx: &TenantContext) -> bool {
    let settings = &ctx.tenant().settings;
    Provider::ALL.iter().all(|provider| settings.is_open(*provider, PolicyGate::CrossProviderView))
}

/// The gate's own refusal, for whoever would mix.
fn mixing_refused(ctx: &TenantContext) -> PublicError {
    let check =
        |provider: &Provider| crate::gates::check(ctx, *provider, PolicyGate::CrossProviderView).err();
    Provider::ALL.iter().find_map(check).unwrap_or_else(PublicError::internal)
}
