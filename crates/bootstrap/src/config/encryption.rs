//! The section `encryption`: where key-encryption keys and the pepper are. Files and addresses only; keys are read where
//! they are used.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

/// Where the keys are. Several places may be given, to move from one to another.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EncryptionConfig {
    /// A file with one key-encryption key, 32 bytes in base64.
    pub key_file: Option<PathBuf>,
    /// A folder with one file for each version of the key-encryption key, such as a mounted Secret.
    pub key_directory: Option<PathBuf>,
    /// Seconds that a new key file must be there before it wraps, so that every replica has it by then.
    #[schemars(range(max = 86_400))]
    pub key_settle_s: u64,
    /// A folder with passphrases and their salts: `1.passphrase`, `1.salt` and so on by version.
    pub passphrase_directory: Option<PathBuf>,
    /// The transit engine of Vault or OpenBao: `address`, `key`, and how to log in.
    pub transit: Option<TransitConfig>,
    /// Which of them wraps new keys, where there are several: `directory`, `passphrase` or `transit`.
    pub wrap_with: Option<WrapWith>,
    /// A file with the pepper under which API keys are stored.
    pub api_key_pepper_file: Option<PathBuf>,
    /// A folder with one file for each version of the pepper, instead: the newest one counts, the others still verify.
    pub api_key_pepper_directory: Option<PathBuf>,
    /// Days after which `stagedoor-keeper rotate-keys` replaces a key.
    #[schemars(range(min = 1, max = 3_650))]
    pub key_rotation_days: u32,
    /// Seconds that a process remembers the keys of tenants and people for. Every process must have the same: a key that
    /// was replaced is destroyed no sooner.
    #[schemars(range(min = 1, max = 60))]
    pub opened_key_s: u64,
}

/// A place of key-encryption keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WrapWith {
    /// `key_file` or `key_directory`.
    Directory,
    /// `passphrase_directory`.
    Passphrase,
    /// `transit`.
    Transit,
}

/// The transit engine of Vault or OpenBao.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransitConfig {
    /// The server, such as `https://vault.example.com:8200`; plain http only to an agent on this machine.
    #[schemars(with = "String", url)]
    pub address: Url,
    /// Where the engine is mounted.
    #[serde(default = "transit_mount")]
    pub mount: String,
    /// The key's name; of type aes256-gcm96 or chacha20-poly1305, and made beforehand.
    pub key: String,
    /// The namespace, where the server has such.
    #[serde(default)]
    pub namespace: Option<String>,
    /// A file with certificates in PEM to trust instead of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// A file with the token, such as an agent's sink; read again when the token is refused.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// Log in with the pod's service account instead.
    #[serde(default)]
    pub kubernetes: Option<KubernetesLoginConfig>,
    /// Milliseconds that one request may take (from 100 to 4000).
    #[serde(default = "transit_timeout_ms")]
    pub timeout_ms: u64,
}

/// A log-in with the pod's service account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesLoginConfig {
    /// The role to log in as.
    pub role: String,
    /// Where the authentication method is mounted.
    #[serde(default = "kubernetes_mount")]
    pub mount: String,
    /// The service account's token.
    #[serde(default = "service_account_token")]
    pub token_file: PathBuf,
}

impl EncryptionConfig {
    /// `key_settle_s` as a duration.
    pub const fn key_settle(&self) -> Duration {
        Duration::from_secs(self.key_settle_s)
    }

    /// `opened_key_s` as a duration.
    pub const fn opened_key(&self) -> Duration {
        Duration::from_secs(self.opened_key_s)
    }

    /// `key_rotation_days` as a duration.
    pub fn key_rotation(&self) -> Duration {
        Duration::from_hours(24 * u64::from(self.key_rotation_days))
    }

    /// The places that are set up.
    pub fn places(&self) -> Vec<WrapWith> {
        let set = [
            (WrapWith::Directory, self.key_file.is_some() || self.key_directory.is_some()),
            (WrapWith::Passphrase, self.passphrase_directory.is_some()),
            (WrapWith::Transit, self.transit.is_some()),
        ];
        set.into_iter().filter(|(_, set)| *set).map(|(place, _)| place).collect()
    }
}

impl TransitConfig {
    /// `timeout_ms` as a duration.
    pub const fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

impl Default for EncryptionConfig {
    fn default() -> Self {
        Self {
            key_file: None,
            key_directory: None,
            key_settle_s: 120,
            passphrase_directory: None,
            transit: None,
            wrap_with: None,
            api_key_pepper_file: None,
            api_key_pepper_directory: None,
            key_rotation_days: 90,
            opened_key_s: 60,
        }
    }
}

fn transit_mount() -> String {
    "transit".to_owned()
}

const fn transit_timeout_ms() -> u64 {
    2_000
}

fn kubernetes_mount() -> String {
    "kubernetes".to_owned()
}

fn service_account_token() -> PathBuf {
    PathBuf::from("/var/run/secrets/kubernetes.io/serviceaccount/token")
}
