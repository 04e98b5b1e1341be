//! Loading the configuration as an operator meets it: what is told when something is wrong, and what wins.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test, in helpers too")]

use std::path::PathBuf;

use insta::assert_snapshot;
use stagedoor_bootstrap::Config;
use stagedoor_bootstrap::config::LoadOptions;

const VALID: &str = "
storage:
  database_url: postgres://stagedoor_app:pa55@db/stagedoor
encryption:
  key_file: /keys/kek
  api_key_pepper_file: /keys/pepper
";

struct Setting {
    folder: tempfile::TempDir,
    options: LoadOptions,
}

fn setting(yaml: &str, environment: &[(&str, &str)]) -> Setting {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stagedoor.yaml");
    std::fs::write(&file, yaml).unwrap();
    let environment = environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Setting { folder, options: LoadOptions { file: Some(file), environment } }
}

impl Setting {
    fn load(&self) -> Config {
        Config::load(&self.options).unwrap()
    }

    fn refusal(&self) -> String {
        let folder = self.folder.path().display().to_string();
        Config::load(&self.options).unwrap_err().to_string().replace(&folder, "/etc/stagedoor")
    }
}

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
    the configuration has 13 problems:
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
      - telemetry.log_filter: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5 (from /etc/stagedoor/stagedoor.yaml); wanted: levels by module, such as `info,sqlx=warn`
    "#);
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
fn the_environment_wins_over_the_file_and_is_read_by_kind() {
    let environment = [
        ("STAGEDOOR_SERVER__LISTEN", "0.0.0.0:8000"),
        ("STAGEDOOR_SERVER__ALLOWED_HOSTS", "a.example, b.example:8443"),
        ("STAGEDOOR_SERVER__TRUSTED_PROXIES", "[10.0.0.0/8]"),
        ("STAGEDOOR_CACHE__ENABLED", "false"),
        ("STAGEDOOR_TELEMETRY__SAMPLING_RATIO", "0.25"),
        ("STAGEDOOR_TELEMETRY__LOG_FILTER", "debug"),
        ("STAGEDOOR_AUDIT__FLUSH_INTERVAL_MS", ""),
        ("STAGEDOOR_SERVICE_HOST", "10.1.2.3"),
        ("STAGEDOOR_PORT_8080_TCP", "tcp://10.1.2.3:8080"),
        ("PATH", "/bin"),
    ];
    let config = setting(&format!("{VALID}\nserver:\n  listen: 127.0.0.1:1\n"), &environment).load();
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:8000");
    assert_eq!(config.server.allowed_hosts, ["a.example", "b.example:8443"]);
    assert_eq!(config.server.trusted_proxies, ["10.0.0.0/8".parse().unwrap()]);
    assert!(!config.cache.enabled);
    assert!((config.telemetry.sampling_ratio - 0.25).abs() < f64::EPSILON);
    assert_eq!(config.telemetry.log_filter, "debug");
    assert_eq!(config.audit.flush_interval_ms, 100);
}

