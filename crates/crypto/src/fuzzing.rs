//! What must hold for any bytes that reach the parsers of this crate: the bodies of the fuzz targets, which the property
//! tests call too. In builds for tests and fuzzing only.

use stagedoor_domain::{Entropy, TenantId};
use uuid::Uuid;

use crate::signed_lines::{SignedLinesReader, SignedLinesWriter};
use crate::{DataKey, KeyMode, KeyOwner, PlainApiKey, SealContext, SigningKey, VerifyingKey};

/// Bytes of the input over and over, so that a run can be repeated.
#[derive(Debug)]
struct Repeated(Vec<u8>);

impl Entropy for Repeated {
    fn fill(&self, bytes: &mut [u8]) {
        let source = self.0.iter().copied().chain([0x5a]).cycle();
        bytes.iter_mut().zip(source).for_each(|(byte, drawn)| *byte = drawn);
    }
}

fn data_key() -> DataKey {
    DataKey::generate(Uuid::from_u128(7), KeyOwner::Tenant, &Repeated(b"a data key".to_vec()))
}

fn context() -> SealContext {
    SealContext {
        tenant: TenantId(Uuid::from_u128(1)),
        table: "provider_sessions",
        column: "access_token",
        row: Uuid::from_u128(2),
        revision: 3,
    }
}

/// What was sealed opens, changed or cut it does not; and nobody without the key makes what opens.
///
/// # Panics
/// If that does not hold for `data`.
pub fn envelope(data: &[u8]) {
    let (key, context) = (data_key(), context());
    assert!(key.open(&context, data).is_err());
    let headed = [&[1, 1], key.id().as_bytes().as_slice(), data].concat();
    assert!(key.open(&context, &headed).is_err());
    let [high, low, mask, plaintext @ ..] = data else { return };
    let sealed = key.seal(&context, plaintext, &Repeated(data.to_vec()));
    assert_eq!(key.open(&context, &sealed).expect("what was sealed opens").as_slice(), plaintext);
    let position = usize::from(u16::from_be_bytes([*high, *low])) % sealed.len();
    assert!(key.open(&context, &sealed[..position]).is_err());
    if *mask != 0 {
        let mut changed = sealed;
        changed[position] ^= mask;
        assert!(key.open(&context, &changed).is_err());
    }
}

/// A key that is read is the text that was given; a key that was made is read, and not if a character of it is another.
///
/// # Panics
/// If that does not hold for `data`.
pub fn api_key(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(key) = PlainApiKey::parse(text)
    {
        assert_eq!(key.expose_secret(), text);
    }
    let [position, with, seed @ ..] = data else { return };
    let key = PlainApiKey::generate(&Repeated(seed.to_vec()), KeyMode::Test);
    let text = key.expose_secret();
    assert_eq!(PlainApiKey::parse(text).expect("a key that was made is one").id(), key.id());
    assert!(!format!("{key:?}").contains(&text[21..]));
    let position = usize::from(*position) % text.len();
    let mut changed = text.as_bytes().to_vec();
    changed[position] = with & 0x7f;
    let read = std::str::from_utf8(&changed).ok().map(PlainApiKey::parse);
    assert_eq!(matches!(read, Some(Ok(_))), changed == text.as_bytes());
}

/// A file that was signed is as it was, changed or cut it is not; and nobody without the key makes one.
///
/// # Panics
/// If that does not hold for `data`.
pub fn signed_lines(data: &[u8]) {
    let key = SigningKey::from_seed(Uuid::from_u128(7), &[7; 32]).expect("32 bytes are a seed");
    let keys = [key.verifying_key()];
    assert!(SignedLinesReader::new(data).verify(&keys).is_err());
    let [high, low, mask, contents @ ..] = data else { return };
    let mut writer = SignedLinesWriter::default();
    let mut file = Vec::new();
    for line in contents.split(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(line);
        file.extend(writer.push(&serde_json::json!({ "line": line })).expect("a text is JSON"));
    }
    file.extend(writer.finish(&key));
    assert!(SignedLinesReader::new(file.as_slice()).verify(&keys).is_ok());
    let position = usize::from(u16::from_be_bytes([*high, *low])) % file.len();
    assert!(SignedLinesReader::new(&file[..position]).verify(&keys).is_err());
    if *mask != 0 {
        file[position] ^= mask;
        assert!(SignedLinesReader::new(file.as_slice()).verify(&keys).is_err());
    }
}

/// Keys that are read from a set are the same when they are written and read again.
///
/// # Panics
/// If that does not hold for `text`.
pub fn json_web_keys(text: &str) {
    for key in VerifyingKey::from_jwks(text).into_iter().flatten() {
        assert_eq!(VerifyingKey::from_jwks(&key.to_jwk().to_string()), Some(vec![key]));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..400)
    }

    /// What `fuzz/seeds` has for a target: made by hand, or once broke something.
    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let folder = format!("{}/../../fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
        let seeds: Vec<_> = std::fs::read_dir(folder).unwrap().map(|seed| seed.unwrap().path()).collect();
        assert!(!seeds.is_empty(), "{target}");
        seeds.into_iter().map(|seed| std::fs::read(seed).unwrap()).collect()
    }

    #[test]
    fn every_seed_holds() {
        for (target, check) in [
            ("envelope", super::envelope as fn(&[u8])),
            ("api_key", super::api_key),
            ("signed_lines", super::signed_lines),
        ] {
            for seed in seeds(target) {
                check(&seed);
            }
        }
        for seed in seeds("json_web_keys") {
            super::json_web_keys(std::str::from_utf8(&seed).unwrap());
        }
    }

    proptest! {
        #[test]
        fn envelopes_open_as_they_were_sealed_or_not_at_all(data in bytes()) {
            super::envelope(&data);
        }

        #[test]
        fn keys_are_read_as_they_were_made_or_not_at_all(data in bytes()) {
            super::api_key(&data);
        }

        #[test]
        fn files_are_as_they_were_signed_or_refused(data in bytes()) {
            super::signed_lines(&data);
        }

        #[test]
        fn signed_lines_of_any_form_are_refused(
            lines in prop::collection::vec(r#"(\{"manifest":)?[\x20-\x7e]{0,60}"#, 0..6)
        ) {
            super::signed_lines((lines.join("\n") + "\n").as_bytes());
        }

        #[test]
        fn key_sets_are_read_or_not(
            kind in "OKP|RSA|", kid in "[0-9a-f]{8}-[0-9a-f]{4}-4000-8000-[0-9a-f]{12}", x in "[A-Za-z0-9_-]{42,44}",
        ) {
            let key = serde_json::json!({ "kty": kind, "crv": "Ed25519", "kid": kid, "x": x });
            super::json_web_keys(&key.to_string());
            super::json_web_keys(&serde_json::json!({ "keys": [key, { "kty": "RSA" }] }).to_string());
        }
    }
}
