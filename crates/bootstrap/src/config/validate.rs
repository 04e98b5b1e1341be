//! Rules that a single value's kind cannot say: ranges, forms of addresses, fields that need or exclude each other.

use serde_json::{Number, Value};
use url::{Host, Url};

use super::encryption::TransitConfig;
use super::error::ConfigError;
use super::secret::SecretUrl;
use super::{Config, ConfigSchema, OtlpProtocol};

/// Every broken rule.
pub(super) fn problems(config: &Config, schema: &ConfigSchema) -> Vec<ConfigError> {
    let mut problems = Problems { config, found: Vec::new() };
    problems.ranges(schema);
    problems.server();
    problems.storage();
    problems.admin();
    problems.encryption();
    let (cache, limits) = (&config.cache, &config.rate_limiting);
    problems.redis("cache", cache.redis_url.as_ref(), cache.redis_cluster);
    problems.redis("rate_limiting", limits.redis_url.as_ref(), limits.redis_cluster);
    problems.both_redis();
    problems.audit();
    problems.backup();
    problems.oauth();
    problems.telemetry();
    problems.found
}

/// The broken rules of what the operator uses.
pub(super) fn operator_problems(config: &Config, schema: &ConfigSchema) -> Vec<ConfigError> {
    let mut problems = Problems { config, found: Vec::new() };
    problems.ranges(schema);
    problems.telemetry();
    problems.operator();
    problems.found
}

struct Problems<'a> {
    config: &'a Config,
    found: Vec<ConfigError>,
}

