//! The demo's keys and what it handed out, in files that only their owner can read.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use stagedoor_domain::Entropy;

const KEY: &str = "key-encryption.key";
const PEPPER: &str = "api-key-pepper.key";
const API_KEY: &str = "api-key.txt";
const ADMIN_KEY: &str = "admin-key.txt";
const SANDBOX: &str = "sandbox.json";

/// Where the secrets are.
#[derive(Debug)]
pub(super) struct Secrets {
    /// The key-encryption key.
    pub(super) key: PathBuf,
    /// The pepper of API keys.
    pub(super) pepper: PathBuf,
    api_key: PathBuf,
    /// The key of the admin API.
    pub(super) admin_key: PathBuf,
}

impl Secrets {
    /// The secrets in `folder`; made where missing.
    pub(super) fn load_or_make(folder: &Path, entropy: &dyn Entropy) -> anyhow::Result<Self> {
        let secrets = Self {
            key: folder.join(KEY),
            pepper: folder.join(PEPPER),
            api_key: folder.join(API_KEY),
            admin_key: folder.join(ADMIN_KEY),
        };
        for file in [&secrets.key, &secrets.pepper] {
            if !file.exists() {
                let mut key = [0_u8; 32];
                entropy.fill(&mut key);
                write(file, &STANDARD.encode(key))?;
            }
        }
        Ok(secrets)
    }

    /// The API key of an earlier run.
    pub(super) fn api_key(&self) -> Option<String> {
        fs::read_to_string(&self.api_key).ok().map(|text| text.trim().to_owned())
    }

    /// Keeps the API key for later runs: the database has only its digest.
    pub(super) fn keep_api_key(&self, key: &str) -> anyhow::Result<()> {
        write(&self.api_key, key)
    }

    /// The key of the admin API of an earlier run.
    pub(super) fn admin_key(&self) -> Option<String> {
        fs::read_to_string(&self.admin_key).ok().map(|text| text.trim().to_owned())
    }

    /// Keeps the key of the admin API for later runs.
    pub(super) fn keep_admin_key(&self, key: &str) -> anyhow::Result<()> {
        write(&self.admin_key, key)
    }
}

/// Erases what this module and the sandbox keep.
pub(super) fn erase(folder: &Path) -> anyhow::Result<()> {
    for name in [KEY, PEPPER, API_KEY, ADMIN_KEY, SANDBOX] {
        match fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// Writes a whole file or none, readable by its owner only.
pub(super) fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let cannot = || format!("{} cannot be written", file.display());
    let temporary = file.with_extension("new");
    let mut open = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .with_context(cannot)?;
    open.write_all(text.as_bytes()).and_then(|()| open.sync_all()).with_context(cannot)?;
    fs::rename(&temporary, file).with_context(cannot)
}
