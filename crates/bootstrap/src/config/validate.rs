//! Rules that a single value's kind cannot say: ranges, forms of addresses, fields that need or exclude each other.

use serde_json::{Number, Value};
use url::Url;

use super::error::ConfigError;
use super::secret::SecretUrl;
use super::{Config, ConfigSchema};

/// Every broken rule.
pub(super) fn problems(config: &Config, schema: &ConfigSchema) -> Vec<ConfigError> {
    let mut problems = Problems { config, found: Vec::new() };
    problems.ranges(schema);
    problems.server();
    problems.storage();
    problems.encryption();
    problems.redis("cache.redis_url", config.cache.redis_url.as_ref());
    problems.redis("rate_limiting.redis_url", config.rate_limiting.redis_url.as_ref());
    problems.telemetry();
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

    fn storage(&mut self) {
        let advice = "wanted: an address such as `postgres://stagedoor_app:…@db:5432/stagedoor`";
        let storage = &self.config.storage;
        if storage.database_url.is_empty() {
            let advice = format!("{advice}, best given by STAGEDOOR_STORAGE__DATABASE_URL_FILE");
            self.add("storage.database_url", "it is required", &advice);
        } else if !has_scheme(&storage.database_url, &["postgres", "postgresql"]) {
            self.add("storage.database_url", "it is no address of a PostgreSQL database", advice);
        }
        if let Some(address) = &storage.owner_database_url
            && !has_scheme(address, &["postgres", "postgresql"])
        {
            self.add("storage.owner_database_url", "it is no address of a PostgreSQL database", advice);
        }
    }

    fn encryption(&mut self) {
        let encryption = &self.config.encryption;
        match (&encryption.key_file, &encryption.key_directory) {
            (None, None) => {
                self.add("encryption.key_file", "either it or encryption.key_directory is required", "");
            }
            (Some(_), Some(_)) => {
                self.add("encryption.key_directory", "it and encryption.key_file exclude each other", "");
            }
            _ => {}
        }
        if encryption.api_key_pepper_file.is_none() {
            let advice = "wanted: a file with at least 32 random bytes";
            self.add("encryption.api_key_pepper_file", "it is required", advice);
        }
    }

    fn redis(&mut self, path: &str, address: Option<&SecretUrl>) {
        if address.is_some_and(|address| !has_scheme(address, &["redis", "rediss", "redis+unix"])) {
            self.add(
                path,
                "it is no address of a Redis server",
                "wanted: an address such as `redis://cache:6379/`",
            );
        }
    }

    fn telemetry(&mut self) {
        let telemetry = &self.config.telemetry;
        if telemetry.otlp_endpoint.as_ref().is_some_and(|url| !matches!(url.scheme(), "http" | "https")) {
            let advice = "wanted: an address such as `http://collector:4318`";
            self.add("telemetry.otlp_endpoint", "only OTLP over http and https is spoken", advice);
        }
        if let Err(error) = crate::telemetry::parse_filter(&telemetry.log_filter) {
            self.add("telemetry.log_filter", error, "wanted: levels by module, such as `info,sqlx=warn`");
        }
    }
}

fn has_scheme(address: &SecretUrl, schemes: &[&str]) -> bool {
    Url::parse(address.expose()).is_ok_and(|url| schemes.contains(&url.scheme()))
}
