//! `rotate-sessions`: each day every session gets a new id and a new seal (SEED-T §1.1). One that is in use gets them from
//! the gateway at its first use of the day; this is for the others. Tokens are renewed by the gateway alone, when they
//! are used: a service may end a grant that is renewed for nobody.

use async_trait::async_trait;
use clap::Args;
use stagedoor_domain::TenantContext;
use stagedoor_domain::error::Chain;
use stagedoor_storage::provider_sessions;

use super::{Job, JobError};
use crate::keeper::Keeper;
use crate::run::Run;

/// Sessions of one query.
const PAGE: i64 = 100;

/// Its arguments.
#[derive(Debug, Clone, Default, Args)]
pub struct RotateSessions {
    /// Only this tenant, by its slug or id.
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
}

#[async_trait(?Send)]
impl Job for RotateSessions {
    fn name(&self) -> &'static str {
        "rotate-sessions"
    }

    fn recorded_as(&self) -> &'static str {
        if self.tenant.is_some() { "rotate-sessions-part" } else { self.name() }
    }

    async fn run(&self, keeper: &Keeper, run: &Run) -> Result<(), JobError> {
        let rotate = async |context: &TenantContext| rotate_all(keeper, run, context).await;
        keeper.each_tenant(self.name(), run, self.tenant.as_deref(), rotate).await
    }
}

async fn rotate_all(keeper: &Keeper, run: &Run, context: &TenantContext) -> Result<(), JobError> {
    let vault = &keeper.vault;
    let mut after = None;
    loop {
        let due = provider_sessions::due(vault, context, after, PAGE).await?;
        let Some(last) = due.last() else { return Ok(()) };
        after = Some(*last);
        run.count("sessions_due", due.len() as u64);
        for account in due {
            run.go_on()?;
            if run.dry_run() {
                continue;
            }
            match provider_sessions::rotate_if_due(vault, context, account).await {
                Ok(rotated) => run.count("sessions_rotated", u64::from(rotated)),
                // Setting it aside is for the gateway, which tells its person.
                Err(error) if provider_sessions::is_damage(&error) => {
                    run.count("sessions_unreadable", 1);
                    run.remark(format!(
                        "account {account} of tenant {}: {}",
                        context.tenant().slug,
                        Chain(&error)
                    ));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
