//! What a run of the rotation is to do.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use stagedoor_storage::StoreError;
use stagedoor_storage::rotation::{Layer, Patience};

use super::{LayerArgument, RotateKeys};
use crate::keeper::Keeper;
use crate::run::Run;

/// How long a call may take from sealing a value to having stored it, or from having read one to opening it.
const IN_FLIGHT: Duration = Duration::from_secs(10);
/// Cursors live for a day.
const GIVEN_AWAY: Duration = Duration::from_hours(25);

pub(crate) struct Plan {
    layers: BTreeSet<Layer>,
    /// Whatever the keys' age.
    pub(crate) forced: bool,
    pub(crate) compromised: bool,
    /// Whether the audit trail's payloads are resealed.
    pub(crate) audit: bool,
    pub(crate) patience: Patience,
    /// Keys that were made before this are replaced; `None` for all.
    pub(crate) made_before: Option<DateTime<Utc>>,
}

impl Plan {
    pub(crate) async fn new(arguments: &RotateKeys, keeper: &Keeper) -> Result<Self, StoreError> {
        let compromised = arguments.compromised;
        let layers = match arguments.layer {
            None | Some(LayerArgument::All) => Layer::ALL.into(),
            Some(one) => layers_of(one.into(), compromised),
        };
        let forced = arguments.layer.is_some();
        let age = TimeDelta::from_std(keeper.config.encryption.key_rotation()).unwrap_or(TimeDelta::MAX);
        let remembered = keeper.store.longest_opened_key().await?.max(keeper.vault.memory());
        Ok(Self {
            layers,
            forced,
            compromised,
            audit: arguments.audit,
            patience: Patience { settle: remembered + IN_FLIGHT, given_away: GIVEN_AWAY, backups: true },
            made_before: if forced { None } else { Some(keeper.clock.now() - age) },
        })
    }

    pub(crate) fn has(&self, layer: Layer) -> bool {
        self.layers.contains(&layer)
    }

    /// Says what it means that keys are known to someone.
    pub(crate) fn tell(&self, run: &Run) {
        if !self.compromised {
            return;
        }
        let names: Vec<_> = self.layers.iter().map(|layer| layer.as_str()).collect();
        run.remark(format!(
            "the keys count as known to someone; rotated are the layers {}",
            names.join(", ")
        ));
        if self.has(Layer::Subject) {
            run.remark(
                "tokens that were sealed under known keys may be known: their sessions end and the accounts must be \
                 linked again. At the services they still work until they expire or the apps' secrets are replaced there",
            );
            run.remark("cursors that were given out, and backups of preferences and of the trail, do not open any more");
        }
        if self.has(Layer::Tenant) {
            run.remark("secrets of provider apps may be known: replace them at the services and here");
        }
    }
}

/// Whoever has a key and the database has every key below it.
fn layers_of(layer: Layer, compromised: bool) -> BTreeSet<Layer> {
    match layer {
        Layer::KeyEncryption if compromised => {
            [Layer::KeyEncryption, Layer::Tenant, Layer::Subject, Layer::Signing].into()
        }
        Layer::Tenant if compromised => [Layer::Tenant, Layer::Subject, Layer::Signing].into(),
        layer => [layer].into(),
    }
}

impl From<LayerArgument> for Layer {
    fn from(argument: LayerArgument) -> Self {
        match argument {
            // All of them are asked for elsewhere; below the outermost are all that hold anything.
            LayerArgument::Kek | LayerArgument::All => Self::KeyEncryption,
            LayerArgument::Tenant => Self::Tenant,
            LayerArgument::Subject => Self::Subject,
            LayerArgument::Signing => Self::Signing,
            LayerArgument::Pepper => Self::Pepper,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_key_takes_those_below_it_along() {
        assert_eq!(layers_of(Layer::KeyEncryption, false), [Layer::KeyEncryption].into());
        let all = [Layer::KeyEncryption, Layer::Tenant, Layer::Subject, Layer::Signing];
        assert_eq!(layers_of(Layer::KeyEncryption, true), all.into());
        assert_eq!(layers_of(Layer::Subject, true), [Layer::Subject].into());
    }
}
