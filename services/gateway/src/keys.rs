//! Reads the key-encryption keys and the pepper from where the configuration says they are.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use stagedoor_bootstrap::config::EncryptionConfig;
use stagedoor_crypto::{KeyEncryptionKeys, Peppers};

/// The keys in two files, each its version 1.
pub fn read_files(key: &Path, pepper: &Path) -> anyhow::Result<(KeyEncryptionKeys, Peppers)> {
    read(&EncryptionConfig {
        key_file: Some(key.to_owned()),
        key_directory: None,
        api_key_pepper_file: Some(pepper.to_owned()),
    })
}

/// The key-encryption keys and the pepper that `config` names.
pub fn read(config: &EncryptionConfig) -> anyhow::Result<(KeyEncryptionKeys, Peppers)> {
    let files = match (&config.key_directory, &config.key_file) {
        (Some(directory), _) => read_directory(directory).context("encryption.key_directory")?,
        (None, Some(file)) => read_version_one(file).context("encryption.key_file")?,
        (None, None) => anyhow::bail!("encryption.key_file or encryption.key_directory must be set"),
    };
    let pepper =
        config.api_key_pepper_file.as_deref().context("encryption.api_key_pepper_file must be set")?;
    let pepper = read_version_one(pepper).context("encryption.api_key_pepper_file")?;
    let keys = KeyEncryptionKeys::from_files(borrowed(&files)).context("the key-encryption keys")?;
    let peppers = Peppers::from_files(borrowed(&pepper)).context("the pepper")?;
    Ok((keys, peppers))
}

fn borrowed(files: &BTreeMap<String, Vec<u8>>) -> impl Iterator<Item = (&str, &[u8])> {
    files.iter().map(|(name, content)| (name.as_str(), content.as_slice()))
}

fn read_version_one(file: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let content = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(BTreeMap::from([("1".to_owned(), content)]))
}

/// The files of a mounted Secret; the links that the kubelet swaps start with two dots and are left out.
fn read_directory(directory: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let unreadable = || format!("{} cannot be read", directory.display());
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(directory).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with('.') && path.is_file() {
            files.insert(name, std::fs::read(&path).with_context(unreadable)?);
        }
    }
    Ok(files)
}
