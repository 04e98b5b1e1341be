//! A state opens for the call it was made for and for nothing else.

use std::sync::Arc;

use stagedoor_crypto::{KeyOwner, SystemEntropy};
use stagedoor_domain::tool::ToolsetSet;
use stagedoor_domain::{
    CallId, Principal, PrincipalKind, ScopeSet, Tenant, TenantId, TenantSettings, TenantStatus,
};

use super::*;

const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

fn context(tenant: u128, key: &str) -> TenantContext {
    let tenant = Tenant {
        id: TenantId(Uuid::from_u128(tenant)),
        slug: "acme".parse().unwrap(),
        status: TenantStatus::Active,
        settings: TenantSettings::default(),
    };
    let principal = Principal {
        kind: PrincipalKind::ApiKey(key.parse().unwrap()),
        user: None,
        scopes: ScopeSet::all(),
        toolsets: ToolsetSet::all(),
        read_only: false,
        expires_at: None,
        allowed_networks: Vec::new(),
    };
    #[expect(clippy::disallowed_methods, reason = "a test builds its contexts itself")]
    TenantContext::for_request(Arc::new(tenant), Arc::new(principal), CallId(Uuid::nil()))
}

fn data_key() -> DataKey {
    DataKey::generate(Uuid::from_u128(9), KeyOwner::Tenant, &SystemEntropy)
}

fn round() -> Round {
    Round { attempt: Uuid::from_u128(7).into(), retry: 3, page: SecretString::from("page-token") }
}

fn binding<'a>(ctx: &'a TenantContext, arguments: &str) -> Binding<'a> {
    Binding::new(ctx, ToolName::AccountLink, arguments.as_bytes())
}

#[test]
fn it_opens_for_the_same_call_and_carries_the_round() {
    let (key, ctx) = (data_key(), context(1, "AAAAAAAAAAAA"));
    let state = binding(&ctx, "{}").seal(&key, &SystemEntropy, NOW, &round()).unwrap();
    let opened = binding(&ctx, "{}").open(&key, NOW + TimeDelta::seconds(7_199), &state).unwrap();
    assert_eq!((opened.attempt, opened.retry), (round().attempt, 3));
    assert_eq!(opened.page.expose_secret(), "page-token");
    assert!(!state.contains("page-token") && !format!("{opened:?}").contains("page-token"));
}

#[test]
fn it_opens_for_no_other_principal_tool_arguments_tenant_key_or_time() {
    let (key, ctx) = (data_key(), context(1, "AAAAAAAAAAAA"));
    let state = binding(&ctx, "{}").seal(&key, &SystemEntropy, NOW, &round()).unwrap();
    let open = |binding: Binding<'_>, key: &DataKey, now| binding.open(key, now, &state).map(drop);
    let (other_key, other_tenant) = (context(1, "BBBBBBBBBBBB"), context(2, "AAAAAAAAAAAA"));
    assert_eq!(open(binding(&other_key, "{}"), &key, NOW), Err(Rejected::Foreign(round().attempt)));
    assert_eq!(open(binding(&other_tenant, "{}"), &key, NOW), Err(Rejected::Altered));
    assert_eq!(open(binding(&ctx, "{ }"), &key, NOW), Err(Rejected::OtherArguments));
    let other_tool = Binding::new(&ctx, ToolName::AccountUnlink, b"{}");
    assert_eq!(open(other_tool, &key, NOW), Err(Rejected::Altered));
    assert_eq!(open(binding(&ctx, "{}"), &data_key(), NOW), Err(Rejected::Altered));
    assert_eq!(open(binding(&ctx, "{}"), &key, NOW + LIFE), Err(Rejected::Expired(round().attempt)));
}

#[test]
fn none_of_a_thousand_changes_of_it_opens() {
    let (key, ctx) = (data_key(), context(1, "AAAAAAAAAAAA"));
    let binding = binding(&ctx, "{}");
    let state = binding.seal(&key, &SystemEntropy, NOW, &round()).unwrap();
    let envelope = URL_SAFE_NO_PAD.decode(&state).unwrap();
    let mut changes: Vec<String> = Vec::new();
    for position in 0..envelope.len() {
        for mask in [0x01, 0x10, 0x80, 0xff] {
            let mut altered = envelope.clone();
            altered[position] ^= mask;
            changes.push(URL_SAFE_NO_PAD.encode(altered));
        }
    }
    changes.extend((0..state.len()).map(|length| state[..length].to_owned()));
    changes.extend(["A", "=", ".", " ", "\0", "é"].map(|end| format!("{state}{end}")));
    changes.extend([state.to_lowercase(), format!(" {state}"), state.repeat(2), "A".repeat(100_000)]);
    assert!(changes.len() > 1_000, "{}", changes.len());
    for change in changes.iter().filter(|change| **change != state) {
        assert_eq!(binding.open(&key, NOW, change).map(drop), Err(Rejected::Altered), "{change}");
    }
}

#[test]
fn what_the_agent_is_told_is_the_same_for_a_made_up_state_and_a_foreign_one() {
    assert_eq!(Rejected::Altered.public(), Rejected::Foreign(round().attempt).public());
    let late = Rejected::Expired(round().attempt).public();
    assert_eq!(late.code, ErrorCode::InvalidRequestState);
    assert!(late.hint.is_some_and(|hint| hint.contains(&round().attempt.to_string())));
}
