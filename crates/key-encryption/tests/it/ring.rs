//! Moving from one place of keys to another: the new one wraps, the old one still unwraps.

use std::time::Duration;

use stagedoor_crypto::passphrase::MIN_ROUNDS;
use stagedoor_crypto::{KekError, KekProvider, PassphraseSalt, SystemEntropy};
use stagedoor_key_encryption::{
    DirectoryKeys, KeyPlace, KeyPlaces, KeyRing, KeySource, NoSuchPlace, PassphraseKeys,
};

use crate::stand_in::StandIn;
use crate::support::{StillClock, data_key, unwrap, wrap, write_key};

struct Folders {
    keys: tempfile::TempDir,
    passphrases: tempfile::TempDir,
}

impl Folders {
    fn new() -> Self {
        let folders = Self { keys: tempfile::tempdir().unwrap(), passphrases: tempfile::tempdir().unwrap() };
        write_key(folders.keys.path(), "1", 1);
        let salt = PassphraseSalt::generate(MIN_ROUNDS, &SystemEntropy).unwrap().to_string();
        std::fs::write(folders.passphrases.path().join("1.salt"), salt).unwrap();
        std::fs::write(folders.passphrases.path().join("1.passphrase"), "a long enough passphrase").unwrap();
        folders
    }

    fn directory(&self) -> DirectoryKeys {
        let source = KeySource::Directory(self.keys.path().to_owned());
        DirectoryKeys::open(source, Duration::from_mins(2), StillClock::new()).unwrap()
    }

    async fn passphrase(&self) -> PassphraseKeys {
        PassphraseKeys::open(self.passphrases.path().to_owned()).await.unwrap()
    }
}

#[tokio::test]
async fn one_place_wraps_and_every_place_unwraps() {
    let (folders, vault, key) = (Folders::new(), StandIn::start().await, data_key(1));
    let mut wraps = Vec::new();
    for place in [KeyPlace::Directory, KeyPlace::Passphrase, KeyPlace::Transit] {
        let places = KeyPlaces {
            directory: Some(folders.directory()),
            passphrase: Some(folders.passphrase().await),
            transit: Some(vault.keys(&StillClock::new()).await.unwrap()),
        };
        let ring = KeyRing::new(places, place).unwrap();
        let wrapped = wrap(&ring, &key).await.unwrap();
        assert_eq!(Some(wrapped.wrapped_by), ring.active_id());
        assert!(ring.ids().contains(&wrapped.wrapped_by));
        wraps.push(wrapped);
        for wrapped in &wraps {
            unwrap(&ring, &key, wrapped).await.unwrap();
        }
        assert_eq!(ring.problem(), None);
    }
    let firsts: Vec<u8> = wraps.iter().map(|wrap| wrap.bytes[0]).collect();
    assert_eq!(firsts, [1, 1, 2]);

    let only = KeyPlaces { directory: Some(folders.directory()), ..KeyPlaces::default() };
    let only = KeyRing::new(only, KeyPlace::Directory).unwrap();
    unwrap(&only, &key, &wraps[0]).await.unwrap();
    for wrapped in &wraps[1..] {
        let outcome = unwrap(&only, &key, wrapped).await;
        assert!(matches!(outcome, Err(KekError::UnknownKey(id)) if id == wrapped.wrapped_by), "{outcome:?}");
    }
    let mut damaged = wraps[0].clone();
    *damaged.bytes.last_mut().unwrap() ^= 1;
    assert!(matches!(unwrap(&only, &key, &damaged).await, Err(KekError::Altered)));
}

#[tokio::test]
async fn a_place_that_is_not_there_cannot_wrap() {
    let folders = Folders::new();
    let places = KeyPlaces { directory: Some(folders.directory()), ..KeyPlaces::default() };
    assert_eq!(KeyRing::new(places, KeyPlace::Transit).unwrap_err(), NoSuchPlace(KeyPlace::Transit));
}

#[tokio::test]
async fn the_trouble_of_each_place_is_told() {
    let (folders, vault, clock) = (Folders::new(), StandIn::start().await, StillClock::new());
    let places = KeyPlaces {
        directory: Some(folders.directory()),
        passphrase: None,
        transit: Some(vault.keys(&clock).await.unwrap()),
    };
    let ring = KeyRing::new(places, KeyPlace::Transit).unwrap();
    vault.state().status = Some(503);
    wrap(&ring, &data_key(1)).await.unwrap_err();
    let problem = ring.problem().unwrap();
    assert!(problem.starts_with("transit: ") && problem.contains("sealed"), "{problem}");
}