#[test]
fn a_secret_comes_from_a_file_and_is_never_shown() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "postgres://stagedoor_app:s3cond@db/stagedoor\n").unwrap();
    let path = secret.path().to_str().unwrap();
    let loaded = setting(VALID, &[("STAGEDOOR_STORAGE__DATABASE_URL_FILE", path)]).load();
    assert_eq!(loaded.storage.database_url.expose(), "postgres://stagedoor_app:s3cond@db/stagedoor");
    let shown = loaded.show() + &format!("{loaded:?}");
    assert!(!shown.contains("s3cond") && !shown.contains("pa55"), "{shown}");

    let missing = setting(VALID, &[("STAGEDOOR_STORAGE__DATABASE_URL_FILE", "/nowhere/at/all")]).refusal();
    assert_snapshot!(missing, @r#"
    the configuration has 1 problem:
      - storage.database_url: /nowhere/at/all cannot be read: No such file or directory (os error 2) (from STAGEDOOR_STORAGE__DATABASE_URL_FILE)
    "#);
}

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
fn a_cluster_needs_servers_and_several_servers_a_cluster() {
    let yaml = format!(
        "{VALID}
cache:
  redis_cluster: true
  stale_if_error_seconds: 604801
rate_limiting:
  redis_url: redis://:pa55@a:6379/,redis://:pa55@b:6379/
  minimum_replicas: 0
server:
  max_in_flight: 3
  tenant_share_percent: 101
"
    );
    let refusal = setting(&yaml, &[]).refusal();
    assert!(!refusal.contains("pa55"), "{refusal}");
    assert_snapshot!(refusal, @r#"
    the configuration has 6 problems:
      - cache.stale_if_error_seconds: 604801 is out of range (from /etc/stagedoor/stagedoor.yaml); wanted: Seconds after its life in which an answer is given, marked as stale, when the provider fails; 0 never does (from 0 to 604800)
      - rate_limiting.minimum_replicas: 0 is out of range (from /etc/stagedoor/stagedoor.yaml); wanted: Replicas among which a quota is divided at least while the shared limiter is out of reach (from 1 to 10000)
      - server.max_in_flight: 3 is out of range (from /etc/stagedoor/stagedoor.yaml); wanted: Requests under way at a time in one process, open streams among them; one more is refused at once (from 4 to 1000000)
      - server.tenant_share_percent: 101 is out of range (from /etc/stagedoor/stagedoor.yaml); wanted: The share of these, in percent, that one tenant may have under way; a tenant's own `concurrent_calls` goes first (from 1 to 100)
      - cache.redis_url: it is required by cache.redis_cluster; wanted: an address of one of its servers, such as `redis://cache-0:6379/`
      - rate_limiting.redis_url: several servers are named that are no cluster (from /etc/stagedoor/stagedoor.yaml); wanted: one address, or `rate_limiting.redis_cluster: true`
    "#);

    let environment = [
        ("STAGEDOOR_RATE_LIMITING__REDIS_CLUSTER", "true"),
        ("STAGEDOOR_RATE_LIMITING__REDIS_URL", "redis://:pa55@a:6379/,redis://:pa55@b:6379/"),
    ];
    let config = setting(VALID, &environment).load();
    assert!(config.rate_limiting.redis_cluster && !config.cache.redis_cluster);
    assert!(!config.show().contains("pa55") && config.show().contains("b:6379"), "{}", config.show());
    let broken = [environment[0], ("STAGEDOOR_RATE_LIMITING__REDIS_URL", "redis://a:6379/,http://b:6379/")];
    assert!(setting(VALID, &broken).refusal().contains("it is no address of a Redis server"));
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

#[test]
fn a_configuration_is_shown_with_origins_and_loads_again() {
    let setting = setting(VALID, &[("STAGEDOOR_CACHE__ENABLED", "false")]);
    let shown = setting.load().show().replace(&setting.folder.path().display().to_string(), "/etc/stagedoor");
    assert_snapshot!(shown, @r#"
    audit:
      enabled: true  # default
      flush_interval_ms: 100  # default
      queue_capacity: 8192  # default
    cache:
      command_timeout_ms: 50  # default
      enabled: false  # STAGEDOOR_CACHE__ENABLED
      l1_max_bytes: 104857600  # default
      prefetch: true  # default
      redis_cluster: false  # default
      redis_url: null  # default
      stale_if_error_seconds: 86400  # default
      stale_while_revalidate_seconds: 60  # default
      warm_up: true  # default
    encryption:
      api_key_pepper_file: "/keys/pepper"  # /etc/stagedoor/stagedoor.yaml
      key_directory: null  # default
      key_file: "/keys/kek"  # /etc/stagedoor/stagedoor.yaml
      key_settle_s: 120  # default
      passphrase_directory: null  # default
      transit: null  # default
      wrap_with: null  # default
    linking:
      attempt_minutes: 10  # default
      wait_ms: 20000  # default
    metrics:
      enabled: true  # default
    ops:
      listen: "127.0.0.1:9090"  # default
    providers:
      allow_plain_http_loopback: false  # default
      body_limit_bytes: 4194304  # default
      connect_timeout_ms: 2000  # default
      in_flight_per_client: 16  # default
      queue_per_client: 1024  # default
      request_timeout_ms: 10000  # default
    rate_limiting:
      command_timeout_ms: 50  # default
      enabled: true  # default
      lease_tokens: 100  # default
      minimum_replicas: 1  # default
      per_ip_burst: 200  # default
      per_ip_per_second: 100  # default
      redis_cluster: false  # default
      redis_url: null  # default
    server:
      allowed_hosts: []  # default
      allowed_origins: []  # default
      body_limit_bytes: 1048576  # default
      body_timeout_ms: 10000  # default
      drain_finish_ms: 20000  # default
      drain_grace_ms: 5000  # default
      listen: "127.0.0.1:8080"  # default
      max_depth: 64  # default
      max_in_flight: 1024  # default
      public_url: "http://127.0.0.1:8080/"  # default
      request_deadline_ms: 30000  # default
      tenant_share_percent: 25  # default
      trusted_proxies: []  # default
    storage:
      acquire_timeout_ms: 250  # default
      database_url: "postgres://stagedoor_app:***@db/stagedoor"  # /etc/stagedoor/stagedoor.yaml
      max_connections: 10  # default
      owner_database_url: null  # default
      statement_cache: 100  # default
    telemetry:
      log_filter: "info,rmcp=warn,sqlx=warn,hyper=warn,reqwest=warn,opentelemetry=warn"  # default
      log_format: "auto"  # default
      otlp_endpoint: null  # default
      sampling_ratio: 1.0  # default
    "#);

    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("  #").next().unwrap_or_default().to_owned()).collect()
    };
    let again = self::setting(&shown, &[]).load().show();
    assert_eq!(values(&again), values(&shown));
}

#[test]
fn the_file_may_be_named_by_a_variable() {
    let mut setting = setting(VALID, &[]);
    let file = setting.options.file.take().unwrap();
    setting.options.environment.insert("STAGEDOOR_CONFIG".to_owned(), file.display().to_string());
    assert_eq!(setting.load().encryption.key_file, Some(PathBuf::from("/keys/kek")));

    setting.options.environment.insert("STAGEDOOR_CONFIG".to_owned(), "/nowhere/stagedoor.yaml".to_owned());
    assert_snapshot!(setting.refusal(), @r#"
    the configuration has 1 problem:
      - the file cannot be read: No such file or directory (os error 2) (from /nowhere/stagedoor.yaml)
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
