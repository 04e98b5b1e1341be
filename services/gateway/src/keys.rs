//! Opens the key-encryption keys and the pepper where the configuration says they are, and watches the keys while the
//! gateway runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use stagedoor_bootstrap::config::{EncryptionConfig, TransitConfig, WrapWith};
use stagedoor_bootstrap::health::CheckHandle;
use stagedoor_bootstrap::tasks;
use stagedoor_crypto::{KekProvider, KeyEncryptionKeys, Peppers};
use stagedoor_domain::{Clock, Entropy};
use stagedoor_key_encryption::{
    DirectoryKeys, KeyPlace, KeyPlaces, KeyRing, KeySource, PassphraseKeys, TransitKeys, TransitLogin,
    TransitOptions,
};
use tokio_util::sync::CancellationToken;

/// The keys in two files, each its version 1, as they are now.
pub fn read_files(key: &Path, pepper: &Path) -> anyhow::Result<(Arc<dyn KekProvider>, Peppers)> {
    let files = read_version_one(key).context("the key-encryption key")?;
    let keys = KeyEncryptionKeys::from_files(borrowed(&files)).context("the key-encryption key")?;
    Ok((Arc::new(keys), read_pepper(pepper)?))
}

/// The key-encryption keys and the pepper that `config` names.
pub async fn open(
    config: &EncryptionConfig,
    clock: &Arc<dyn Clock>,
    entropy: &dyn Entropy,
) -> anyhow::Result<(Arc<KeyRing>, Peppers)> {
    let set_up = config.places();
    let wraps = config.wrap_with.or_else(|| set_up.first().copied());
    let wraps = wraps.context("encryption.key_file or another place for keys must be set")?;
    let places = KeyPlaces {
        directory: open_directory(config, clock)?,
        passphrase: match &config.passphrase_directory {
            Some(folder) => {
                let keys = PassphraseKeys::open(folder.clone()).await;
                Some(keys.context("encryption.passphrase_directory")?)
            }
            None => None,
        },
        transit: match &config.transit {
            Some(transit) => {
                let options = transit_options(transit, wraps == WrapWith::Transit);
                let keys = TransitKeys::open(options, Arc::clone(clock), entropy).await;
                Some(keys.context("encryption.transit")?)
            }
            None => None,
        },
    };
    let pepper =
        config.api_key_pepper_file.as_deref().context("encryption.api_key_pepper_file must be set")?;
    let peppers = read_pepper(pepper)?;
    let ring = KeyRing::new(places, place(wraps)).context("encryption.wrap_with")?;
    tracing::info!(wraps = %place(wraps), keys = ring.ids().len(), "key-encryption keys are open");
    Ok((Arc::new(ring), peppers))
}

/// Keeps the keys up to date and tells `check` how they are, until `until`. A gateway that has lost its keys still
/// answers from its cache, and all replicas lose them together: so the check informs and takes no replica out.
pub fn watch(keys: &Arc<KeyRing>, check: CheckHandle, until: &CancellationToken) {
    let (running, shutdown) = (Arc::clone(keys), until.clone());
    tasks::spawn("keys", async move { running.run(shutdown).await });
    let watched = Arc::clone(keys);
    let watching = async move {
        loop {
            match watched.problem() {
                None => check.pass(),
                Some(problem) => check.fail(problem),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tasks::spawn("keys check", until.clone().run_until_cancelled_owned(watching));
}

fn open_directory(
    config: &EncryptionConfig,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Option<DirectoryKeys>> {
    let (source, name) = match (&config.key_directory, &config.key_file) {
        (Some(folder), _) => (KeySource::Directory(folder.clone()), "encryption.key_directory"),
        (None, Some(file)) => (KeySource::File(file.clone()), "encryption.key_file"),
        (None, None) => return Ok(None),
    };
    DirectoryKeys::open(source, config.key_settle(), Arc::clone(clock)).map(Some).context(name)
}

fn transit_options(config: &TransitConfig, wraps: bool) -> TransitOptions {
    let login = match (&config.kubernetes, &config.token_file) {
        (Some(login), _) => TransitLogin::Kubernetes {
            mount: login.mount.clone(),
            role: login.role.clone(),
            token_file: login.token_file.clone(),
        },
        (None, Some(file)) => TransitLogin::TokenFile(file.clone()),
        (None, None) => TransitLogin::Proxy,
    };
    TransitOptions {
        address: config.address.clone(),
        mount: config.mount.clone(),
        key: config.key.clone(),
        namespace: config.namespace.clone(),
        ca_file: config.ca_file.clone(),
        login,
        timeout: config.timeout(),
        wraps,
    }
}

const fn place(wraps: WrapWith) -> KeyPlace {
    match wraps {
        WrapWith::Directory => KeyPlace::Directory,
        WrapWith::Passphrase => KeyPlace::Passphrase,
        WrapWith::Transit => KeyPlace::Transit,
    }
}

fn read_pepper(file: &Path) -> anyhow::Result<Peppers> {
    let files = read_version_one(file).context("encryption.api_key_pepper_file")?;
    Peppers::from_files(borrowed(&files)).context("encryption.api_key_pepper_file")
}

fn borrowed(files: &BTreeMap<String, Vec<u8>>) -> impl Iterator<Item = (&str, &[u8])> {
    files.iter().map(|(name, content)| (name.as_str(), content.as_slice()))
}

fn read_version_one(file: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let content = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(BTreeMap::from([("1".to_owned(), content)]))
}
