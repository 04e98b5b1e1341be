//! What must hold for any text that an agent hands in as something of ours: the body of a fuzz target, which the property
//! tests call too. In builds for tests and fuzzing only.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde_json::value::RawValue;
use stagedoor_crypto::{DataKey, KeyOwner};
use stagedoor_domain::tool::ToolsetSet;
use stagedoor_domain::{
    CallId, EntityKind, Entropy, ErrorCode, Principal, PrincipalKind, Provider, PublicError, ScopeSet,
    Tenant, TenantContext, TenantId, TenantSettings, TenantStatus, ToolName,
};
use uuid::Uuid;

use crate::arguments::{item_among, read, visible};
use crate::cursor;
use crate::request_state::{Binding, Rejected, Round};

const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// Bytes of the input over and over, so that a run can be repeated.
#[derive(Debug)]
struct Repeated(Vec<u8>);

impl Entropy for Repeated {
    fn fill(&self, bytes: &mut [u8]) {
        let source = self.0.iter().copied().chain([0x5a]).cycle();
        bytes.iter_mut().zip(source).for_each(|(byte, drawn)| *byte = drawn);
    }
}

fn data_key() -> DataKey {
    DataKey::generate(Uuid::from_u128(7), KeyOwner::Tenant, &Repeated(b"a data key".to_vec()))
}

fn tenant() -> TenantId {
    TenantId(Uuid::from_u128(1))
}

/// A cursor that was given out opens for its query until its time is over; another text does not, nor does the same
/// elsewhere. The same holds for the state of a question.
///
/// # Panics
/// If that does not hold for `data`.
pub fn cursor(data: &[u8]) {
    let key = data_key();
    let place = cursor::context(tenant(), ToolName::Search, "query");
    let made_up = String::from_utf8_lossy(data);
    assert!(cursor::opened(&key, &place, NOW, &made_up).is_err());
    state(&key, data);
    let [position, with, page @ ..] = data else { return };
    let page = String::from_utf8_lossy(page);
    let text = cursor::sealed(&key, &place, NOW, &page, &Repeated(data.to_vec())).expect("a text is JSON");
    let opened = |place, now, text: &str| cursor::opened(&key, &place, now, text).ok();
    assert_eq!(opened(place, NOW + TimeDelta::hours(24), &text).as_deref(), Some(&*page));
    assert_eq!(opened(place, NOW + TimeDelta::hours(25), &text), None);
    for elsewhere in [
        cursor::context(tenant(), ToolName::SearchAll, "query"),
        cursor::context(tenant(), ToolName::Search, "quer"),
        cursor::context(TenantId(Uuid::from_u128(2)), ToolName::Search, "query"),
    ] {
        assert_eq!(opened(elsewhere, NOW, &text), None);
    }
    let changed = changed(&text, *position, *with);
    assert_eq!(opened(place, NOW, &changed).is_some(), changed == text);
}

fn state(key: &DataKey, data: &[u8]) {
    let ctx = context();
    let binding = Binding::new(&ctx, ToolName::AccountLink, b"{}");
    let made_up = String::from_utf8_lossy(data);
    assert_eq!(binding.open(key, NOW, &made_up).map(drop), Err(Rejected::Altered));
    let [position, with, ..] = data else { return };
    let round = Round { attempt: Uuid::from_u128(7).into(), retry: 3, page: SecretString::from("page") };
    let text = binding.seal(key, &Repeated(data.to_vec()), NOW, &round).expect("texts and numbers are JSON");
    assert!(binding.open(key, NOW, &text).is_ok());
    let changed = changed(&text, *position, *with);
    assert_eq!(binding.open(key, NOW, &changed).is_ok(), changed == text);
}

/// The text with one character of the alphabet of both instead of another.
fn changed(text: &str, position: u8, with: u8) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let position = usize::from(position) % text.len();
    let with = char::from(alphabet[usize::from(with) % alphabet.len()]);
    let others = |(at, character)| if at == position { with } else { character };
    text.chars().enumerate().map(others).collect()
}

fn context() -> TenantContext {
    let tenant = Tenant {
        id: tenant(),
        slug: "acme".parse().expect("a slug"),
        status: TenantStatus::Active,
        settings: TenantSettings::default(),
    };
    let principal = Principal {
        kind: PrincipalKind::ApiKey("000000000001".parse().expect("an id")),
        user: None,
        scopes: ScopeSet::all(),
        toolsets: ToolsetSet::all(),
        read_only: false,
        expires_at: None,
        allowed_networks: Vec::new(),
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "this is test code behind a feature, and no data is behind it"
    )]
    TenantContext::for_request(Arc::new(tenant), Arc::new(principal), CallId(Uuid::nil()))
}

/// Arguments are read or refused by field; what is refused is quoted and not repeated.
///
/// # Panics
/// If that does not hold for `text`.
pub fn arguments(text: &str) {
    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        #[serde(rename = "ref")]
        reference: String,
        name: Option<String>,
        #[expect(dead_code, reason = "it is read for its faults only")]
        limit: Option<u32>,
        #[expect(dead_code, reason = "it is read for its faults only")]
        tracks: Option<Vec<String>>,
    }
    let refused = |error: PublicError| {
        assert_eq!(error.code, ErrorCode::InvalidArguments, "{text:?}");
        assert!(error.message.len() <= PublicError::LONGEST_MESSAGE, "{text:?}");
    };
    let Ok(raw) = RawValue::from_string(text.to_owned()) else { return };
    let example: Example = match read(Some(&raw)) {
        Ok(example) => example,
        Err(error) => return refused(error),
    };
    let service = Some(Provider::Tidal);
    match item_among("ref", &example.reference, &[EntityKind::Track], service) {
        Ok(item) => assert_eq!((item.provider(), item.kind()), (Provider::Tidal, EntityKind::Track)),
        Err(error) => refused(error),
    }
    if let Some(Err(error)) = example.name.map(|name| visible("name", &name, 100)) {
        refused(error);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// What `fuzz/seeds` has for a target: made by hand, or once broke something.
    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let folder = format!("{}/../../fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
        let seeds: Vec<_> = std::fs::read_dir(folder).unwrap().map(|seed| seed.unwrap().path()).collect();
        assert!(!seeds.is_empty(), "{target}");
        seeds.into_iter().map(|seed| std::fs::read(seed).unwrap()).collect()
    }

    #[test]
    fn every_seed_holds() {
        for seed in seeds("cursors") {
            super::cursor(&seed);
        }
        for seed in seeds("arguments") {
            super::arguments(std::str::from_utf8(&seed).unwrap());
        }
    }

    proptest! {
        #[test]
        fn what_we_gave_out_opens_where_it_was_given_out_for(
            data in prop::collection::vec(any::<u8>(), 0..300)
        ) {
            super::cursor(&data);
        }

        #[test]
        fn cursors_of_the_right_alphabet_are_refused(text in "[A-Za-z0-9_-]{0,200}") {
            super::cursor(text.as_bytes());
        }

        #[test]
        fn arguments_are_read_or_refused_by_field(
            name in "ref|name|limit|tracks|[a-z]{1,300}",
            value in r#"[0-9]{1,5}|"[a-z:0-9 ]{0,2000}"|"tidal:track:[0-9]{1,9}"|\[("a",?){0,3}\]|null|\{\}"#,
            rest in r#"|,"ref":"[0-9a-z:]{0,80}""#,
        ) {
            super::arguments(&format!("{{\"{name}\":{value}{rest}}}"));
        }
    }
}
