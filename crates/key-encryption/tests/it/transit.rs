//! Tenants' keys wrapped by a key service: what it is asked, what is bound, what its refusals mean.

use std::time::Duration;

use stagedoor_crypto::{KekError, KekProvider, Wrap};
use stagedoor_key_encryption::{TransitError, TransitLogin, TransitOptions};
use uuid::Uuid;

use crate::stand_in::{StandIn, TransitKey};
use crate::support::{OTHER, StillClock, TENANT, data_key, unwrap, wrap};

const RENEW: &str = "POST /v1/auth/token/renew-self";
const LOGIN: &str = "POST /v1/auth/kubernetes/login";

#[tokio::test]
async fn a_key_is_wrapped_and_unwrapped_and_bound_to_its_place() {
    let (vault, clock) = (StandIn::start().await, StillClock::new());
    let (keys, key) = (vault.keys(&clock).await.unwrap(), data_key(5));
    let wrapped = wrap(&keys, &key).await.unwrap();
    assert_eq!(wrapped.bytes[..2], [2, 1]);
    assert_eq!(wrapped.bytes[2..18], *wrapped.wrapped_by.as_bytes());
    assert!(wrapped.bytes[18..].starts_with(b"vault:v1:"));
    unwrap(&keys, &key, &wrapped).await.unwrap();
    let places = [(OTHER, key.id(), 1), (TENANT, Uuid::from_u128(6), 1), (TENANT, key.id(), 2)];
    for (tenant, id, revision) in places {
        let outcome = keys.unwrap(tenant, id, revision, &wrapped.bytes).await;
        assert!(matches!(outcome, Err(KekError::Altered)), "{outcome:?}");
    }
    assert_eq!(keys.problem(), None, "a damaged row is no trouble of the service");
}

#[tokio::test]
async fn no_altered_byte_opens() {
    let (vault, clock) = (StandIn::start().await, StillClock::new());
    let (keys, key) = (vault.keys(&clock).await.unwrap(), data_key(5));
    let wrapped = wrap(&keys, &key).await.unwrap();
    for position in 0..wrapped.bytes.len() {
        let mut altered = wrapped.clone();
        altered.bytes[position] ^= 1;
        let outcome = unwrap(&keys, &key, &altered).await;
        assert!(
            matches!(outcome, Err(KekError::Altered | KekError::UnknownKey(_))),
            "{position}: {outcome:?}"
        );
    }
    for length in 0..wrapped.bytes.len() {
        let cut = Wrap { bytes: wrapped.bytes[..length].to_vec(), ..wrapped.clone() };
        unwrap(&keys, &key, &cut).await.unwrap_err();
    }
}

#[tokio::test]
async fn versions_of_the_key_are_told_apart() {
    let (vault, clock) = (StandIn::start().await, StillClock::new());
    let (keys, key) = (vault.keys(&clock).await.unwrap(), data_key(5));
    let old = wrap(&keys, &key).await.unwrap();
    vault.state().keys.get_mut("stagedoor").unwrap().rotate();
    let new = wrap(&keys, &key).await.unwrap();
    assert_ne!(new.wrapped_by, old.wrapped_by);
    assert_eq!(keys.active_id(), Some(old.wrapped_by), "as far as was known");
    keys.refresh().await;
    assert_eq!((keys.active_id(), keys.ids()), (Some(new.wrapped_by), vec![old.wrapped_by, new.wrapped_by]));
    for wrapped in [&old, &new] {
        unwrap(&keys, &key, wrapped).await.unwrap();
    }

    vault.state().keys.get_mut("stagedoor").unwrap().min_decryption_version = 2;
    let gone = unwrap(&keys, &key, &old).await;
    assert!(matches!(gone, Err(KekError::UnknownKey(id)) if id == old.wrapped_by), "{gone:?}");
    keys.refresh().await;
    assert_eq!(keys.ids(), [new.wrapped_by]);

    vault.state().keys.get_mut("stagedoor").unwrap().versions.truncate(1);
    let too_new = unwrap(&keys, &key, &new).await;
    assert!(matches!(too_new, Err(KekError::UnknownKey(id)) if id == new.wrapped_by), "{too_new:?}");
    vault.state().keys.clear();
    let removed = unwrap(&keys, &key, &old).await;
    assert!(matches!(removed, Err(KekError::UnknownKey(_))), "{removed:?}");
}

