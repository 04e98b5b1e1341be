//! What an attacker makes: marks signed anew, and other values of the same form.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::Value;
use stagedoor_crypto::SigningKey;
use stagedoor_crypto::digest::sha256;

const MARK_DIGEST: usize = 16;

/// The mark of some lines, as the holder of the key makes it.
pub(super) fn mark(header: &[u8; 32], first: u64, lines: &[&String], key: &SigningKey) -> String {
    let digests: Vec<u8> =
        lines.iter().flat_map(|line| sha256(&[line.as_bytes()])[..MARK_DIGEST].to_vec()).collect();
    let message = [b"stagedoor/audit-export-mark/1", &header[..], &first.to_be_bytes(), &digests].concat();
    let mark = serde_json::json!({
        "first_line": first,
        "digests": hex(&digests),
        "key_id": key.id(),
        "signature": hex(&key.sign(&message)),
    });
    serde_json::json!({ "mark": mark }).to_string()
}

/// Something else of the same form: other digits, another character, another number.
pub(super) fn other_value(value: &Value, random: &mut StdRng) -> Value {
    match value {
        Value::Number(number) => {
            let by = [-1_000_000, -1, 1, 2, 1_000_000].choose(random).unwrap();
            (number.as_i64().unwrap() + by).into()
        }
        Value::String(text) => Value::String(other_text(text, random)),
        other => panic!("no member of a record is {other}"),
    }
}

fn other_text(text: &str, random: &mut StdRng) -> String {
    let positions: Vec<usize> =
        text.char_indices().filter(|(_, found)| found.is_ascii_alphanumeric()).map(|(at, _)| at).collect();
    let at = *positions.choose(random).unwrap();
    let mut bytes = text.as_bytes().to_vec();
    let was = bytes[at];
    while bytes[at] == was {
        let alphabet: &[u8] = if was.is_ascii_digit() { b"0123456789" } else { b"abcdef" };
        bytes[at] = *alphabet.choose(random).unwrap();
    }
    String::from_utf8(bytes).unwrap()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
