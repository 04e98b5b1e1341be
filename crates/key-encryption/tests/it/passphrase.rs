//! A folder of passphrases.

use std::path::Path;

use stagedoor_crypto::passphrase::MIN_ROUNDS;
use stagedoor_crypto::{KekProvider, PassphraseSalt, SystemEntropy};
use stagedoor_key_encryption::PassphraseKeys;

use crate::support::{data_key, unwrap, wrap};

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

fn salt() -> String {
    PassphraseSalt::generate(MIN_ROUNDS, &SystemEntropy).unwrap().to_string()
}

async fn refusal(folder: &Path) -> String {
    let error = PassphraseKeys::open(folder.to_owned()).await.unwrap_err();
    stagedoor_domain::error::Chain(&error).to_string()
}

#[tokio::test]
async fn a_passphrase_and_its_salt_make_the_same_key_each_time() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "1.passphrase", "a long enough passphrase\n");
    write(folder.path(), "1.salt", &(salt() + "\n"));
    let (key, keys) = (data_key(1), PassphraseKeys::open(folder.path().to_owned()).await.unwrap());
    let wrapped = wrap(&keys, &key).await.unwrap();
    assert_eq!(Some(wrapped.wrapped_by), keys.active_id());

    write(folder.path(), "10.passphrase", "another passphrase of ours");
    write(folder.path(), "10.salt", &salt());
    let both = PassphraseKeys::open(folder.path().to_owned()).await.unwrap();
    unwrap(&both, &key, &wrapped).await.unwrap();
    assert_ne!(both.active_id(), keys.active_id(), "the newest version wraps");
    assert_eq!(both.ids().len(), 2);

    write(folder.path(), "1.salt", &salt());
    let salted_anew = PassphraseKeys::open(folder.path().to_owned()).await.unwrap();
    unwrap(&salted_anew, &key, &wrapped).await.unwrap_err();
}

#[tokio::test]
async fn what_is_missing_or_weak_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert!(refusal(path).await.contains("holds no passphrase"));
    write(path, "1.passphrase", "a long enough passphrase");
    assert!(refusal(path).await.contains("1.salt is missing"));
    write(path, "1.salt", &salt().replace("600000", "599999"));
    let weak = refusal(path).await;
    assert!(weak.contains("1.salt") && weak.contains("599999 rounds"), "{weak}");
    write(path, "1.salt", &salt());
    write(path, "1.passphrase", "too short");
    let short = refusal(path).await;
    assert!(short.contains("1.passphrase") && !short.contains("too short"), "{short}");
    write(path, "1.passphrase", "a long enough passphrase");
    for name in ["01.passphrase", "readme", "1.key", "x.salt"] {
        write(path, name, "a long enough passphrase");
        assert!(refusal(path).await.contains(name));
        std::fs::remove_file(path.join(name)).unwrap();
    }
    write(path, "2.salt", &salt());
    assert!(refusal(path).await.contains("2.passphrase is missing"));
}
