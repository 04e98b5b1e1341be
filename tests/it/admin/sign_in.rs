//! Who gets in at the port of operators, and who does not: revoked, over, from elsewhere, an agent's key, no client
//! certificate.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use stagedoor_storage::admin_keys::AdminRole;
use stagedoor_testkit::{KeySpec, generous};
use tonic::Code;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::frame::{office, office_with, reason};

#[tokio::test]
async fn a_key_is_good_until_it_is_revoked_or_over_and_from_its_networks_only() {
    let office = office().await;
    let key = office.stage.admin_key(AdminRole::Auditor, None).await;
    let auditor = office.gateway.admin(Some(&key));
    let who = async || auditor.call("CallerService/GetCaller", json!({})).await;
    assert_eq!(who().await.unwrap()["role"], "ROLE_AUDITOR");
    let used = "SELECT count(*) FROM admin_keys WHERE last_used_at IS NOT NULL AND role = 'auditor'";
    assert_eq!(office.stage.sql(used).await, "1");
    for change in [
        "allowed_networks = '{192.0.2.0/24}'",
        "allowed_networks = '{}', expires_at = now() - interval '1 second'",
        "expires_at = NULL, revoked_at = now()",
    ] {
        office.stage.sql(&format!("UPDATE admin_keys SET {change} WHERE role = 'auditor'")).await;
        let refused = who().await.unwrap_err();
        assert_eq!(
            (refused.code(), &*reason(&refused)),
            (Code::Unauthenticated, "UNAUTHENTICATED"),
            "{change}"
        );
    }
    office.stage.sql("UPDATE admin_keys SET revoked_at = NULL WHERE role = 'auditor'").await;
    assert!(who().await.is_ok());
}

#[tokio::test]
async fn keys_of_agents_and_of_admins_are_not_mixed_up_and_guesses_are_counted() {
    let office = office().await;
    let acme = office.stage.tenant("acme", generous()).await;
    let person = acme.person("Robin").await;
    let agents = acme.key(&KeySpec::for_user(person)).await;
    let refused =
        office.gateway.admin(Some(&agents)).call("CallerService/GetCaller", json!({})).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let admins = office.stage.admin_key(AdminRole::PlatformOperator, None).await;
    let client = office.gateway.client("acme", &admins);
    assert_eq!(client.rpc("tools/list", json!({})).await.status, 401);

    let other = office.stage.admin_key(AdminRole::Auditor, None).await;
    // A good form, but not the secret: its checksum would not fit, so the stored digest is what is altered.
    office.stage.sql("UPDATE admin_keys SET digest = sha256('nobody') WHERE role = 'auditor'").await;
    let guesser = office.gateway.admin(Some(&other));
    for guess in 0..6 {
        let refused = guesser.call("CallerService/GetCaller", json!({})).await.unwrap_err();
        let wanted = if guess < 5 { "UNAUTHENTICATED" } else { "TOO_MANY_ATTEMPTS" };
        assert_eq!(reason(&refused), wanted, "guess {guess}");
    }
    assert!(
        office.operator.call("CallerService/GetCaller", json!({})).await.is_ok(),
        "a good key is never locked out"
    );
}

#[tokio::test]
async fn the_first_key_is_made_past_the_api() {
    let office = office().await;
    let provisioning = [("STAGEDOOR_STORAGE__ADMIN_DATABASE_URL", office.stage.admin_url())];
    let run = async |arguments: &[&str]| office.stage.begin(arguments, &provisioning).finished().await;
    let made = run(&["admin-key", "create", "--name", "first", "--json"]).await;
    assert_eq!(made.code, Some(0), "{}", made.said);
    let made: Value = serde_json::from_str(&made.output).unwrap();
    let first = office.gateway.admin(made["secret"].as_str());
    let who = first.call("CallerService/GetCaller", json!({})).await.unwrap();
    assert_eq!(who["role"], "ROLE_PLATFORM_OPERATOR");
    assert_eq!(who["principal"], format!("admin:{}", made["key_id"].as_str().unwrap()));
    let wrong = run(&["admin-key", "create", "--name", "x", "--role", "tenant-admin"]).await;
    assert!(wrong.code != Some(0) && wrong.said.contains("--tenant"), "{}", wrong.said);
}

#[tokio::test]
async fn whoever_has_no_certificate_of_the_authority_does_not_even_connect() {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let signed = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    let (certificate, key) = signed("localhost");
    let office = office_with(|config| {
        config.admin.certificate_file = file("server.pem", &certificate);
        config.admin.private_key_file = file("server.key", &key);
        config.admin.client_authority_file = file("authority.pem", &authority_pem);
    })
    .await;
    let address = office.gateway.admin_address().unwrap();
    let trusting =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&authority_pem)).domain_name("localhost");
    let (certificate, key) = signed("operator");
    let known = trusting.clone().identity(Identity::from_pem(certificate, key));
    for (tls, answers) in [(trusting, false), (known, true)] {
        let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap().tls_config(tls).unwrap();
        let mut health = tonic_health::pb::health_client::HealthClient::new(endpoint.connect_lazy());
        let asked = health.check(tonic_health::pb::HealthCheckRequest::default()).await;
        assert_eq!(asked.is_ok(), answers, "{asked:?}");
    }
    // JSON comes over HTTP/1.1 too, whatever the client offers.
    let (certificate, key) = signed("operator");
    let http = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([reqwest::Certificate::from_pem(authority_pem.as_bytes()).unwrap()])
        .identity(reqwest::Identity::from_pem((key + &certificate).as_bytes()).unwrap())
        .http1_only()
        .resolve("localhost", address)
        .build()
        .unwrap();
    let secret = office.stage.admin_key(AdminRole::Auditor, None).await;
    let url = format!("https://localhost:{}/v1/caller", address.port());
    let answer = http.get(url).bearer_auth(secret).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_11));
    let plain = office.operator.call("CallerService/GetCaller", json!({})).await.unwrap_err();
    assert_eq!(reason(&plain), "", "nothing answers in the clear beside it: {plain:?}");
}
