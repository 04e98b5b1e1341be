//! Policy gates: what a provider's terms may forbid stays closed until the tenant's operator opens it. Which gate a tool
//! asks for is the tool's own business.

use serde_json::json;
use stagedoor_domain::{ErrorCode, PolicyGate, Provider, PublicError, TenantContext};

/// Refuses what the tenant may not do with a provider's data; the error says which gate is closed, why, and who opens
/// it.
pub(crate) fn check(ctx: &TenantContext, provider: Provider, gate: PolicyGate) -> Result<(), PublicError> {
    if ctx.tenant().settings.is_open(provider, gate) { Ok(()) } else { Err(closed(provider, gate)) }
}

/// The services that a call is about: the one that it names, if its gate is open, or all whose gates are.
pub(crate) fn open_providers(
    ctx: &TenantContext,
    gate: PolicyGate,
    named: Option<Provider>,
) -> Result<Vec<Provider>, PublicError> {
    if let Some(provider) = named {
        check(ctx, provider, gate)?;
        return Ok(vec![provider]);
    }
    let all = Provider::ALL.iter().copied();
    let open: Vec<Provider> = all.filter(|provider| ctx.tenant().settings.is_open(*provider, gate)).collect();
    match Provider::ALL.first() {
        Some(first) if open.is_empty() => check(ctx, *first, gate).map(|()| open),
        _ => Ok(open),
    }
}

/// Refuses an answer about several services at once where their terms may forbid it.
pub(crate) fn check_together(ctx: &TenantContext, providers: &[Provider]) -> Result<(), PublicError> {
    if let [] | [_] = providers {
        return Ok(());
    }
    for provider in providers {
        check(ctx, *provider, PolicyGate::CrossProviderView).map_err(|error| {
            let hint = error.hint.clone().unwrap_or_default();
            error.hint(format!("Name one `provider`, or: {hint}"))
        })?;
    }
    Ok(())
}

fn closed(provider: Provider, gate: PolicyGate) -> PublicError {
    let (name, setting) = (provider.title(), format!("policy_gates.{provider}.{gate}"));
    let why = if gate.is_open_by_default(provider) {
        "the tenant's operator has closed it".to_owned()
    } else {
        format!("{name}'s developer policy forbids {} unless {name} has agreed to it", forbidden(gate))
    };
    let message = format!("The policy gate {gate} is closed for {name}: {why}.");
    PublicError::new(ErrorCode::PolicyGateClosed, message)
        .hint(format!(
            "Only the tenant's operator can open it, with the tenant setting {setting}; calling again changes nothing. {}",
            instead(gate)
        ))
        .details(json!({ "gate": gate, "provider": provider, "setting": setting }))
}

const fn forbidden(gate: PolicyGate) -> &'static str {
    match gate {
        PolicyGate::HistoryInsights => "deriving figures or profiles from what people listen to",
        PolicyGate::Recommendations => "feeding its content to models that recommend",
        PolicyGate::CrossProviderView => "showing its content together with another service's",
        PolicyGate::Transfer => "moving its content to or from a competing service",
    }
}

const fn instead(gate: PolicyGate) -> &'static str {
    match gate {
        PolicyGate::HistoryInsights => "recently_played and top_items show what the service itself tells.",
        PolicyGate::Recommendations => {
            "Use what the service itself suggests, such as similar, radio or mixes_list."
        }
        PolicyGate::CrossProviderView => "Use search for one service at a time.",
        PolicyGate::Transfer => "Playlists can be changed within one service all the same.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_gate_says_which_why_and_who_opens_it() {
        for provider in Provider::ALL.iter().copied() {
            for gate in PolicyGate::ALL.iter().copied() {
                let error = closed(provider, gate);
                assert_eq!(error.code, ErrorCode::PolicyGateClosed);
                assert!(error.message.contains(gate.as_str()) && error.message.contains(provider.title()));
                let hint = error.hint.unwrap();
                let setting = format!("policy_gates.{provider}.{gate}");
                assert!(hint.contains(&setting) && hint.contains("operator"), "{hint}");
                assert_eq!(error.details.unwrap()["setting"], setting);
            }
        }
        let told = |provider| closed(provider, PolicyGate::Transfer).message;
        assert!(told(Provider::Spotify).contains("developer policy forbids"));
        assert!(told(Provider::Tidal).contains("operator has closed it"), "Tidal's own terms are not named");
    }
}