#[tokio::test]
async fn a_wrap_of_another_key_is_not_taken_for_an_altered_one() {
    let (vault, clock) = (StandIn::start().await, StillClock::new());
    vault.state().keys.insert("other".to_owned(), TransitKey::new("chacha20-poly1305"));
    let other = TransitOptions { key: "other".to_owned(), ..vault.options() };
    let (keys, key) = (vault.keys(&clock).await.unwrap(), data_key(5));
    let foreign = wrap(&vault.keys_with(other, &clock).await.unwrap(), &key).await.unwrap();
    vault.requests();
    let outcome = unwrap(&keys, &key, &foreign).await;
    assert!(matches!(outcome, Err(KekError::UnknownKey(id)) if id == foreign.wrapped_by), "{outcome:?}");
    assert_eq!(vault.requests(), [""; 0], "that needs no question");
}

#[tokio::test]
async fn what_does_not_bind_is_refused_at_the_start() {
    let (vault, clock) = (StandIn::start().await, StillClock::new());
    for kind in ["rsa-4096", "ed25519", "aes128-cmac"] {
        vault.state().keys.insert("stagedoor".to_owned(), TransitKey::new(kind));
        let refused = vault.keys(&clock).await;
        assert!(matches!(&refused, Err(TransitError::KeyType(found)) if found == kind), "{refused:?}");
    }
    let derived = TransitKey { derived: true, ..TransitKey::new("aes256-gcm96") };
    vault.state().keys.insert("stagedoor".to_owned(), derived);
    assert!(matches!(vault.keys(&clock).await, Err(TransitError::KeyType(_))));
    vault.state().keys.insert("stagedoor".to_owned(), TransitKey::new("aes256-gcm96"));
    vault.state().ignores_associated_data = true;
    assert!(matches!(vault.keys(&clock).await, Err(TransitError::NotBound)));
    vault.state().ignores_associated_data = false;
    vault.state().keys.clear();
    assert!(matches!(vault.keys(&clock).await, Err(TransitError::NoSuchKey(_))));
    assert!(vault.state().keys.is_empty(), "asking made no key");
}