impl Problems<'_> {
    fn add(&mut self, path: &str, problem: impl Into<String>, advice: &str) {
        let advice = (!advice.is_empty()).then_some(advice);
        self.found.push(ConfigError::new(path, self.config.origin(path), problem).advice(advice));
    }

    fn ranges(&mut self, schema: &ConfigSchema) {
        for (section, keys) in self.config.tree() {
            for (key, value) in keys {
                let Value::Number(number) = value else { continue };
                let (minimum, maximum) = schema.bounds(&section, &key);
                let outside = |bound: Option<&Number>, wrong: fn(f64, f64) -> bool| {
                    let bound = bound.and_then(Number::as_f64);
                    bound.zip(number.as_f64()).is_some_and(|(bound, value)| wrong(value, bound))
                };
                if outside(minimum, |value, bound| value < bound)
                    || outside(maximum, |value, bound| value > bound)
                {
                    let advice = schema.description(&section, &key).unwrap_or_default();
                    self.add(&format!("{section}.{key}"), format!("{number} is out of range"), &advice);
                }
            }
        }
    }

    fn server(&mut self) {
        let server = &self.config.server;
        if !matches!(server.public_url.scheme(), "http" | "https")
            || server.public_url.query().is_some()
            || server.public_url.fragment().is_some()
        {
            let advice = "wanted: http or https, a host, no query and no fragment, such as `https://music.example.com`";
            self.add("server.public_url", "it is no address of an endpoint", advice);
        } else if !server.public_url.username().is_empty() || server.public_url.password().is_some() {
            let advice = "wanted: without them, since everybody is told of this address";
            self.add("server.public_url", "it must not hold a user name or password", advice);
        }
        for host in &server.allowed_hosts {
            if host.is_empty() || host.contains(['/', '@', ' ', '*']) {
                let advice = "wanted: a host with an optional port, such as `stagedoor.internal:8080`";
                self.add("server.allowed_hosts", format!("`{host}` is no value of `Host`"), advice);
            }
        }
        for origin in &server.allowed_origins {
            let same = Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == *origin);
            if !same || origin == "null" {
                let advice = "wanted: scheme, host and optional port, such as `https://app.example.com`";
                self.add("server.allowed_origins", format!("`{origin}` is no value of `Origin`"), advice);
            }
        }
        if server.listen == self.config.ops.listen && server.listen.port() != 0 {
            self.add("ops.listen", "it is the same as server.listen", "wanted: another port");
        }
    }

    fn operator(&mut self) {
        let operator = &self.config.operator;
        let advice = "wanted: scheme, host and port, such as `https://stagedoor-admin.music.svc:9443`";
        match Url::parse(&operator.admin_url) {
            _ if operator.admin_url.is_empty() => self.add("operator.admin_url", "it is required", advice),
            Ok(url) if url.scheme() == "https" && url.path() == "/" && url.has_host() => {
                if operator.admin_ca_file.is_none() {
                    let advice = "wanted: the file of the authorities of the admin API's certificate, in PEM";
                    self.add(
                        "operator.admin_ca_file",
                        "it is required where operator.admin_url is https",
                        advice,
                    );
                }
            }
            Ok(url) if url.scheme() == "http" && url.path() == "/" && url.has_host() => {
                if !operator.admin_insecure && !is_loopback(&url) {
                    let advice = "wanted: https, or operator.admin_insecure where the network is trusted";
                    self.add("operator.admin_url", "the admin key would travel in the open", advice);
                }
            }
            _ => self.add("operator.admin_url", "it is no address of an admin API", advice),
        }
        if operator.admin_key_file.is_none() {
            let advice = "wanted: the file of a platform operator's key (`stagedoor admin-key create`)";
            self.add("operator.admin_key_file", "it is required", advice);
        }
        if operator.admin_client_certificate_file.is_some() != operator.admin_client_key_file.is_some() {
            let advice = "wanted: both files, or neither";
            self.add("operator.admin_client_key_file", "a certificate and its key go together", advice);
        }
        if !operator.has_installation_name() {
            let advice = "wanted: 1 to 63 lower-case letters, digits, inner hyphens and dots, such as `music.stagedoor`";
            self.add("operator.installation", "it is no name of an installation", advice);
        }
        if operator.lease_name.is_empty() {
            self.add("operator.lease_name", "it is empty", "wanted: such as `stagedoor-operator`");
        }
    }

    fn storage(&mut self) {
        let advice = "wanted: an address such as `postgres://stagedoor_app:…@db:5432/stagedoor`";
        let storage = &self.config.storage;
        if storage.database_url.is_empty() {
            let advice = format!("{advice}, best given by STAGEDOOR_STORAGE__DATABASE_URL_FILE");
            self.add("storage.database_url", "it is required", &advice);
        } else if !has_scheme(storage.database_url.expose(), &["postgres", "postgresql"]) {
            self.add("storage.database_url", "it is no address of a PostgreSQL database", advice);
        }
        for (key, address) in [
            ("storage.owner_database_url", &storage.owner_database_url),
            ("storage.admin_database_url", &storage.admin_database_url),
            ("storage.keeper_database_url", &storage.keeper_database_url),
            ("storage.backup_database_url", &storage.backup_database_url),
        ] {
            if address.as_ref().is_some_and(|url| !has_scheme(url.expose(), &["postgres", "postgresql"])) {
                self.add(key, "it is no address of a PostgreSQL database", advice);
            }
        }
    }

    fn admin(&mut self) {
        let (server, ops, admin) = (&self.config.server, &self.config.ops, &self.config.admin);
        if let Some(listen) = admin.listen {
            if self.config.storage.admin_database_url.is_none() {
                let advice = "wanted: an address such as `postgres://stagedoor_admin:…@db:5432/stagedoor`";
                self.add("storage.admin_database_url", "it is required where admin.listen is set", advice);
            }
            if listen.port() != 0 && (listen == server.listen || listen == ops.listen) {
                self.add(
                    "admin.listen",
                    "it is the same as server.listen or ops.listen",
                    "wanted: another port",
                );
            }
        }
        if admin.issuer_url.is_some()
            != admin.issuer_audience.as_ref().is_some_and(|audience| !audience.is_empty())
        {
            let advice = "wanted: what its tokens name in `aud`, such as `https://admin.example.com:9443`";
            self.add("admin.issuer_audience", "it and admin.issuer_url need each other", advice);
        }
        if admin.certificate_file.is_some() != admin.private_key_file.is_some() {
            self.add("admin.private_key_file", "it and admin.certificate_file need each other", "");
        }
        if admin.client_authority_file.is_some() && admin.certificate_file.is_none() {
            let advice = "wanted: admin.certificate_file and admin.private_key_file";
            self.add("admin.client_authority_file", "client certificates are a part of TLS", advice);
        }
    }

    fn encryption(&mut self) {
        let encryption = &self.config.encryption;
        if encryption.key_file.is_some() && encryption.key_directory.is_some() {
            self.add("encryption.key_directory", "it and encryption.key_file exclude each other", "");
        }
        let places = encryption.places();
        match (encryption.wrap_with, places.len()) {
            (_, 0) => {
                let advice = "wanted: a file with 32 random bytes in base64, or another place for keys: \
                              encryption.key_directory, encryption.passphrase_directory, encryption.transit";
                self.add("encryption.key_file", "it is required", advice);
            }
            (None, 2..) => {
                let advice =
                    "wanted: which of the places wraps new keys: `directory`, `passphrase` or `transit`";
                self.add("encryption.wrap_with", "it is required where keys are in several places", advice);
            }
            (Some(place), _) if !places.contains(&place) => {
                self.add("encryption.wrap_with", "it names a place that is not set up", "");
            }
            _ => {}
        }
        if let Some(transit) = &encryption.transit {
            self.transit(transit);
        }
        if encryption.api_key_pepper_file.is_some() && encryption.api_key_pepper_directory.is_some() {
            let path = "encryption.api_key_pepper_directory";
            self.add(path, "it and encryption.api_key_pepper_file exclude each other", "");
        }
        if encryption.api_key_pepper_file.is_none() && encryption.api_key_pepper_directory.is_none() {
            let advice = "wanted: a file with at least 32 random bytes";
            self.add("encryption.api_key_pepper_file", "it is required", advice);
        }
    }

    fn transit(&mut self, transit: &TransitConfig) {
        const PATH: &str = "encryption.transit";
        let (address, here) = (&transit.address, is_loopback(&transit.address));
        let secure = address.scheme() == "https" || (address.scheme() == "http" && here);
        let bare = address.username().is_empty()
            && address.password().is_none()
            && address.query().is_none()
            && address.fragment().is_none();
        if !secure || !bare {
            let advice = "wanted: https and a host, such as `https://vault.example.com:8200`, or plain http to an agent \
                          on this machine; no user name, query or fragment";
            self.add(PATH, "`address` is no address of a key service", advice);
        }
        match (&transit.token_file, &transit.kubernetes) {
            (Some(_), Some(_)) => self.add(PATH, "`token_file` and `kubernetes` exclude each other", ""),
            (None, None) if !here => {
                let advice = "only an agent on this machine adds the token itself";
                self.add(PATH, "either `token_file` or `kubernetes` is required", advice);
            }
            _ => {}
        }
        for (name, value) in [("key", &transit.key), ("mount", &transit.mount)] {
            if value.is_empty() {
                self.add(PATH, format!("`{name}` is empty"), "");
            }
        }
        if !(100..=4_000).contains(&transit.timeout_ms) {
            let problem = format!("`timeout_ms`: {} is out of range", transit.timeout_ms);
            self.add(PATH, problem, "wanted: from 100 to 4000");
        }
    }

    fn redis(&mut self, section: &str, address: Option<&SecretUrl>, cluster: bool) {
        let path = format!("{section}.redis_url");
        let Some(address) = address else {
            if cluster {
                let advice = "wanted: an address of one of its servers, such as `redis://cache-0:6379/`";
                self.add(&path, format!("it is required by {section}.redis_cluster"), advice);
            }
            return;
        };
        if !address.each().all(|address| has_scheme(address, &["redis", "rediss", "redis+unix"])) {
            let advice = "wanted: an address such as `redis://cache:6379/`";
            self.add(&path, "it is no address of a Redis server", advice);
        } else if address.each().count() > 1 && !cluster {
            let advice = format!("wanted: one address, or `{section}.redis_cluster: true`");
            self.add(&path, "several servers are named that are no cluster", &advice);
        } else if cluster && address.each().any(|address| database_number(address) != 0) {
            let advice = "wanted: an address without a number, or with 0";
            self.add(&path, "it names a database by number, and a Redis Cluster has only number 0", advice);
        }
    }

    /// Whoever shares its limits among replicas has several of them, and whoever shares its cache too.
    fn both_redis(&mut self) {
        let (cache, limits) = (&self.config.cache, &self.config.rate_limiting);
        if !cache.enabled {
            return;
        }
        let advice = "wanted: both addresses, or neither for a single replica, or `cache.enabled: false`";
        match (&cache.redis_url, &limits.redis_url) {
            (None, Some(_)) if !cache.redis_cluster => {
                let problem = "it is required where rate_limiting.redis_url is given: replicas that share no cache do \
                               not learn of each other's writes and give answers from before them";
                self.add("cache.redis_url", problem, advice);
            }
            (Some(_), None) if limits.enabled && !limits.redis_cluster => {
                let problem = "it is required where cache.redis_url is given: replicas that share no limits each admit \
                               a tenant's whole quota";
                self.add("rate_limiting.redis_url", problem, advice);
            }
            _ => {}
        }
    }

    fn audit(&mut self) {
        let config = self.config;
        self.object_store(
            "audit.checkpoint_url",
            config.audit.checkpoint_url.as_ref(),
            "checkpoints",
            "audit",
        );
    }

    fn backup(&mut self) {
        let config = self.config;
        self.object_store("backup.url", config.backup.url.as_ref(), "backups", "backups");
    }

    fn object_store(&mut self, key: &str, url: Option<&Url>, what: &str, folder: &str) {
        let Some(url) = url else { return };
        let known = match url.scheme() {
            "file" => url.host_str().is_none_or(str::is_empty) && url.path() != "/",
            "s3" | "gs" | "az" => url.host_str().is_some_and(|bucket| !bucket.is_empty()),
            _ => false,
        };
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !known || !bare {
            let advice = format!(
                "wanted: a folder or a bucket, such as `file:///var/lib/stagedoor/{what}` or `s3://bucket/{folder}`, \
                 without credentials, which the environment gives"
            );
            self.add(key, format!("it is no place for {what}"), &advice);
        }
    }

    fn oauth(&mut self) {
        let oauth = &self.config.oauth;
        if oauth.outage_seconds < oauth.refresh_seconds {
            let advice = "wanted: as long as oauth.refresh_seconds, or longer";
            self.add("oauth.outage_seconds", "known keys would end before they are fetched again", advice);
        }
    }

    fn telemetry(&mut self) {
        let telemetry = &self.config.telemetry;
        if let Some(url) = &telemetry.otlp_endpoint {
            let advice = "wanted: an address such as `http://collector:4318`";
            if !matches!(url.scheme(), "http" | "https") {
                self.add("telemetry.otlp_endpoint", "only OTLP over http and https is spoken", advice);
            } else if !url.username().is_empty() || url.password().is_some() {
                let advice =
                    "wanted: a header in telemetry.otlp_headers_file, such as `authorization: Basic …`";
                self.add("telemetry.otlp_endpoint", "it must not hold a user name or password", advice);
            } else if telemetry.otlp_protocol == OtlpProtocol::Grpc && !matches!(url.path(), "" | "/") {
                self.add("telemetry.otlp_endpoint", "an address of gRPC has no path", advice);
            }
        }
        if let Err(error) = crate::telemetry::parse_filter(&telemetry.log_filter) {
            self.add("telemetry.log_filter", error, "wanted: levels by module, such as `info,sqlx=warn`");
        }
    }
}

fn has_scheme(address: &str, schemes: &[&str]) -> bool {
    Url::parse(address).is_ok_and(|url| schemes.contains(&url.scheme()))
}

/// The database that an address names: as its path, or on a socket as `db`.
fn database_number(address: &str) -> u32 {
    let Ok(url) = Url::parse(address) else { return 0 };
    let socket = url.scheme() == "redis+unix";
    let number = if socket {
        url.query_pairs().find(|(name, _)| name == "db").map(|(_, number)| number.into_owned())
    } else {
        Some(url.path().trim_matches('/').to_owned())
    };
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn is_loopback(address: &Url) -> bool {
    match address.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
