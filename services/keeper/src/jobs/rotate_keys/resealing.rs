//! What is under old keys of a tenant is sealed under the present ones, place by place, until a look finds nothing more.

use stagedoor_domain::TenantContext;
use stagedoor_storage::rotation::{self, DataLayer, Layer, PLACES, Place, RotationCounts};
use uuid::Uuid;

use super::Rotator;
use crate::jobs::JobError;

/// Looks in a row that found everything held by someone else, until it is said.
const LOOKS: u32 = 200;
/// Between two such looks.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

impl Rotator<'_> {
    /// Values that do not open stay as they are, and are told of by the proof at the end.
    pub(super) async fn reseal(&self, context: &TenantContext) -> Result<(), JobError> {
        let mut stale = Vec::new();
        for layer in DataLayer::ALL {
            stale.extend(rotation::stale_keys(&self.keeper.vault, context, layer).await?);
        }
        let known = self.known(context).await?;
        if stale.is_empty() && known.grants_until.is_none() {
            return Ok(());
        }
        let mut counts = RotationCounts::new();
        // Keys that a replica made under an old one.
        self.rewrap(context, DataLayer::Subjects, &mut counts).await?;
        if let Some(until) = known.grants_until {
            self.end_known_grants(context, &stale, until, &mut counts).await?;
        }
        let audit = self.plan.audit || known.data;
        for place in PLACES.iter().filter(|place| audit || !place.ages_out) {
            self.reseal_place(context, place, &stale, &mut counts).await?;
        }
        if counts.is_empty() {
            return Ok(());
        }
        self.note_change(context);
        for layer in [Layer::Tenant, Layer::Subject].into_iter().filter(|layer| self.plan.has(*layer)) {
            rotation::note(&self.keeper.vault, context, layer, None, &counts).await?;
        }
        Ok(())
    }

    pub(super) fn note_change(&self, context: &TenantContext) {
        self.changed.borrow_mut().insert(context.tenant_id());
    }

    async fn reseal_place(
        &self,
        context: &TenantContext,
        place: &'static Place,
        stale: &[Uuid],
        counts: &mut RotationCounts,
    ) -> Result<(), JobError> {
        for _ in 0..LOOKS {
            let (mut after, mut resealed, mut again) = (None, 0, 0);
            loop {
                self.run.go_on()?;
                let page =
                    rotation::reseal_page(&self.keeper.vault, context, place, stale, after.as_ref()).await?;
                resealed += page.resealed;
                again += page.written_meanwhile;
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            self.add(counts, "values_resealed", resealed);
            if resealed == 0 && again == 0 {
                return Ok(());
            }
            if again > 0 {
                tokio::time::sleep(PAUSE).await;
            }
        }
        self.run.remark(format!(
            "{}: values are held or written all the time; the next run goes on",
            place.name()
        ));
        Ok(())
    }
}
