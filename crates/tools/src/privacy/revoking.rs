//! The first step of a deletion: every grant of the person is ended at its provider. A provider that cannot be reached is
//! tried for a while; a deletion never waits for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stagedoor_audit::AuditClient;
use stagedoor_domain::{ErrorCode, Provider, PublicError, TenantContext, UserId};
use stagedoor_storage::provider_sessions;
use tokio::time::Instant;

use super::Privacy;
use crate::accounts::Account;
use crate::linking::revocation::{Ending, Seen, end_there};
use crate::records::store_failure;

/// How long it is waited for someone who is renewing a grant.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a grant is ended anew that was renewed meanwhile.
const ATTEMPTS: usize = 5;
/// How long it is waited after each try of a provider that could not be reached; after the last, none follows.
const TRIES: [Duration; 7] = [
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(15),
    Duration::from_mins(30),
    Duration::from_hours(1),
];

/// What became of the person's grants, by account, while the accounts are still there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Revocations(BTreeMap<String, Revoked>);

/// What became of one grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Revoked {
    provider: Provider,
    outcome: Outcome,
    /// The revision of the session that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
    tries: u32,
}

/// The outcomes as receipts name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// The provider ended it.
    Revoked,
    /// The provider ends no grants for clients: only the person can, there.
    Unsupported,
    /// There was none.
    NoGrant,
    /// It was told, but a renewal may have crossed it; or it could not be reached for as long as it was tried; or the
    /// grant did not open. Only the person can be sure, there.
    Unconfirmed,
    /// It could not be reached so far.
    Unreached,
}

/// Whether all are settled.
pub(super) enum Settled {
    /// They are.
    All,
    /// Some provider is to be tried again after this long.
    After(Duration),
}

/// How many grants of a provider ended in which way; what is left of them in the receipt.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Tally {
    provider: Provider,
    outcome: Outcome,
    grants: u64,
}

impl Revocations {
    /// The same without saying whose accounts they were.
    pub(super) fn tallies(&self) -> Vec<Tally> {
        let mut tallies: BTreeMap<(&str, Outcome), Tally> = BTreeMap::new();
        for revoked in self.0.values() {
            let (provider, outcome) = (revoked.provider, revoked.outcome);
            let tally = tallies.entry((provider.as_str(), outcome));
            tally.or_insert(Tally { provider, outcome, grants: 0 }).grants += 1;
        }
        tallies.into_values().collect()
    }

    /// What is still to be tried, and when.
    fn settled(&self) -> Settled {
        let waits = self.0.values().filter(|revoked| revoked.outcome == Outcome::Unreached);
        let wait = waits.filter_map(|revoked| wait_after(revoked.tries)).min();
        wait.map_or(Settled::All, Settled::After)
    }
}

impl Privacy {
    /// Tries once what is not settled. Whoever resumes after a crash tells a provider twice, which does no harm
    /// (RFC 7009 §2.2).
    pub(super) async fn end_grants(
        &self,
        ctx: &TenantContext,
        user: UserId,
        known: &mut Revocations,
    ) -> Result<Settled, PublicError> {
        for account in self.desk.load_accounts(ctx, user).await? {
            let id = account.id.to_string();
            let (tries, is_settled) = match known.0.get(&id) {
                None => (0, false),
                Some(before) if before.outcome == Outcome::Unreached => (before.tries, false),
                Some(before) => (0, self.is_as_ended(ctx, &account, before.revision).await?),
            };
            if is_settled {
                continue;
            }
            let (outcome, revision) = match self.end_grant(ctx, &account).await {
                // Tried as often as a provider that is away, and then told like one.
                Err(error) if error.code == ErrorCode::KeyUnavailable => (Outcome::Unreached, None),
                ended => ended?,
            };
            let tries = tries + 1;
            let outcome = match outcome {
                Outcome::Unreached if wait_after(tries).is_none() => Outcome::Unconfirmed,
                outcome => outcome,
            };
            known.0.insert(id, Revoked { provider: account.provider, outcome, revision, tries });
        }
        Ok(known.settled())
    }

