//! A file that proves itself: JSON Lines, the last of which is a signed manifest of all before it. The one format of what
//! leaves for good: audit exports, copies of a person's data, receipts.
//!
//! The first line is an object with a member `format`. The last is
//! `{"manifest":{"lines":N,"sha256":HEX,"key_id":UUID,"algorithm":"Ed25519"},"signature":BASE64URL}`: the number of lines
//! before it, the SHA-256 of their bytes with their line feeds, and a signature over `stagedoor/signed-lines/1`, a line
//! feed, and the manifest's JSON exactly as it stands there.

use std::io::{self, BufRead, Read};

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::signing::{SigningKey, VerifyingKey};

const DOMAIN: &[u8] = b"stagedoor/signed-lines/1\n";
const ALGORITHM: &str = "Ed25519";
/// What a manifest's line begins with, and no other line.
const MANIFEST: &[u8] = b"{\"manifest\":";

/// The longest line that is read, in bytes.
pub const LONGEST_LINE: u64 = 16 * 1024 * 1024;

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Lines before it.
    pub lines: u64,
    /// SHA-256 of these lines with their line feeds, in hexadecimal.
    pub sha256: String,
    /// The key that signed it.
    pub key_id: Uuid,
    /// `Ed25519`.
    pub algorithm: String,
}

/// Why a file is not what was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignedLinesError {
    /// It cannot be read.
    #[error("the file cannot be read")]
    Read(#[from] io::Error),
    /// A line is longer than [`LONGEST_LINE`], or the last one does not end.
    #[error("line {0} is too long or cut off")]
    Line(u64),
    /// There is no manifest at its end.
    #[error("the file ends without its manifest: it was cut off")]
    Cut,
    /// Something follows the manifest.
    #[error("line {0} stands after the manifest")]
    AfterManifest(u64),
    /// The manifest has another form.
    #[error("the manifest is not understood")]
    Manifest(#[source] serde_json::Error),
    /// No such key is at hand.
    #[error("the file is signed with key {0}, which is not among those given")]
    UnknownKey(Uuid),
    /// The signature does not fit the manifest.
    #[error("the manifest's signature is wrong")]
    Signature,
    /// The manifest does not fit the lines.
    #[error("the lines are not those that were signed")]
    Contents,
}

/// Makes such a file. The caller writes what it gives out.
pub struct SignedLinesWriter {
    lines: u64,
    sha256: digest::Context,
}

impl Default for SignedLinesWriter {
    fn default() -> Self {
        Self { lines: 0, sha256: digest::Context::new(&digest::SHA256) }
    }
}

impl SignedLinesWriter {
    /// One line's bytes, with its line feed.
    pub fn push(&mut self, line: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec(line)?;
        debug_assert!(!bytes.starts_with(MANIFEST), "only the last line is a manifest");
        bytes.push(b'\n');
        self.lines += 1;
        self.sha256.update(&bytes);
        Ok(bytes)
    }

    /// The last line's bytes.
    #[expect(clippy::missing_panics_doc, reason = "it cannot: a struct of texts and numbers is JSON")]
    pub fn finish(self, key: &SigningKey) -> Vec<u8> {
        let manifest = Manifest {
            lines: self.lines,
            sha256: hex(self.sha256.finish().as_ref()),
            key_id: key.id(),
            algorithm: ALGORITHM.to_owned(),
        };
        let manifest = serde_json::to_string(&manifest).expect("texts and numbers are JSON");
        let signature = URL_SAFE_NO_PAD.encode(key.sign(&signed(&manifest)));
        format!("{{\"manifest\":{manifest},\"signature\":\"{signature}\"}}\n").into_bytes()
    }
}

/// Reads such a file line by line; what it says is known to be true only once [`Self::verify`] says so.
pub struct SignedLinesReader<R> {
    input: R,
    lines: u64,
    sha256: digest::Context,
    last: Option<Vec<u8>>,
}

impl<R: BufRead> SignedLinesReader<R> {
    /// A reader at the beginning of a file.
    pub fn new(input: R) -> Self {
        Self { input, lines: 0, sha256: digest::Context::new(&digest::SHA256), last: None }
    }

    /// The next line without its line feed; `None` once the manifest was read, and at the end.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, SignedLinesError> {
        if self.last.is_some() {
            return Ok(None);
        }
        let mut line = Vec::new();
        (&mut self.input).take(LONGEST_LINE + 1).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        let number = self.lines + 1;
        if line.last() != Some(&b'\n') {
            return Err(SignedLinesError::Line(number));
        }
        if line.starts_with(MANIFEST) {
            line.pop();
            self.last = Some(line);
            return Ok(None);
        }
        self.lines = number;
        self.sha256.update(&line);
        line.pop();
        Ok(Some(line))
    }

    /// How many lines were read.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Reads what is left and holds the whole file against its manifest.
    pub fn verify(mut self, keys: &[VerifyingKey]) -> Result<Manifest, SignedLinesError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Last<'a> {
            #[serde(borrow)]
            manifest: &'a RawValue,
            signature: String,
        }
        while self.next_line()?.is_some() {}
        let last = self.last.ok_or(SignedLinesError::Cut)?;
        let mut rest = [0];
        if self.input.read(&mut rest)? != 0 {
            return Err(SignedLinesError::AfterManifest(self.lines + 2));
        }
        let last: Last<'_> = serde_json::from_slice(&last).map_err(SignedLinesError::Manifest)?;
        let manifest: Manifest =
            serde_json::from_str(last.manifest.get()).map_err(SignedLinesError::Manifest)?;
        let key = keys.iter().find(|key| key.id() == manifest.key_id);
        let key = key.ok_or(SignedLinesError::UnknownKey(manifest.key_id))?;
        let signature = URL_SAFE_NO_PAD.decode(&last.signature).map_err(|_| SignedLinesError::Signature)?;
        if manifest.algorithm != ALGORITHM || !key.verify(&signed(last.manifest.get()), &signature) {
            return Err(SignedLinesError::Signature);
        }
        if manifest.lines != self.lines || manifest.sha256 != hex(self.sha256.finish().as_ref()) {
            return Err(SignedLinesError::Contents);
        }
        Ok(manifest)
    }
}

