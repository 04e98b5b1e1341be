//! `--status`: how far each rotation of each tenant's keys is.

use serde_json::json;
use stagedoor_storage::rotation::{self, DataLayer};

use crate::jobs::JobError;
use crate::keeper::Keeper;
use crate::run::Run;

pub(super) async fn show(keeper: &Keeper, run: &Run, only: Option<&str>) -> Result<(), JobError> {
    let (mut lines, mut entries) = (Vec::new(), Vec::new());
    let tenants = match only {
        Some(named) => vec![keeper.tenant(named).await?],
        None => keeper.tenants().await?,
    };
    for tenant in tenants {
        run.go_on()?;
        let slug = tenant.slug.clone();
        let context = keeper.context(tenant, "rotate-keys");
        let mut old_keys = 0;
        for layer in DataLayer::ALL {
            old_keys += rotation::stale_keys(&keeper.vault, &context, layer).await?.len();
        }
        let peppers = rotation::pepper_uses(&keeper.vault, &context, keeper.clock.now()).await?;
        let peppers: Vec<_> =
            peppers.iter().map(|used| json!({ "version": used.version, "keys": used.keys })).collect();
        let mut rotations = Vec::new();
        for rotation in rotation::list(&keeper.vault, &context).await? {
            let (layer, state) = (rotation.layer.as_str(), rotation.state.as_str());
            let since = rotation.started_at.format("%Y-%m-%d %H:%M:%S");
            let known = if rotation.compromised { ", keys known to someone" } else { "" };
            let counts: Vec<_> =
                rotation.counts.iter().map(|(name, number)| format!("{name} {number}")).collect();
            lines.push(format!("{slug}: {layer} {state} since {since}{known}; {}", counts.join(", ")));
            rotations.push(json!({
                "layer": layer,
                "state": state,
                "compromised": rotation.compromised,
                "started_at": rotation.started_at,
                "updated_at": rotation.updated_at,
                "ended_at": rotation.ended_at,
                "counts": rotation.counts,
            }));
        }
        lines.push(format!("{slug}: {old_keys} old keys still open"));
        entries.push(json!({
            "tenant": slug.as_str(),
            "old_keys": old_keys,
            "peppers": peppers,
            "rotations": rotations,
        }));
    }
    run.answer(lines.join("\n"), json!(entries));
    Ok(())
}
