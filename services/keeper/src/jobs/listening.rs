//! `listening`: asks services what people played who consented to that, records it, and rolls up the months that changed.
//! One account after the other is due at a time of its own, so that each run asks few; whoever is killed asks again, and
//! what is known is not added twice.

use std::cell::Cell;
use std::collections::HashSet;

use async_trait::async_trait;
use clap::Args;
use futures_util::{StreamExt, stream};
use stagedoor_domain::error::Chain;
use stagedoor_domain::{ErrorCode, PolicyGate, Provider, PublicError, TenantContext, TenantStatus};
use stagedoor_storage::StoreError;
use stagedoor_storage::listening::{self, Due};
use stagedoor_tools::{Desk, Polled, roll_up_stale};

use super::{Job, JobError};
use crate::keeper::Keeper;
use crate::music::Music;
use crate::run::Run;

/// Accounts of one query.
const PAGE: i64 = 200;
/// Accounts of one tenant that are asked about at a time; its client's own line may hold them to fewer.
const AT_ONCE: usize = 8;
/// How long the months of one tenant are rolled up before the next tenant's turn.
const ROLLING_UP: std::time::Duration = std::time::Duration::from_mins(5);

/// Its arguments.
#[derive(Debug, Clone, Default, Args)]
pub struct Listening {
    /// Only this tenant, by its slug or id.
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
}

#[async_trait(?Send)]
impl Job for Listening {
    fn name(&self) -> &'static str {
        "listening"
    }

    fn recorded_as(&self) -> &'static str {
        if self.tenant.is_some() { "listening-part" } else { self.name() }
    }

    async fn run(&self, keeper: &Keeper, run: &Run) -> Result<(), JobError> {
        for name in COUNTS {
            run.count(name, 0);
        }
        let music = Music::open(keeper)?;
        let work = async |context: &TenantContext| of_tenant(keeper, run, &music.desk, context).await;
        let done = keeper.each_tenant(self.name(), run, self.tenant.as_deref(), work).await;
        music.close().await;
        done
    }
}

const COUNTS: [&str; 8] = [
    "accounts_due",
    "accounts_polled",
    "polls_failed",
    "plays_added",
    "plays_known",
    "entries_malformed",
    "gaps_found",
    "months_rolled_up",
];

async fn of_tenant(keeper: &Keeper, run: &Run, desk: &Desk, context: &TenantContext) -> Result<(), JobError> {
    if context.tenant().status != TenantStatus::Active {
        return Ok(());
    }
    let settings = &context.tenant().settings;
    let open = |provider: &&Provider| settings.is_open(**provider, PolicyGate::HistoryInsights);
    for provider in Desk::pollable().iter().filter(open) {
        // Without a version of the policy nobody has consented.
        let Some(policy) = &settings.privacy.policy_version else { break };
        poll_due(keeper, run, desk, context, (*provider, policy)).await?;
    }
    roll_up(keeper, run, context).await
}

async fn poll_due(
    keeper: &Keeper,
    run: &Run,
    desk: &Desk,
    context: &TenantContext,
    (provider, policy): (Provider, &str),
) -> Result<(), JobError> {
    let mut tried = HashSet::new();
    loop {
        run.go_on()?;
        let now = keeper.clock.now();
        let read = async |tx: &mut _| listening::due(tx, provider, policy, now, PAGE).await;
        let mut due: Vec<Due> = keeper.store.with_tenant::<_, StoreError>(context, read).await?;
        // Whoever could not be noted as polled is due still.
        due.retain(|due| tried.insert(due.owner.account));
        if due.is_empty() {
            return Ok(());
        }
        run.count("accounts_due", due.len() as u64);
        if run.dry_run() {
            return Ok(());
        }
        // What is under way is finished, and what is left is due in the next run.
        let pressed = &Cell::new(false);
        let polls = due.iter().map(|due| async move {
            if run.must_stop() || pressed.get() {
                return None;
            }
            let person = keeper.context_of(context, due.owner.user);
            Some((due, Box::pin(desk.poll_plays(&person, due)).await))
        });
        let mut polls = stream::iter(polls).buffer_unordered(AT_ONCE);
        while let Some(polled) = polls.next().await {
            let Some((due, polled)) = polled else { continue };
            if tell(run, context, due, polled) == Client::Pressed {
                pressed.set(true);
            }
        }
        if pressed.get() {
            return Ok(());
        }
    }
}

/// Whether the tenant's client at the service has calls to spare.
#[derive(Debug, PartialEq, Eq)]
enum Client {
    Free,
    Pressed,
}

fn tell(run: &Run, context: &TenantContext, due: &Due, polled: Result<Polled, PublicError>) -> Client {
    match polled {
        Ok(polled) => {
            run.count("accounts_polled", 1);
            run.count("plays_added", polled.added);
            run.count("plays_known", polled.known);
            run.count("entries_malformed", polled.malformed);
            run.count("gaps_found", u64::from(polled.gap));
            Client::Free
        }
        Err(error) => {
            run.count("polls_failed", 1);
            let (account, slug) = (due.owner.account, &context.tenant().slug);
            run.remark(format_args!("account {account} of tenant {slug}: {}", error.code));
            if error.code == ErrorCode::ProviderRateLimited { Client::Pressed } else { Client::Free }
        }
    }
}

async fn roll_up(keeper: &Keeper, run: &Run, context: &TenantContext) -> Result<(), JobError> {
    if run.dry_run() {
        return Ok(());
    }
    let rolled = Box::pin(roll_up_stale(&keeper.vault, context, None, (&*keeper.clock, ROLLING_UP))).await;
    match rolled {
        Ok(rolled) => run.count("months_rolled_up", rolled.months),
        Err(error) => {
            let slug = &context.tenant().slug;
            run.failed(format_args!("tenant {slug}: rolling up what was played"), Chain(&error));
        }
    }
    Ok(())
}
