//! The keys of an issuer as it publishes them (JWK Set, RFC 7517 §5): which of them may verify what.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::Value;
use stagedoor_domain::issuer::{SigningAlgorithm, SigningAlgorithms};

/// Keys of a set that are looked at, at most.
const MOST_KEYS: usize = 100;

/// The length of an RSA modulus in bytes (RFC 7518 §3.3: 2048 bits or more), and the most that is verified with.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// The keys of one issuer.
#[derive(Debug, Default)]
pub(super) struct KeySet {
    keys: Vec<Key>,
}

/// A key that can verify something.
#[derive(Debug)]
struct Key {
    kid: String,
    /// What its type, its curve and its own `alg` leave.
    algorithms: SigningAlgorithms,
    public: DecodingKey,
}

impl KeySet {
    /// The keys of a JWK Set. One that cannot verify, is no public key, or has no id, is left out: issuers publish such for
    /// others. `None` if it is no JWK Set at all.
    pub(super) fn read(document: &Value) -> Option<Self> {
        let listed = document.get("keys")?.as_array()?;
        Some(Self { keys: listed.iter().take(MOST_KEYS).filter_map(Key::read).collect() })
    }

    /// The key of that id that may be used with that algorithm.
    pub(super) fn find(&self, kid: &str, algorithm: SigningAlgorithm) -> Option<&DecodingKey> {
        let mut fitting = self.keys.iter().filter(|key| key.kid == kid && key.algorithms.contains(algorithm));
        let first = fitting.next()?;
        // Which of two was meant, nobody can say.
        fitting.next().is_none().then_some(&first.public)
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

impl Key {
    fn read(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let kid = text("kid")?.to_owned();
        if jwk.get("use").is_some_and(|usage| usage != "sig") {
            return None;
        }
        if let Some(operations) = jwk.get("key_ops")
            && !operations.as_array()?.iter().any(|operation| operation == "verify")
        {
            return None;
        }
        let (of_type, public) = match (text("kty")?, text("crv")) {
            ("RSA", _) => (&RSA[..], rsa(text("n")?, text("e")?)?),
            ("EC", Some("P-256")) => (&[SigningAlgorithm::Es256][..], point(text("x")?, text("y")?, 32)?),
            ("EC", Some("P-384")) => (&[SigningAlgorithm::Es384][..], point(text("x")?, text("y")?, 48)?),
            ("OKP", Some("Ed25519")) => (&[SigningAlgorithm::EdDsa][..], edwards(text("x")?)?),
            _ => return None,
        };
        let of_type: SigningAlgorithms = of_type.iter().copied().collect();
        let algorithms = match jwk.get("alg") {
            None => of_type,
            Some(name) => of_type.intersection(SigningAlgorithms::empty().with(named(name.as_str()?)?)),
        };
        Some(Self { kid, algorithms, public })
    }
}

const RSA: [SigningAlgorithm; 6] = [
    SigningAlgorithm::Rs256,
    SigningAlgorithm::Rs384,
    SigningAlgorithm::Rs512,
    SigningAlgorithm::Ps256,
    SigningAlgorithm::Ps384,
    SigningAlgorithm::Ps512,
];

/// RFC 9864 calls `EdDSA` with that curve `Ed25519`.
fn named(name: &str) -> Option<SigningAlgorithm> {
    if name == "Ed25519" { Some(SigningAlgorithm::EdDsa) } else { name.parse().ok() }
}

fn rsa(modulus: &str, exponent: &str) -> Option<DecodingKey> {
    let bytes = URL_SAFE_NO_PAD.decode(modulus).ok()?;
    let significant = bytes.iter().position(|byte| *byte != 0).map(|zeros| bytes.len() - zeros)?;
    if !RSA_BYTES.contains(&significant) {
        return None;
    }
    DecodingKey::from_rsa_components(modulus, exponent).ok()
}

fn point(x: &str, y: &str, length: usize) -> Option<DecodingKey> {
    let fits = |part: &str| URL_SAFE_NO_PAD.decode(part).is_ok_and(|bytes| bytes.len() == length);
    if fits(x) && fits(y) { DecodingKey::from_ec_components(x, y).ok() } else { None }
}

fn edwards(x: &str) -> Option<DecodingKey> {
    let fits = URL_SAFE_NO_PAD.decode(x).is_ok_and(|bytes| bytes.len() == 32);
    if fits { DecodingKey::from_ed_components(x).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn octets(length: usize) -> String {
        URL_SAFE_NO_PAD.encode(vec![0xab; length])
    }

    fn found(jwk: &Value, algorithm: SigningAlgorithm) -> bool {
        KeySet::read(&json!({ "keys": [jwk] })).unwrap().find("a", algorithm).is_some()
    }

    #[test]
    fn a_key_verifies_only_what_is_of_its_type() {
        let rsa = json!({"kty": "RSA", "kid": "a", "n": octets(256), "e": "AQAB", "use": "sig"});
        let p256 = json!({"kty": "EC", "crv": "P-256", "kid": "a", "x": octets(32), "y": octets(32)});
        let p384 = json!({"kty": "EC", "crv": "P-384", "kid": "a", "x": octets(48), "y": octets(48)});
        let edwards = json!({"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": octets(32), "alg": "Ed25519"});
        for algorithm in SigningAlgorithm::ALL.iter().copied() {
            let name = algorithm.as_str();
            assert_eq!(found(&rsa, algorithm), name.starts_with("RS") || name.starts_with("PS"), "{name}");
            assert_eq!(found(&p256, algorithm), name == "ES256", "{name}");
            assert_eq!(found(&p384, algorithm), name == "ES384", "{name}");
            assert_eq!(found(&edwards, algorithm), name == "EdDSA", "{name}");
            let mut bound = rsa.clone();
            bound["alg"] = json!("PS384");
            assert_eq!(found(&bound, algorithm), name == "PS384", "{name}");
        }
    }

    #[test]
    fn keys_for_something_else_and_weak_ones_are_left_out() {
        let good = json!({"kty": "RSA", "kid": "a", "n": octets(256), "e": "AQAB"});
        assert!(found(&good, SigningAlgorithm::Rs256));
        let changed = |name: &str, value: Value| {
            let mut jwk = good.clone();
            jwk[name] = value;
            found(&jwk, SigningAlgorithm::Rs256)
        };
        assert!(!changed("use", json!("enc")));
        assert!(!changed("key_ops", json!(["encrypt"])));
        assert!(changed("key_ops", json!(["verify"])));
        assert!(!changed("n", json!(octets(255))), "a short modulus");
        assert!(
            !changed("n", json!(URL_SAFE_NO_PAD.encode([&[0; 8][..], &[0xab; 250]].concat()))),
            "with zeros"
        );
        assert!(!changed("alg", json!("HS256")));
        assert!(!changed("kid", json!(7)));
        let shared = json!({"kty": "oct", "kid": "a", "k": octets(32), "alg": "HS256"});
        assert!(!found(&shared, SigningAlgorithm::Rs256));
        let short = json!({"kty": "EC", "crv": "P-256", "kid": "a", "x": octets(31), "y": octets(32)});
        assert!(!found(&short, SigningAlgorithm::Es256));
    }

    #[test]
    fn of_two_keys_with_one_id_the_type_decides_or_neither_is_used() {
        let rsa = json!({"kty": "RSA", "kid": "a", "n": octets(256), "e": "AQAB"});
        let curve = json!({"kty": "EC", "crv": "P-256", "kid": "a", "x": octets(32), "y": octets(32)});
        let both = KeySet::read(&json!({ "keys": [rsa, curve] })).unwrap();
        assert_eq!(both.len(), 2);
        assert!(
            both.find("a", SigningAlgorithm::Rs256).is_some()
                && both.find("a", SigningAlgorithm::Es256).is_some()
        );
        assert!(both.find("A", SigningAlgorithm::Rs256).is_none());
        let twice = KeySet::read(&json!({ "keys": [rsa, rsa] })).unwrap();
        assert!(twice.find("a", SigningAlgorithm::Rs256).is_none());
        for wrong in [json!({}), json!({"keys": {}}), json!([])] {
            assert!(KeySet::read(&wrong).is_none(), "{wrong}");
        }
    }
}