#[tokio::test]
async fn rights_that_are_missing_are_named_at_the_start() {
    let (vault, clock) = (StandIn::start().await, StillClock::new());
    for (operation, words) in [("read", "read the key"), ("encrypt", "encrypt"), ("decrypt", "decrypt")] {
        vault.state().denied = [operation].into();
        let refused = vault.keys(&clock).await.unwrap_err();
        let told = stagedoor_domain::error::Chain(&refused).to_string();
        assert!(told.contains(&format!("does not let us {words} with")), "{told}");
    }
    // Where it only unwraps, as when moving away from it, encrypting need not be allowed.
    vault.state().denied = ["encrypt"].into();
    vault.keys_with(TransitOptions { wraps: false, ..vault.options() }, &clock).await.unwrap();
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_refused_before_any_request() {
    let (vault, clock) = (StandIn::start().await, StillClock::new());
    for (mount, key) in
        [("transit", "../../sys/seal"), ("..", "k"), ("", "k"), ("transit/", "k"), ("transit", "a b")]
    {
        let options = TransitOptions { mount: mount.to_owned(), key: key.to_owned(), ..vault.options() };
        assert!(
            matches!(vault.keys_with(options, &clock).await, Err(TransitError::Name(_))),
            "{mount} {key}"
        );
    }
    let no_certificates = TransitOptions { ca_file: Some(vault.token_file()), ..vault.options() };
    let refused = vault.keys_with(no_certificates, &clock).await;
    assert!(matches!(refused, Err(TransitError::Certificates { .. })), "{refused:?}");
    assert_eq!(vault.requests(), [""; 0]);
}

#[tokio::test]
async fn a_sealed_or_standby_service_is_out_of_reach_and_comes_back() {
    let (vault, clock) = (StandIn::start().await, StillClock::new());
    let (keys, key) = (vault.keys(&clock).await.unwrap(), data_key(5));
    let wrapped = wrap(&keys, &key).await.unwrap();
    for status in [307, 412, 429, 472, 473, 500, 502, 503] {
        vault.state().status = Some(status);
        clock.advance(1);
        let outcome = unwrap(&keys, &key, &wrapped).await;
        assert!(matches!(outcome, Err(KekError::Unreachable { .. })), "{status}: {outcome:?}");
        assert!(keys.problem().is_some());
        vault.requests();
        let refused = wrap(&keys, &key).await;
        assert!(matches!(refused, Err(KekError::Unreachable { .. })), "{status}: {refused:?}");
        assert_eq!(vault.requests(), [""; 0], "for a second nobody asks again");
    }
    vault.state().status = None;
    clock.advance(1);
    unwrap(&keys, &key, &wrapped).await.unwrap();
    assert_eq!(keys.problem(), None);
}

#[tokio::test]
async fn a_service_that_hangs_is_given_up() {
    let (vault, clock) = (StandIn::start().await, StillClock::new());
    let options = TransitOptions { timeout: Duration::from_millis(500), ..vault.options() };
    let (keys, key) = (vault.keys_with(options, &clock).await.unwrap(), data_key(5));
    vault.state().hangs = true;
    let outcome = wrap(&keys, &key).await;
    let Err(KekError::Unreachable { reason, .. }) = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("did not answer in time"), "{reason}");
}

#[tokio::test]
async fn only_the_authority_that_is_named_is_trusted() {
    let ((vault, certificates), clock) = (StandIn::start_tls().await, StillClock::new());
    let authority = vault.folder.path().join("authority.pem");
    std::fs::write(&authority, certificates.authority).unwrap();
    let options = TransitOptions { ca_file: Some(authority.clone()), ..vault.options() };
    let keys = vault.keys_with(options.clone(), &clock).await.unwrap();
    wrap(&keys, &data_key(5)).await.unwrap();
    vault.requests();

    let by_name = TransitOptions { address: vault.at("localhost").parse().unwrap(), ..options.clone() };
    let other = vault.folder.path().join("other.pem");
    std::fs::write(&other, certificates.server).unwrap();
    let by_other = TransitOptions { ca_file: Some(other), ..options };
    for untrusted in [vault.options(), by_name, by_other] {
        let refused = vault.keys_with(untrusted, &clock).await.unwrap_err();
        let told = stagedoor_domain::error::Chain(&refused).to_string();
        assert!(told.contains("cannot be connected to") && told.contains("certificate"), "{told}");
    }
    assert_eq!(vault.requests(), [""; 0], "nothing was sent to a server that is not trusted");
}

#[tokio::test]
async fn a_token_that_an_agent_replaced_is_read_again() {
    let (vault, clock) = (StandIn::start().await, StillClock::new());
    let (keys, key) = (vault.keys(&clock).await.unwrap(), data_key(5));
    let wrapped = wrap(&keys, &key).await.unwrap();
    vault.state().tokens = ["hvs.second".to_owned()].into();
    let refused = unwrap(&keys, &key, &wrapped).await;
    let Err(KekError::Unreachable { reason, .. }) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("permission denied") && !reason.contains("hvs."), "{reason}");
    vault.write_token("hvs.second");
    clock.advance(1);
    unwrap(&keys, &key, &wrapped).await.unwrap();
    std::fs::remove_file(vault.token_file()).unwrap();
    unwrap(&keys, &key, &wrapped).await.unwrap();
    vault.state().tokens.clear();
    let gone = unwrap(&keys, &key, &wrapped).await;
    assert!(matches!(gone, Err(KekError::Unreachable { .. })), "{gone:?}");
    assert!(!format!("{keys:?}").contains("hvs."));
}

