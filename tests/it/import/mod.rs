//! `stagedoor import sessions` as operators run it: real files, the real program, and the front door afterwards.

mod claims;
mod clients;
mod faults;
mod formats;
mod kept;
mod lost;
mod refusals;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use stagedoor_domain::{Provider, UserId};
use stagedoor_sandbox::Grant;
use stagedoor_testkit::{Finished, KeySpec, Stage, TestTenant, generous};

/// Everything that an import could write to, and what it must not touch.
const TABLES: [&str; 8] = [
    "linked_accounts",
    "provider_sessions",
    "session_imports",
    "session_quarantine",
    "session_devices",
    "data_keys",
    "audit_records",
    "audit_payloads",
];

/// A tenant with clients at both services and one person without accounts.
struct Site<'a> {
    stage: &'a Stage,
    tenant: TestTenant<'a>,
    user: UserId,
    key: String,
}

/// An account at a service, and tokens of the tenant's client for it.
struct Outside {
    provider: Provider,
    account: String,
    grant: Grant,
}

/// What a source file must still be after any import.
#[derive(Debug, PartialEq, Eq)]
struct Untouched {
    content: Vec<u8>,
    mode: u32,
    modified: SystemTime,
}

impl<'a> Site<'a> {
    async fn on(stage: &'a Stage, slug: &str) -> Self {
        let tenant = stage.tenant(slug, generous()).await;
        let user = tenant.person("Robin").await;
        for provider in Provider::ALL {
            tenant.set_up(*provider).await;
        }
        let key = tenant.key(&KeySpec::for_user(user)).await;
        Self { stage, tenant, user, key }
    }

    fn outside(&self, provider: Provider) -> Outside {
        let account = self.stage.sandbox().create_account(provider, "Robin Outside", "DE");
        let scopes: &[&str] = match provider {
            Provider::Spotify => &["playlist-read-private", "playlist-modify-private", "user-read-private"],
            Provider::Tidal => &["playlists.read", "playlists.write", "user.read"],
        };
        self.granted(provider, account, scopes)
    }

    /// Another grant of an account for the tenant's client.
    fn granted(&self, provider: Provider, account: String, scopes: &[&str]) -> Outside {
        let grant = self.stage.sandbox().grant(provider, &account, &self.tenant.client_id(), scopes);
        Outside { provider, account, grant }
    }

    /// A file that only its owner may read.
    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.stage.folder().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    async fn import(&self, files: &[&Path], options: &[&str]) -> Finished {
        let user = self.user.to_string();
        self.stage.run(&self.arguments(files, &user, options)).await
    }

    /// Imports one file and answers with its line.
    async fn import_one(&self, file: &Path, options: &[&str]) -> Value {
        let finished = self.import(&[file], options).await;
        let mut lines = finished.lines();
        assert_eq!(lines.len(), 1, "{finished:?}");
        lines.remove(0)
    }

    fn arguments<'t>(&'t self, files: &[&'t Path], user: &'t str, options: &[&'t str]) -> Vec<&'t str> {
        let mut arguments = vec!["import", "sessions"];
        arguments.extend(files.iter().map(|path| path.to_str().unwrap()));
        arguments.extend(["--tenant", self.tenant.slug(), "--user", user, "--json"]);
        arguments.extend(options);
        arguments
    }

    /// A digest of every row of the tables.
    async fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = Vec::new();
        for table in TABLES {
            let statement = format!(
                "SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, ',' ORDER BY t::text)), '') FROM {table} t"
            );
            rows.push((table, self.stage.sql(&statement).await));
        }
        rows
    }

    async fn imports_audited(&self) -> Vec<Value> {
        let trail = self.tenant.audit_trail().await;
        let records = trail.iter().map(|view| view.json().unwrap());
        records.filter(|record| record["action"] == "session_import").collect()
    }

    /// How often the provider was asked to exchange a refresh token.
    fn refreshes(&self, provider: Provider) -> u64 {
        self.stage.sandbox().token_requests(provider).get("refresh_token").copied().unwrap_or(0)
    }
}

impl Outside {
    /// As tidal-mcp writes it: local time without a zone.
    fn tidal_mcp(&self, expires_at: &str) -> String {
        json!({
            "access_token": self.grant.access_token,
            "refresh_token": self.grant.refresh_token,
            "session_id": null,
            "user_id": self.account,
            "country_code": "DE",
            "expires_at": expires_at,
            "saved_at": "2026-11-01T12:00:00.000001",
        })
        .to_string()
    }

    /// As spotipy writes it; the access token ended at `ended` and works no more.
    fn spotipy(&self, ended: DateTime<Utc>) -> String {
        json!({
            "access_token": "ended",
            "token_type": "Bearer",
            "expires_in": 3600,
            "scope": self.grant.scopes.join(" "),
            "expires_at": ended.timestamp(),
            "refresh_token": self.grant.refresh_token,
        })
        .to_string()
    }

    /// The end of the access token in UTC, without a zone.
    fn ends(&self) -> String {
        self.grant.expires_at.format("%Y-%m-%dT%H:%M:%S").to_string()
    }

    fn secrets(&self) -> [&str; 2] {
        [&self.grant.access_token, &self.grant.refresh_token]
    }
}

fn untouched(path: &Path) -> Untouched {
    let metadata = std::fs::metadata(path).unwrap();
    Untouched {
        content: std::fs::read(path).unwrap(),
        mode: metadata.permissions().mode(),
        modified: metadata.modified().unwrap(),
    }
}

/// What a line says became of its file.
fn outcome(line: &Value) -> String {
    format!("{} {}", line["outcome"].as_str().unwrap(), line["reason"].as_str().unwrap_or("-"))
}

/// Whether a line warns that tokens are lost.
fn warns_of_loss(line: &Value) -> bool {
    line["warnings"].to_string().contains("they are lost")
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), waiting).await.unwrap_or_else(|_| panic!("{what}"));
}

/// Nothing that was printed or logged shows a token.
fn assert_silent(finished: &Finished, secrets: &[&str]) {
    for secret in secrets {
        assert!(!finished.output.contains(secret) && !finished.said.contains(secret), "{finished:?}");
    }
}