    async fn end_grant(
        &self,
        ctx: &TenantContext,
        account: &Account,
    ) -> Result<(Outcome, Option<i64>), PublicError> {
        let (client, until) = (AuditClient::default(), Instant::now() + PATIENCE);
        for _ in 0..ATTEMPTS {
            let Some((ending, seen)) = end_there(&self.desk, ctx, &client, account, until).await? else {
                continue;
            };
            let revision = match seen {
                Seen::At(revision) => Some(revision),
                Seen::Nothing | Seen::Closed => None,
            };
            let outcome = match (ending, seen) {
                (Ending::Revoked, _) => Outcome::Revoked,
                (Ending::Unsupported(_), _) => Outcome::Unsupported,
                (Ending::NoGrant, _) => Outcome::NoGrant,
                (Ending::Failed, Seen::At(_)) => Outcome::Unreached,
                (Ending::Unconfirmed | Ending::Failed, _) => Outcome::Unconfirmed,
            };
            return Ok((outcome, revision));
        }
        // It was renewed each time; keys and jobs of the person are ended, so this ends as well.
        Ok((Outcome::Unreached, None))
    }

    /// Whether the account's session is still the one that was ended.
    async fn is_as_ended(
        &self,
        ctx: &TenantContext,
        account: &Account,
        ended: Option<i64>,
    ) -> Result<bool, PublicError> {
        let store = self.desk.vault().store();
        let now = store.with_tenant(ctx, async |tx| provider_sessions::hold_revision(tx, account.id).await);
        let now = now.await.map_err(|error| store_failure(&error))?;
        // What did not open has a revision too, and stays as it was.
        Ok(ended.is_none() || now.is_none() || now == ended)
    }
}

/// `None` if it was tried often enough.
fn wait_after(tries: u32) -> Option<Duration> {
    TRIES.get(usize::try_from(tries).ok()?.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revoked(provider: Provider, outcome: Outcome, tries: u32) -> Revoked {
        Revoked { provider, outcome, revision: Some(3), tries }
    }

    #[test]
    fn a_provider_that_cannot_be_reached_is_tried_for_a_while_and_not_for_ever() {
        let waits: Vec<_> = (1..=8).map(wait_after).collect();
        assert!(waits[..7].iter().all(Option::is_some) && waits[7].is_none(), "{waits:?}");
        let total: Duration = waits.into_iter().flatten().sum();
        assert!((Duration::from_hours(1)..Duration::from_hours(3)).contains(&total), "{total:?}");
    }

    #[test]
    fn it_is_settled_once_nothing_is_left_to_try() {
        let mut known = Revocations::default();
        assert!(matches!(known.settled(), Settled::All));
        known.0.insert("a".into(), revoked(Provider::Tidal, Outcome::Unreached, 2));
        known.0.insert("b".into(), revoked(Provider::Tidal, Outcome::Unreached, 1));
        assert!(matches!(known.settled(), Settled::After(wait) if wait == TRIES[0]));
        known.0.insert("b".into(), revoked(Provider::Tidal, Outcome::Revoked, 2));
        assert!(matches!(known.settled(), Settled::After(wait) if wait == TRIES[1]));
        known.0.insert("a".into(), revoked(Provider::Tidal, Outcome::Unconfirmed, 8));
        assert!(matches!(known.settled(), Settled::All));
    }

    #[test]
    fn a_receipt_counts_grants_and_names_no_account() {
        let mut known = Revocations::default();
        for (account, outcome) in [("a", Outcome::Revoked), ("b", Outcome::Revoked), ("c", Outcome::NoGrant)]
        {
            known.0.insert(account.into(), revoked(Provider::Tidal, outcome, 1));
        }
        known.0.insert("d".into(), revoked(Provider::Spotify, Outcome::Unsupported, 1));
        let text = serde_json::to_string(&known.tallies()).unwrap();
        assert_eq!(
            text,
            r#"[{"provider":"spotify","outcome":"unsupported","grants":1},{"provider":"tidal","outcome":"revoked","grants":2},{"provider":"tidal","outcome":"no_grant","grants":1}]"#
        );
        let stored: Revocations = serde_json::from_value(serde_json::to_value(&known).unwrap()).unwrap();
        assert_eq!(stored, known);
    }
}
