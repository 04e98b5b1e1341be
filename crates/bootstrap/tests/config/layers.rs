//! What wins of file and environment, where a value came from, and what is shown of it.

use std::path::PathBuf;

use insta::assert_snapshot;

use super::{VALID, setting};

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
fn a_configuration_is_shown_with_origins_and_loads_again() {
    let setting = setting(VALID, &[("STAGEDOOR_CACHE__ENABLED", "false")]);
    let shown = setting.load().show().replace(&setting.folder.path().display().to_string(), "/etc/stagedoor");
    assert_snapshot!(shown, @r#"
    admin:
      certificate_file: null  # default
      client_authority_file: null  # default
      database_connections: 4  # default
      issuer_audience: null  # default
      issuer_role_claim: "stagedoor_role"  # default
      issuer_tenant_claim: "stagedoor_tenant"  # default
      issuer_url: null  # default
      listen: null  # default
      private_key_file: null  # default
      request_deadline_ms: 30000  # default
    audit:
      checkpoint_interval_seconds: 60  # default
      checkpoint_url: null  # default
      enabled: true  # default
      flush_interval_ms: 100  # default
      max_log_size_bytes: 1073741824  # default
      queue_capacity: 8192  # default
    backup:
      audit_days: 90  # default
      chunk_bytes: 8388608  # default
      preferences_days: 30  # default
      sessions_days: 7  # default
      url: null  # default
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
    doctor:
      database_gib: 0  # default
      disks: []  # default
    encryption:
      api_key_pepper_directory: null  # default
      api_key_pepper_file: "/keys/pepper"  # /etc/stagedoor/stagedoor.yaml
      key_directory: null  # default
      key_file: "/keys/kek"  # /etc/stagedoor/stagedoor.yaml
      key_rotation_days: 90  # default
      key_settle_s: 120  # default
      opened_key_s: 60  # default
      passphrase_directory: null  # default
      transit: null  # default
      wrap_with: null  # default
    linking:
      attempt_minutes: 10  # default
      wait_ms: 20000  # default
    metrics:
      enabled: true  # default
    oauth:
      allow_http: false  # default
      allowed_networks: []  # default
      ca_file: null  # default
      fetch_timeout_ms: 3000  # default
      outage_seconds: 21600  # default
      refresh_seconds: 300  # default
    operator:
      admin_ca_file: null  # default
      admin_client_certificate_file: null  # default
      admin_client_key_file: null  # default
      admin_insecure: false  # default
      admin_key_file: null  # default
      admin_timeout_ms: 30000  # default
      admin_url: ""  # default
      calls_per_second: 20  # default
      concurrency: 8  # default
      installation: "stagedoor"  # default
      lease_name: "stagedoor-operator"  # default
      lease_namespace: null  # default
      lease_seconds: 15  # default
      namespace: null  # default
      platform_namespaces: []  # default
      resync_seconds: 600  # default
      retry_base_ms: 500  # default
      retry_max_seconds: 300  # default
    ops:
      listen: "127.0.0.1:9090"  # default
    privacy:
      settle_ms: 60000  # default
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
    retention:
      audit_days: 90  # default
      limit_violations_days: 30  # default
      metrics_days: 30  # default
      sessions_days: 30  # default
    server:
      allowed_hosts: []  # default
      allowed_origins: []  # default
      body_limit_bytes: 1048576  # default
      body_timeout_ms: 10000  # default
      drain_finish_ms: 20000  # default
      drain_grace_ms: 5000  # default
      idle_timeout_ms: 120000  # default
      listen: "127.0.0.1:8080"  # default
      max_depth: 64  # default
      max_in_flight: 1024  # default
      public_url: "http://127.0.0.1:8080/"  # default
      request_deadline_ms: 30000  # default
      tenant_share_percent: 25  # default
      trusted_proxies: []  # default
    storage:
      acquire_timeout_ms: 250  # default
      admin_database_url: null  # default
      backup_database_url: null  # default
      database_url: "postgres://stagedoor_app:***@db/stagedoor"  # /etc/stagedoor/stagedoor.yaml
      keeper_database_url: null  # default
      listen: true  # default
      max_connections: 10  # default
      owner_database_url: null  # default
      statement_cache: 100  # default
    telemetry:
      log_filter: "info,rmcp=warn,sqlx=warn,hyper=warn,reqwest=warn,opentelemetry=warn"  # default
      log_format: "auto"  # default
      otlp_endpoint: null  # default
      otlp_headers_file: null  # default
      otlp_protocol: "http"  # default
      otlp_signals: ["traces"]  # default
      otlp_timeout_ms: 5000  # default
      sampling_ratio: 1.0  # default
    "#);

    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("  #").next().unwrap_or_default().to_owned()).collect()
    };
    let again = super::setting(&shown, &[]).load().show();
    assert_eq!(values(&again), values(&shown));
}

#[test]
fn replicas_may_differ_in_what_each_listens_on_and_which_roles_it_needs() {
    let plain = setting(VALID, &[]).load().in_common();
    let admins = [
        ("STAGEDOOR_SERVER__LISTEN", "0.0.0.0:1"),
        ("STAGEDOOR_ADMIN__LISTEN", "0.0.0.0:2"),
        ("STAGEDOOR_STORAGE__ADMIN_DATABASE_URL", "postgres://stagedoor_admin:pa55@db/stagedoor"),
    ];
    assert_eq!(setting(VALID, &admins).load().in_common(), plain);
    let other = [("STAGEDOOR_STORAGE__DATABASE_URL", "postgres://stagedoor_app:pa55@elsewhere/stagedoor")];
    assert_ne!(setting(VALID, &other).load().in_common(), plain, "another database is another installation");
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
