//! What the protocol's edge asks besides calls: how long an answer may be used, which accounts there are to look
//! through. Nothing here reaches a provider, and nothing of it is an answer to an agent.

use std::time::Duration;

use chrono::{DateTime, Utc};
use stagedoor_domain::{LinkedAccountId, PublicError, TenantContext, ToolName};

use crate::dispatch::Dispatcher;

impl Dispatcher {
    /// How much longer an answer of `tool` may be used by this caller that was fetched at `since`: what is left of the
    /// life that the tool's class has. Nothing, if the caller is given no kept answers of it.
    pub async fn life_left(&self, ctx: &TenantContext, tool: ToolName, since: DateTime<Utc>) -> Duration {
        let Some(life) = self.desk().life(ctx, tool).await else { return Duration::ZERO };
        let age = (self.desk().clock.now() - since).to_std().unwrap_or_default();
        life.saturating_sub(age)
    }

    /// The accounts of the person that work as far as is known, from memory where it is there; none for a key that
    /// acts for no person.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn working_accounts(&self, ctx: &TenantContext) -> Result<Vec<LinkedAccountId>, PublicError> {
        let Some(user) = ctx.user() else { return Ok(Vec::new()) };
        let accounts = self.desk().records.accounts(ctx, user).await?;
        let working = accounts.iter().filter(|account| !account.relink_needed && !account.unreadable);
        Ok(working.map(|account| account.id).collect())
    }
}