#[tokio::test]
async fn a_namespace_goes_with_every_request() {
    let (vault, clock) = (StandIn::start().await, StillClock::new());
    vault.state().namespace = Some("team/music");
    let refused = vault.keys(&clock).await;
    assert!(matches!(refused, Err(TransitError::NoSuchKey(_))), "{refused:?}");
    let options = TransitOptions { namespace: Some("team/music".to_owned()), ..vault.kubernetes() };
    let keys = vault.keys_with(options, &clock).await.unwrap();
    wrap(&keys, &data_key(5)).await.unwrap();
}

#[tokio::test]
async fn a_pod_logs_in_with_its_service_account() {
    let (vault, clock) = (StandIn::start().await, StillClock::new());
    let keys = vault.keys_with(vault.kubernetes(), &clock).await.unwrap();
    let key = data_key(5);
    let wrapped = wrap(&keys, &key).await.unwrap();
    let logins =
        |requests: Vec<String>| requests.iter().filter(|request| request.ends_with("/login")).count();
    assert_eq!(logins(vault.requests()), 1, "one log-in for all");

    clock.advance(3_600);
    unwrap(&keys, &key, &wrapped).await.unwrap();
    assert_eq!(logins(vault.requests()), 1, "a token that has ended is not sent");
    vault.state().tokens.clear();
    unwrap(&keys, &key, &wrapped).await.unwrap();
    assert_eq!(logins(vault.requests()), 1, "a revoked token is replaced at once");

    let stranger = TransitLogin::Kubernetes {
        mount: "kubernetes".to_owned(),
        role: "stranger".to_owned(),
        token_file: vault.folder.path().join("account"),
    };
    let refused = vault.keys_with(TransitOptions { login: stranger, ..vault.options() }, &clock).await;
    let told = stagedoor_domain::error::Chain(&refused.unwrap_err()).to_string();
    assert!(told.contains("invalid role name"), "{told}");
}

#[tokio::test]
async fn a_lease_is_renewed_before_it_ends() {
    let (vault, clock) = (StandIn::start().await, StillClock::new());
    let keys = vault.keys_with(vault.kubernetes(), &clock).await.unwrap();
    let renewals = async |seconds: u64| {
        vault.requests();
        clock.advance(seconds);
        keys.renew().await;
        vault.requests()
    };
    assert_eq!(renewals(2_399).await, [""; 0], "two thirds of an hour are not over");
    assert_eq!(renewals(1).await, [RENEW]);
    assert_eq!(renewals(2_399).await, [""; 0], "the lease began anew");
    vault.state().status = Some(503);
    assert_eq!(renewals(1).await, [RENEW]);
    vault.state().status = None;
    assert_eq!(renewals(5).await, [RENEW], "an outage is no reason to log in again");
    vault.state().lease_seconds = 600;
    assert_eq!(
        renewals(2_400).await,
        [RENEW, LOGIN],
        "near the end of all that is allowed, renewals get short"
    );
    vault.state().renewable = false;
    assert_eq!(renewals(400).await, [RENEW], "what was granted as renewable is renewed");
    assert_eq!(renewals(400).await, [LOGIN], "and what no longer is, is replaced");
    vault.state().tokens.clear();
    vault.state().renewable = true;
    assert_eq!(renewals(400).await, [LOGIN]);
    vault.state().tokens.clear();
    assert_eq!(renewals(400).await, [RENEW, LOGIN], "a revoked token cannot be renewed");
    wrap(&keys, &data_key(5)).await.unwrap();
}
