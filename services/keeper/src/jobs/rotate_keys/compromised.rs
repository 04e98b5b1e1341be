//! What is not brought under a new key because someone may know it: grants of linked accounts. Whether keys are known is
//! the tenant's rotation to say and not the run's arguments: a run that goes on with one that was cut off treats it alike.

use std::time::Duration;

use chrono::{DateTime, Utc};
use stagedoor_domain::TenantContext;
use stagedoor_storage::rotation::{self, Layer, Patience, RotationCounts, RotationState};
use uuid::Uuid;

use super::Rotator;
use crate::jobs::JobError;

/// Which old keys of a tenant count as known to someone.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known {
    /// Tenants' or people's.
    pub(super) data: bool,
    /// The one that signed.
    pub(super) signing: bool,
    /// Grants that were given until then may be known.
    pub(super) grants_until: Option<DateTime<Utc>>,
}

impl Rotator<'_> {
    pub(super) async fn known(&self, context: &TenantContext) -> Result<Known, JobError> {
        let mut known = Known::default();
        for rotation in rotation::list(&self.keeper.vault, context).await? {
            if !rotation.compromised || rotation.state == RotationState::Done {
                continue;
            }
            match rotation.layer {
                Layer::Tenant => known.data = true,
                Layer::Subject => {
                    known.data = true;
                    known.grants_until = Some(rotation.made_before);
                }
                Layer::Signing => known.signing = true,
                Layer::KeyEncryption | Layer::Pepper => {}
            }
        }
        Ok(known)
    }

    /// For known keys nothing is waited for that is not in the way.
    pub(super) fn patience(&self, known: Known) -> Patience {
        if !known.data {
            return self.plan.patience;
        }
        Patience { given_away: Duration::ZERO, backups: false, ..self.plan.patience }
    }

    /// Ends the grants that may be known; their accounts say that they must be linked again.
    pub(super) async fn end_known_grants(
        &self,
        context: &TenantContext,
        known: &[Uuid],
        until: DateTime<Utc>,
        counts: &mut RotationCounts,
    ) -> Result<(), JobError> {
        let vault = &self.keeper.vault;
        loop {
            self.run.go_on()?;
            let page = rotation::known_grants(vault, context, known, until).await?;
            if page.is_empty() {
                break;
            }
            for (account, authorized_at) in page {
                let ended = rotation::end_grant(vault, context, account, authorized_at).await?;
                self.add(counts, "sessions_ended", u64::from(ended));
            }
        }
        let copies = rotation::end_copies(vault, context, until).await?;
        self.add(counts, "quarantined_copies_deleted", copies);
        Ok(())
    }
}
