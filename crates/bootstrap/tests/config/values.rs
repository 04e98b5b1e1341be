//! What is told of values, keys and files that are wrong.

use insta::assert_snapshot;
use stagedoor_bootstrap::Config;

use super::setting;

#[test]
fn unknown_keys_name_the_nearest() {
    let yaml = "
servr: {}
server:
  listn: 127.0.0.1:1
  max_connections: 5
  nothing_like_any: 1
";
    let environment = [("STAGEDOOR_STORAGE__DATABASE_URI", "x"), ("STAGEDOOR_CACHES__ENABLED", "true")];
    assert_snapshot!(setting(yaml, &environment).refusal(), @r#"
    the configuration has 6 problems:
      - server.listn: there is no such key (from /etc/stagedoor/stagedoor.yaml); did you mean `server.listen`?
      - server.max_connections: there is no such key (from /etc/stagedoor/stagedoor.yaml); did you mean `storage.max_connections`?
      - server.nothing_like_any: there is no such key (from /etc/stagedoor/stagedoor.yaml)
      - servr: there is no such section (from /etc/stagedoor/stagedoor.yaml); did you mean `server`?
      - caches.enabled: there is no such key (from STAGEDOOR_CACHES__ENABLED); did you mean `cache.enabled`?
      - storage.database_uri: there is no such key (from STAGEDOOR_STORAGE__DATABASE_URI); did you mean `storage.database_url`?
    "#);
}

#[test]
fn wrong_values_say_what_would_be_right() {
    let yaml = "
server:
  listen: 8080
  trusted_proxies: [10.0.0.0/40]
  drain_grace_ms: soon
cache:
  enabled: perhaps
telemetry:
  log_format: colourful
  sampling_ratio: all
storage:
  database_url: 4711
audit: []
";
    let environment = [("STAGEDOOR_STORAGE__MAX_CONNECTIONS", "-3")];
    assert_snapshot!(setting(yaml, &environment).refusal(), @r#"
    the configuration has 9 problems:
      - audit: it is not a mapping of keys (from /etc/stagedoor/stagedoor.yaml)
      - cache.enabled: invalid type: string "perhaps", expected a boolean (from /etc/stagedoor/stagedoor.yaml); wanted: Whether answers are reused: true or false
      - server.drain_grace_ms: invalid type: string "soon", expected u64 (from /etc/stagedoor/stagedoor.yaml); wanted: Milliseconds between "not ready" and closing the listener, for load balancers to notice (from 0 to 120000)
      - server.listen: invalid type: integer `8080`, expected socket address (from /etc/stagedoor/stagedoor.yaml); wanted: Address and port of the public endpoint, such as `0.0.0.0:8080`
      - server.trusted_proxies: invalid IP address syntax (from /etc/stagedoor/stagedoor.yaml); wanted: Networks whose `X-Forwarded-For` is believed, such as `10.0.0.0/8`
      - storage.database_url: it is not text (from /etc/stagedoor/stagedoor.yaml); wanted: The service's connection, such as `postgres://stagedoor_app:…@db:5432/stagedoor`. A secret
      - telemetry.log_format: unknown variant `colourful`, expected one of `auto`, `json`, `pretty` (from /etc/stagedoor/stagedoor.yaml); wanted: `auto` (pretty on a terminal, else JSON), `json` or `pretty`
      - telemetry.sampling_ratio: invalid type: string "all", expected f64 (from /etc/stagedoor/stagedoor.yaml); wanted: The share of traces kept that no caller decided on; 1 keeps all (from 0.0 to 1.0)
      - storage.max_connections: invalid value: integer `-3`, expected u32 (from STAGEDOOR_STORAGE__MAX_CONNECTIONS); wanted: Connections of one process (from 1 to 1000)
    "#);
}

#[test]
fn ranges_and_rules_between_fields_are_checked() {
    let yaml = "
server:
  listen: 127.0.0.1:9090
  public_url: ftp://music.example.com
  allowed_hosts: ['https://music.example.com']
  allowed_origins: ['https://app.example.com/path', '*']
storage:
  database_url: mysql://app:pa55@db/stagedoor
  max_connections: 0
encryption:
  key_file: /keys/kek
  key_directory: /keys
cache:
  redis_url: http://cache:6379
audit:
  flush_interval_ms: 5000
telemetry:
  sampling_ratio: 1.5
  log_filter: info,stagedoor=loudly
";
    assert_snapshot!(setting(yaml, &[]).refusal(), @r#"
    the configuration has 14 problems:
      - audit.flush_interval_ms: 5000 is out of range (from /etc/stagedoor/stagedoor.yaml); wanted: Milliseconds after which the records of reads are written at the latest (from 1 to 200)
      - storage.max_connections: 0 is out of range (from /etc/stagedoor/stagedoor.yaml); wanted: Connections of one process (from 1 to 1000)
      - telemetry.sampling_ratio: 1.5 is out of range (from /etc/stagedoor/stagedoor.yaml); wanted: The share of traces kept that no caller decided on; 1 keeps all (from 0.0 to 1.0)
      - server.public_url: it is no address of an endpoint (from /etc/stagedoor/stagedoor.yaml); wanted: http or https, a host, no query and no fragment, such as `https://music.example.com`
      - server.allowed_hosts: `https://music.example.com` is no value of `Host` (from /etc/stagedoor/stagedoor.yaml); wanted: a host with an optional port, such as `stagedoor.internal:8080`
      - server.allowed_origins: `https://app.example.com/path` is no value of `Origin` (from /etc/stagedoor/stagedoor.yaml); wanted: scheme, host and optional port, such as `https://app.example.com`
      - server.allowed_origins: `*` is no value of `Origin` (from /etc/stagedoor/stagedoor.yaml); wanted: scheme, host and optional port, such as `https://app.example.com`
      - ops.listen: it is the same as server.listen; wanted: another port
      - storage.database_url: it is no address of a PostgreSQL database (from /etc/stagedoor/stagedoor.yaml); wanted: an address such as `postgres://stagedoor_app:…@db:5432/stagedoor`
      - encryption.key_directory: it and encryption.key_file exclude each other (from /etc/stagedoor/stagedoor.yaml)
      - encryption.api_key_pepper_file: it is required; wanted: a file with at least 32 random bytes
      - cache.redis_url: it is no address of a Redis server (from /etc/stagedoor/stagedoor.yaml); wanted: an address such as `redis://cache:6379/`
      - rate_limiting.redis_url: it is required where cache.redis_url is given: replicas that share no limits each admit a tenant's whole quota; wanted: both addresses, or neither for a single replica, or `cache.enabled: false`
      - telemetry.log_filter: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5 (from /etc/stagedoor/stagedoor.yaml); wanted: levels by module, such as `info,sqlx=warn`
    "#);
}

#[test]
fn addresses_hold_no_password() {
    let yaml = "
server:
  public_url: https://user:hunter2@music.example.com
backup:
  url: s3://AKIA:hunter2@evidence/backups
telemetry:
  otlp_endpoint: http://user:hunter2@collector:4318
";
    let refusal = setting(yaml, &[]).refusal();
    for key in
        ["server.public_url: it must not hold", "backup.url: ", "telemetry.otlp_endpoint: it must not hold"]
    {
        assert!(refusal.contains(key), "{refusal}");
    }
    assert!(!refusal.contains("hunter2"), "{refusal}");
}

#[test]
fn nothing_given_names_what_is_required() {
    assert_snapshot!(setting("", &[]).refusal(), @r#"
    the configuration has 3 problems:
      - storage.database_url: it is required; wanted: an address such as `postgres://stagedoor_app:…@db:5432/stagedoor`, best given by STAGEDOOR_STORAGE__DATABASE_URL_FILE
      - encryption.key_file: it is required; wanted: a file with 32 random bytes in base64, or another place for keys: encryption.key_directory, encryption.passphrase_directory, encryption.transit
      - encryption.api_key_pepper_file: it is required; wanted: a file with at least 32 random bytes
    "#);
}

#[test]
fn a_file_that_is_not_yaml_is_placed_without_being_repeated() {
    let refusal = setting("storage:\n  database_url: 'postgres://app:pa55@db\n", &[]).refusal();
    assert!(!refusal.contains("pa55"), "{refusal}");
    assert_snapshot!(refusal, @r#"
    the configuration has 1 problem:
      - it is not valid YAML: invalid indentation in multiline quoted scalar at line 3, column 1 (from /etc/stagedoor/stagedoor.yaml)
    "#);
    assert_snapshot!(setting("server:\n  listen: 1\n  listen: 2\n", &[]).refusal(), @r#"
    the configuration has 1 problem:
      - it is not valid YAML: duplicate mapping key: listen, set DuplicateKeyPolicy in Options if acceptable at line 3, column 3 (from /etc/stagedoor/stagedoor.yaml)
    "#);
    assert_snapshot!(setting("- server\n", &[]).refusal(), @r#"
    the configuration has 1 problem:
      - the file is not a mapping of sections (from /etc/stagedoor/stagedoor.yaml)
    "#);
}

#[test]
fn every_key_of_the_schema_is_described() {
    let schema = Config::schema();
    let sections = schema["properties"].as_object().unwrap();
    assert!(sections.len() >= 10);
    for section in schema["$defs"].as_object().unwrap().values() {
        for (key, value) in section["properties"].as_object().into_iter().flatten() {
            assert!(value["description"].is_string(), "`{key}` has no description: {value}");
        }
    }
}