fn signed(manifest: &str) -> Vec<u8> {
    [DOMAIN, manifest.as_bytes()].concat()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;

    fn file(key: &SigningKey) -> Vec<u8> {
        let mut writer = SignedLinesWriter::default();
        let mut file = writer.push(&serde_json::json!({ "format": "test/1" })).unwrap();
        for number in 0..3 {
            file.extend(writer.push(&serde_json::json!({ "row": number })).unwrap());
        }
        file.extend(writer.finish(key));
        file
    }

    #[test]
    fn a_file_is_what_was_signed_or_it_is_not() {
        let key = SigningKey::generate(Uuid::from_u128(1), &SystemEntropy);
        let keys = [key.verifying_key()];
        let file = file(&key);
        let mut reader = SignedLinesReader::new(&file[..]);
        assert_eq!(reader.next_line().unwrap().unwrap(), b"{\"format\":\"test/1\"}");
        let manifest = reader.verify(&keys).unwrap();
        assert_eq!((manifest.lines, manifest.key_id), (4, key.id()));

        // Every byte counts, and so does each that is missing.
        for position in 0..file.len() {
            let mut altered = file.clone();
            altered[position] ^= 1;
            assert!(SignedLinesReader::new(&altered[..]).verify(&keys).is_err(), "byte {position}");
            assert!(SignedLinesReader::new(&file[..position]).verify(&keys).is_err(), "cut at {position}");
        }
        let longer = [&file[..], b"{}\n"].concat();
        let told = SignedLinesReader::new(&longer[..]).verify(&keys).unwrap_err();
        assert!(matches!(told, SignedLinesError::AfterManifest(6)), "{told:?}");
        let other = SigningKey::generate(Uuid::from_u128(2), &SystemEntropy);
        let told = SignedLinesReader::new(&file[..]).verify(&[other.verifying_key()]).unwrap_err();
        assert!(matches!(told, SignedLinesError::UnknownKey(_)), "{told:?}");
        let impostor = SigningKey::generate(key.id(), &SystemEntropy);
        let told = SignedLinesReader::new(&file[..]).verify(&[impostor.verifying_key()]).unwrap_err();
        assert!(matches!(told, SignedLinesError::Signature), "{told:?}");
    }
}
