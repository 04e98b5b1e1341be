//! `SettingsService`. What is stored is a document of which this version knows a part: an update changes what its mask names,
//! member by member, and leaves everything else as it is.

mod document;
mod paths;
mod shown;

use serde_json::Value;
use stagedoor_domain::{ErrorCode, SettingsProblem, TenantSettings};
use stagedoor_proto::admin::v1::{GetSettingsRequest, Settings, UpdateSettingsRequest};
use stagedoor_storage::admin_keys::AdminRole;
use stagedoor_storage::{TenantTransaction, tenant_records, tenants};

use self::paths::Changed;
use crate::call::AdminCall;
use crate::error::AdminError;
use crate::fields::Problems;
use crate::{etag, standing};

/// The most steps of penalties that count.
const MOST_STEPS: usize = 4;

/// Tells what a tenant overrides.
pub async fn get_settings(call: &AdminCall, request: GetSettingsRequest) -> Result<Settings, AdminError> {
    let read = async |tx: &mut TenantTransaction| tenant_records::read(tx).await;
    let stored = call.store().with_tenant(call.context(), read).await?.stored_settings;
    let mut settings = overridden(call, &stored);
    if request.effective {
        shown::fill_in(&mut settings, &TenantSettings::read(&stored).0, &call.rooms().installation);
    }
    Ok(settings)
}

/// Changes what a tenant overrides.
pub async fn update_settings(
    call: &AdminCall,
    request: UpdateSettingsRequest,
) -> Result<Settings, AdminError> {
    standing::living(call)?;
    let given = request.settings.unwrap_or_default();
    let new = document::of(&given);
    let changed = Changed::read(request.update_mask.as_ref(), &new)?;
    check_values(&given)?;
    call.write(call.context(), async |tx| {
        let stored = tenant_records::lock(tx).await?.stored_settings;
        etag::check(&request.etag, &overridden(call, &stored).etag)?;
        let settings = changed.apply(&stored, &new);
        allowed(call, &stored, &settings)?;
        check(&settings, &changed)?;
        if settings != stored {
            tenants::set_stored_settings(tx, &settings).await?;
        }
        Ok(overridden(call, &settings))
    })
    .await
}

/// Fails if a tenant's own admin would change what protects others from the tenant. To hand it back as it is, as someone does
/// who edits all of the settings, changes nothing.
fn allowed(call: &AdminCall, stored: &Value, new: &Value) -> Result<(), AdminError> {
    let is_changed = |member: &&str| stored.get(*member) != new.get(*member);
    let reserved: Vec<_> = paths::OF_OPERATORS.into_iter().filter(is_changed).collect();
    if call.caller().role == AdminRole::PlatformOperator || reserved.is_empty() {
        return Ok(());
    }
    Err(AdminError::new(
        ErrorCode::PermissionDenied,
        format!("settings: only a platform operator changes {}.", reserved.join(", ")),
        "Ask the operator, or leave them out.",
    ))
}

fn overridden(call: &AdminCall, stored: &Value) -> Settings {
    let mut settings = shown::of(stored);
    settings.etag = etag::of(&settings);
    settings.tenant = call.context().tenant().slug.to_string();
    settings
}

/// Fails if something of what was changed would not be read as it was meant.
fn check(settings: &Value, changed: &Changed) -> Result<(), AdminError> {
    let mut problems = Problems::default();
    for SettingsProblem { path, problem } in TenantSettings::read(settings).1 {
        if changed.covers(&path) {
            problems.note(format!("settings.{path}"), sentence(&problem));
        }
    }
    problems.check()
}

/// What is read as it is written, and yet means nothing.
fn check_values(given: &Settings) -> Result<(), AdminError> {
    let mut problems = Problems::default();
    for (member, lists) in [("limits", &given.limits), ("tenant_limits", &given.tenant_limits)] {
        for (class, list) in lists {
            for (index, _) in list.quotas.iter().enumerate().filter(|(_, quota)| quota.window_seconds == 0) {
                let field = format!("settings.{member}.{class}[{index}].window_seconds");
                problems.note(field, "It must be at least 1.");
            }
        }
    }
    let steps = given.penalties.iter().flat_map(|penalties| &penalties.steps);
    for (index, step) in steps.enumerate() {
        if index == MOST_STEPS {
            problems.note("settings.penalties", format!("At most {MOST_STEPS} steps count."));
        }
        if !(1..=stagedoor_domain::policy::PenaltyStep::MOST).contains(&step.refusals) {
            let most = stagedoor_domain::policy::PenaltyStep::MOST;
            problems
                .note(format!("settings.penalties[{index}].refusals"), format!("It must be 1 to {most}."));
        }
    }
    problems.check()
}

fn sentence(problem: &str) -> String {
    let mut letters = problem.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
