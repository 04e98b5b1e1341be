//! Several places of key-encryption keys at once: one wraps, all unwrap. That is the way from one place to another, and
//! what a gateway holds even where there is only one.

use std::fmt;

use async_trait::async_trait;
use stagedoor_crypto::{DataKey, KekError, KekProvider, Wrap, envelope};
use stagedoor_domain::{Entropy, TenantId};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::directory::DirectoryKeys;
use crate::passphrase::PassphraseKeys;
use crate::transit::{TransitKeys, format};

/// A place of key-encryption keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPlace {
    /// A key file, or a folder of them.
    Directory,
    /// A folder of passphrases.
    Passphrase,
    /// A transit engine.
    Transit,
}

/// The places to look in.
#[derive(Debug, Default)]
pub struct KeyPlaces {
    /// A key file, or a folder of them.
    pub directory: Option<DirectoryKeys>,
    /// A folder of passphrases.
    pub passphrase: Option<PassphraseKeys>,
    /// A transit engine.
    pub transit: Option<TransitKeys>,
}

/// The place that is to wrap is not among those that were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("new keys are to be wrapped by {0}, which is not set up")]
pub struct NoSuchPlace(pub KeyPlace);

/// Key-encryption keys of several places.
#[derive(Debug)]
pub struct KeyRing {
    places: KeyPlaces,
    wraps: KeyPlace,
}

impl KeyRing {
    /// A ring whose new wraps are made at `wraps`.
    pub fn new(places: KeyPlaces, wraps: KeyPlace) -> Result<Self, NoSuchPlace> {
        match places.get(wraps) {
            Some(_) => Ok(Self { places, wraps }),
            None => Err(NoSuchPlace(wraps)),
        }
    }

    /// Keeps every place up to date until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        let directory = async {
            if let Some(keys) = &self.places.directory {
                keys.run(shutdown.clone()).await;
            }
        };
        let transit = async {
            if let Some(keys) = &self.places.transit {
                keys.run(shutdown.clone()).await;
            }
        };
        tokio::join!(directory, transit);
    }

    /// Reads what is in files again at once, as happens every few seconds anyway.
    pub async fn reload(&self) {
        if let Some(keys) = &self.places.directory {
            keys.reload().await;
        }
    }

    /// The place that wraps.
    pub fn wraps(&self) -> KeyPlace {
        self.wraps
    }

    fn wrapping(&self) -> &dyn KekProvider {
        self.places.get(self.wraps).expect("it was there when the ring was made")
    }
}

impl KeyPlaces {
    fn get(&self, place: KeyPlace) -> Option<&dyn KekProvider> {
        match place {
            KeyPlace::Directory => self.directory.as_ref().map(|keys| keys as _),
            KeyPlace::Passphrase => self.passphrase.as_ref().map(|keys| keys as _),
            KeyPlace::Transit => self.transit.as_ref().map(|keys| keys as _),
        }
    }

    fn all(&self) -> impl Iterator<Item = (KeyPlace, &dyn KekProvider)> {
        // A passphrase's keys are in memory; a folder is read again for an unknown id, and so comes after.
        let places = [KeyPlace::Passphrase, KeyPlace::Directory, KeyPlace::Transit];
        places.into_iter().filter_map(|place| Some((place, self.get(place)?)))
    }
}

#[async_trait]
impl KekProvider for KeyRing {
    async fn wrap(
        &self,
        tenant: TenantId,
        key: &DataKey,
        revision: i64,
        entropy: &dyn Entropy,
    ) -> Result<Wrap, KekError> {
        self.wrapping().wrap(tenant, key, revision, entropy).await
    }

    /// The first byte says whether the wrap is an envelope of ours or a key service's.
    async fn unwrap(
        &self,
        tenant: TenantId,
        id: Uuid,
        revision: i64,
        wrapped: &[u8],
    ) -> Result<DataKey, KekError> {
        let served = wrapped.first() == Some(&format::FORMAT);
        let wanted = if served { format::key_id(wrapped)? } else { envelope::key_id(wrapped)? };
        for (place, keys) in self.places.all() {
            if served == (place == KeyPlace::Transit) {
                match keys.unwrap(tenant, id, revision, wrapped).await {
                    Err(KekError::UnknownKey(_)) => {}
                    outcome => return outcome,
                }
            }
        }
        Err(KekError::UnknownKey(wanted))
    }

    fn active_id(&self) -> Option<Uuid> {
        self.wrapping().active_id()
    }

    fn ids(&self) -> Vec<Uuid> {
        self.places.all().flat_map(|(_, keys)| keys.ids()).collect()
    }

    fn problem(&self) -> Option<String> {
        let told =
            |(place, keys): (KeyPlace, &dyn KekProvider)| Some(format!("{place}: {}", keys.problem()?));
        let problems: Vec<String> = self.places.all().filter_map(told).collect();
        (!problems.is_empty()).then(|| problems.join("; "))
    }
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "directory",
            Self::Passphrase => "passphrase",
            Self::Transit => "transit",
        })
    }
}
