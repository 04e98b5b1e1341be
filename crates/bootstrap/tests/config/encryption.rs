//! The places of keys.

use insta::assert_snapshot;

use super::{VALID, setting};

#[test]
fn places_of_keys_must_fit_together() {
    let refusal = |encryption: &str| {
        let yaml = format!(
            "storage: {{database_url: 'postgres://db/s'}}\nencryption:\n  api_key_pepper_file: /p\n{encryption}"
        );
        setting(&yaml, &[]).refusal()
    };
    assert_snapshot!(refusal("  key_file: /k\n  passphrase_directory: /p\n"), @r#"
    the configuration has 1 problem:
      - encryption.wrap_with: it is required where keys are in several places; wanted: which of the places wraps new keys: `directory`, `passphrase` or `transit`
    "#);
    assert_snapshot!(refusal("  key_file: /k\n  wrap_with: transit\n"), @r#"
    the configuration has 1 problem:
      - encryption.wrap_with: it names a place that is not set up (from /etc/stagedoor/stagedoor.yaml)
    "#);
    assert_snapshot!(refusal("  transit: {address: 'https://v:8200', key: k}\n"), @r#"
    the configuration has 1 problem:
      - encryption.transit: either `token_file` or `kubernetes` is required (from /etc/stagedoor/stagedoor.yaml); only an agent on this machine adds the token itself
    "#);
    assert_snapshot!(refusal("  transit: {address: 'https://v:8200'}\n"), @r#"
    the configuration has 1 problem:
      - encryption.transit: missing field `key` (from /etc/stagedoor/stagedoor.yaml); wanted: The transit engine of Vault or OpenBao: `address`, `key`, and how to log in
    "#);
    assert_snapshot!(refusal("  transit: {address: 'https://v:8200', key: k, tokenfile: /t}\n"), @r#"
    the configuration has 1 problem:
      - encryption.transit: unknown field `tokenfile`, expected one of `address`, `mount`, `key`, `namespace`, `ca_file`, `token_file`, `kubernetes`, `timeout_ms` (from /etc/stagedoor/stagedoor.yaml); wanted: The transit engine of Vault or OpenBao: `address`, `key`, and how to log in
    "#);
    let wrong = "  transit:
    address: http://v:8200
    key: k
    mount: ''
    token_file: /t
    kubernetes: {role: r}
    timeout_ms: 10000
  key_settle_s: 100000
";
    assert_snapshot!(refusal(wrong), @r#"
    the configuration has 5 problems:
      - encryption.key_settle_s: 100000 is out of range (from /etc/stagedoor/stagedoor.yaml); wanted: Seconds that a new key file must be there before it wraps, so that every replica has it by then (from 0 to 86400)
      - encryption.transit: `address` is no address of a key service (from /etc/stagedoor/stagedoor.yaml); wanted: https and a host, such as `https://vault.example.com:8200`, or plain http to an agent on this machine; no user name, query or fragment
      - encryption.transit: `token_file` and `kubernetes` exclude each other (from /etc/stagedoor/stagedoor.yaml)
      - encryption.transit: `mount` is empty (from /etc/stagedoor/stagedoor.yaml)
      - encryption.transit: `timeout_ms`: 10000 is out of range (from /etc/stagedoor/stagedoor.yaml); wanted: from 100 to 4000
    "#);
}

#[test]
fn a_key_service_may_come_by_variable() {
    let transit = "{address: 'https://vault:8200', key: stagedoor, kubernetes: {role: gateway}}";
    let environment =
        [("STAGEDOOR_ENCRYPTION__TRANSIT", transit), ("STAGEDOOR_ENCRYPTION__WRAP_WITH", "transit")];
    let config = setting(VALID, &environment).load();
    let transit = config.encryption.transit.unwrap();
    assert_eq!((&*transit.mount, transit.timeout_ms), ("transit", 2_000));
    let login = transit.kubernetes.unwrap();
    assert_eq!((&*login.role, &*login.mount), ("gateway", "kubernetes"));
    let agent = "{address: 'http://127.0.0.1:8100', key: stagedoor}";
    let config = setting(VALID, &[("STAGEDOOR_ENCRYPTION__TRANSIT", agent), environment[1]]).load();
    assert_eq!(config.encryption.places().len(), 2);
}
