//! Any bytes, any truncation, any change: an answer, never a panic, and never a secret in it.

use std::fmt::Write as _;

use proptest::prelude::*;

use crate::{PLAIN, SECRETS, fixture, read_in_berlin};

/// What any answer must hold.
fn answers(bytes: &[u8]) {
    let shown = match read_in_berlin(bytes) {
        Ok(found) => {
            let notes = found.notes.iter().map(ToString::to_string).collect::<String>();
            let mut shown = format!("{:?} {:?} {notes}", found.format, found.notes);
            // A mangled file may name a token as its account; what is a token to us must not show.
            if found.session.access_token.is_some() || found.session.refresh_token.is_some() {
                let _ = write!(shown, "{:?}", (found.session.expires_at, found.session.missing()));
            }
            shown
        }
        Err(error) => format!("{error} {error:?}"),
    };
    assert!(SECRETS.iter().all(|secret| !shown.contains(secret)), "{shown}");
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let names = prop::sample::select(vec![
        "schema_version",
        "access_token",
        "refresh_token",
        "expires_at",
        "expires_in",
        "scope",
        "scopes",
        "user_id",
        "country_code",
        "saved_at",
        "created_at",
        "authorized_at",
        "token_expires_at",
        "last_accessed",
        "data",
        "accessToken",
        "refreshToken",
        "expiresAt",
        "clientId",
        "client_id",
        "provider",
        "expiry_time",
    ]);
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,40}".prop_map(Into::into),
        prop::sample::select(vec![
            "1.0",
            "1.1",
            "2.0",
            "tidal",
            "2026-03-29T02:30:00",
            "2026-11-20T14:03:07Z",
            "DE"
        ])
        .prop_map(Into::into),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([+-][0-9]{2}:[0-9]{2})?".prop_map(Into::into),
    ];
    let tree = leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec(("[a-z]{1,6}", inner.clone()), 0..4)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            inner.prop_map(|inner| serde_json::json!({ "data": inner })),
        ]
    });
    prop::collection::vec((names, tree), 0..10).prop_map(|members| {
        serde_json::Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    })
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        answers(&bytes);
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}") {
        answers(text.as_bytes());
    }

    #[test]
    fn any_json_with_our_names_is_answered(json in any_json()) {
        answers(json.to_string().as_bytes());
    }

    #[test]
    fn any_env_file_is_answered(
        lines in prop::collection::vec("(export )?SPOTIFY_(ACCESS_TOKEN|REFRESH_TOKEN|TOKEN_EXPIRES_AT|CLIENT_ID) ?= ?\\PC{0,30}", 0..8),
    ) {
        answers(lines.join("\n").as_bytes());
    }

    #[test]
    fn any_change_of_a_whole_file_is_answered(
        which in 0..PLAIN.len() + 2, at in any::<prop::sample::Index>(), byte in any::<u8>(), keep in any::<prop::sample::Index>(),
    ) {
        let sealed = [fixture!("session.enc"), fixture!("schema-1.0-sealed-tokens.json")];
        let whole = PLAIN.get(which).copied().unwrap_or_else(|| sealed[which - PLAIN.len()]);
        let mut changed = whole.to_vec();
        changed[at.index(whole.len())] = byte;
        answers(&changed);
        answers(&whole[..keep.index(whole.len())]);
    }
}
