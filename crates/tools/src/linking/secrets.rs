//! The random texts of a link: the page's token, the OAuth state, the PKCE verifier, the browser's secret. Only their
//! hashes are stored, but for the verifier, which is sealed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use stagedoor_crypto::digest;
use stagedoor_domain::Entropy;

/// 32 random bytes as text (base64url).
pub(crate) fn secret(entropy: &dyn Entropy) -> SecretString {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    entropy.fill(bytes.as_mut_slice());
    SecretString::from(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}

/// What is stored of such a text.
pub(crate) fn hash(secret: &SecretString) -> [u8; 32] {
    digest::sha256(&[secret.expose_secret().as_bytes()])
}

/// What the provider is shown of a verifier (RFC 7636 §4.2, `S256`).
pub(super) fn challenge(verifier: &SecretString) -> String {
    URL_SAFE_NO_PAD.encode(hash(verifier))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_standards_example() {
        let verifier = SecretString::from("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_secret_has_the_length_of_a_verifier_and_is_never_the_same() {
        let (one, other) =
            (secret(&stagedoor_crypto::SystemEntropy), secret(&stagedoor_crypto::SystemEntropy));
        assert_eq!(one.expose_secret().len(), 43);
        assert_ne!(one.expose_secret(), other.expose_secret());
    }
}
