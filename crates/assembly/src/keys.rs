//! Opens the key-encryption keys and the pepper where the configuration says they are.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use stagedoor_bootstrap::config::{EncryptionConfig, TransitConfig, WrapWith};
use stagedoor_crypto::{KekProvider, KeyEncryptionKeys, Peppers};
use stagedoor_domain::{Clock, Entropy};
use stagedoor_key_encryption::{
    DirectoryKeys, KeyPlace, KeyPlaces, KeyRing, KeySource, PassphraseKeys, TransitKeys, TransitLogin,
    TransitOptions,
};

/// The keys in two files, each its version 1, as they are now.
pub fn read_files(key: &Path, pepper: &Path) -> anyhow::Result<(Arc<dyn KekProvider>, Peppers)> {
    let files = read_version_one(key).context("the key-encryption key")?;
    let keys = KeyEncryptionKeys::from_files(borrowed(&files)).context("the key-encryption key")?;
    Ok((Arc::new(keys), read_peppers(&read_version_one(pepper)?).context("the pepper")?))
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
    let peppers = open_peppers(config)?;
    let ring = KeyRing::new(places, place(wraps)).context("encryption.wrap_with")?;
    tracing::info!(wraps = %place(wraps), keys = ring.ids().len(), "key-encryption keys are open");
    Ok((Arc::new(ring), peppers))
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

/// The peppers that `config` names, as they are now.
///
/// # Errors
/// Names the key of the configuration.
pub fn open_peppers(config: &EncryptionConfig) -> anyhow::Result<Peppers> {
    let (key, files) = match (&config.api_key_pepper_file, &config.api_key_pepper_directory) {
        (Some(file), _) => ("encryption.api_key_pepper_file", read_version_one(file)),
        (None, Some(folder)) => ("encryption.api_key_pepper_directory", read_versions(folder)),
        (None, None) => anyhow::bail!("encryption.api_key_pepper_file must be set"),
    };
    read_peppers(&files.context(key)?).context(key)
}

fn read_peppers(files: &BTreeMap<String, Vec<u8>>) -> anyhow::Result<Peppers> {
    Ok(Peppers::from_files(borrowed(files))?)
}

/// Every file of a folder that is not hidden; a mounted Secret has hidden ones beside its keys.
fn read_versions(folder: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let unreadable = || format!("{} cannot be read", folder.display());
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with('.') && path.is_file() {
            files.insert(name, std::fs::read(&path).with_context(unreadable)?);
        }
    }
    Ok(files)
}

fn borrowed(files: &BTreeMap<String, Vec<u8>>) -> impl Iterator<Item = (&str, &[u8])> {
    files.iter().map(|(name, content)| (name.as_str(), content.as_slice()))
}

fn read_version_one(file: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let content = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(BTreeMap::from([("1".to_owned(), content)]))
}
