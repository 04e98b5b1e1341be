//! Key-encryption keys out of an operator's passphrases: a folder with `1.passphrase` and `1.salt`, and so on by version.
//! Derived once, at the start; another version takes a restart.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use secrecy::zeroize::Zeroizing;
use stagedoor_crypto::envelope::key_id;
use stagedoor_crypto::{
    DataKey, KekError, KekProvider, KeyEncryptionKey, PassphraseError, PassphraseSalt, Wrap,
};
use stagedoor_domain::{Entropy, TenantId};
use uuid::Uuid;

use crate::directory::{KeyFilesError, list, read_file};

const PASSPHRASE: &str = "passphrase";
const SALT: &str = "salt";

/// Why passphrases give no keys. Shows no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseKeysError {
    /// The folder or a file in it cannot be read.
    #[error(transparent)]
    Files(#[from] KeyFilesError),
    /// The folder holds no passphrase.
    #[error("{0} holds no passphrase: expected 1.passphrase with 1.salt, and so on by version")]
    Empty(PathBuf),
    /// A file that is neither.
    #[error("{0} is named neither <version>.passphrase nor <version>.salt")]
    Name(PathBuf),
    /// A passphrase without its salt, or a salt without its passphrase.
    #[error("{0} is missing; `stagedoor keys salt` makes a salt")]
    Half(PathBuf),
    /// A passphrase or salt that is not taken.
    #[error("{path} is not taken")]
    Refused {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: PassphraseError,
    },
    /// The thread that derives keys is gone: the process is ending.
    #[error("deriving the keys was interrupted")]
    Interrupted,
}

/// The keys of a folder of passphrases, at least one; the newest wraps, each unwraps.
pub struct PassphraseKeys {
    keys: BTreeMap<u32, KeyEncryptionKey>,
}

#[derive(Default)]
struct Pair {
    passphrase: Option<Zeroizing<Vec<u8>>>,
    salt: Option<PassphraseSalt>,
}

impl PassphraseKeys {
    /// Derives the key of each version, on a thread of its own: about half a second of work each.
    pub async fn open(folder: PathBuf) -> Result<Self, PassphraseKeysError> {
        let deriving = tokio::task::spawn_blocking(move || derive(&folder));
        let keys = deriving.await.map_err(|_| PassphraseKeysError::Interrupted)??;
        Ok(Self { keys })
    }

    fn active(&self) -> &KeyEncryptionKey {
        self.keys.last_key_value().expect("there is at least one by construction").1
    }
}

fn derive(folder: &Path) -> Result<BTreeMap<u32, KeyEncryptionKey>, PassphraseKeysError> {
    let pairs = read(folder)?;
    if pairs.is_empty() {
        return Err(PassphraseKeysError::Empty(folder.to_owned()));
    }
    let mut keys = BTreeMap::new();
    for (version, pair) in pairs {
        let file = |kind| folder.join(format!("{version}.{kind}"));
        let passphrase = pair.passphrase.ok_or_else(|| PassphraseKeysError::Half(file(PASSPHRASE)))?;
        let salt = pair.salt.ok_or_else(|| PassphraseKeysError::Half(file(SALT)))?;
        let refused = |source| PassphraseKeysError::Refused { path: file(PASSPHRASE), source };
        keys.insert(version, salt.derive(&passphrase).map_err(refused)?);
    }
    Ok(keys)
}

fn read(folder: &Path) -> Result<BTreeMap<u32, Pair>, PassphraseKeysError> {
    let mut pairs = BTreeMap::<u32, Pair>::new();
    for (name, path) in list(folder)? {
        let Some((version, kind)) = version_and_kind(&name) else {
            return Err(PassphraseKeysError::Name(path));
        };
        let Some(content) = read_file(&path)? else { continue };
        let pair = pairs.entry(version).or_default();
        match kind {
            PASSPHRASE => pair.passphrase = Some(content),
            SALT => {
                let refused = |source| PassphraseKeysError::Refused { path: path.clone(), source };
                pair.salt = Some(PassphraseSalt::parse(&content).map_err(refused)?);
            }
            _ => return Err(PassphraseKeysError::Name(path)),
        }
    }
    Ok(pairs)
}

/// A version is written in one way only, so that no two files claim the same one.
fn version_and_kind(name: &str) -> Option<(u32, &str)> {
    let (text, kind) = name.rsplit_once('.')?;
    let version: u32 = text.parse().ok()?;
    (version.to_string() == text).then_some((version, kind))
}

#[async_trait]
impl KekProvider for PassphraseKeys {
    async fn wrap(
        &self,
        tenant: TenantId,
        key: &DataKey,
        revision: i64,
        entropy: &dyn Entropy,
    ) -> Result<Wrap, KekError> {
        Ok(self.active().wrap(tenant, key, revision, entropy))
    }

    async fn unwrap(
        &self,
        tenant: TenantId,
        id: Uuid,
        revision: i64,
        wrapped: &[u8],
    ) -> Result<DataKey, KekError> {
        let wanted = key_id(wrapped)?;
        let key = self.keys.values().find(|key| key.id() == wanted).ok_or(KekError::UnknownKey(wanted))?;
        key.unwrap(tenant, id, revision, wrapped)
    }

    fn active_id(&self) -> Option<Uuid> {
        Some(self.active().id())
    }

    fn ids(&self) -> Vec<Uuid> {
        self.keys.values().map(KeyEncryptionKey::id).collect()
    }

    fn problem(&self) -> Option<String> {
        None
    }
}

impl fmt::Debug for PassphraseKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PassphraseKeys").field(&self.keys).finish()
    }
}
