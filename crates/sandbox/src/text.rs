//! Text made comparable for searching, and the forms that ids take.

use unicode_normalization::UnicodeNormalization as _;

/// Lower case, no combining marks, everything that is neither letter nor digit turned into one space.
pub(crate) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for character in text.nfkd().filter(|character| !('\u{300}'..='\u{36F}').contains(character)) {
        if character.is_alphanumeric() {
            folded.extend(character.to_lowercase());
        } else if matches!(character, '\'' | '\u{2019}') {
            // "Don't" is one word, whichever apostrophe was typed.
        } else if !folded.ends_with(' ') && !folded.is_empty() {
            folded.push(' ');
        }
    }
    folded.truncate(folded.trim_end().len());
    folded
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes behind lower-case hexadecimal; `None` if it is not.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// `value` in base 62 with digits `0-9A-Za-z`, 22 characters, as Spotify writes its ids.
pub(crate) fn base62(mut value: u128) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut digits = [b'0'; 22];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[usize::try_from(value % 62).unwrap_or(0)];
        value /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// A version 4 UUID made of random bytes (RFC 9562 §5.4).
pub(crate) fn uuid_text(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0F | 0x40;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    let text = hex(&bytes);
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

#[cfg(test)]
mod tests {
    use super::{base62, fold, hex, unhex};

    #[test]
    fn folding_makes_typed_and_printed_forms_equal() {
        assert_eq!(fold("  Björk’s  Don't (Live) "), "bjorks dont live");
        assert_eq!(fold("日本語"), "日本語");
    }

    #[test]
    fn encodings_have_the_forms_that_the_services_use() {
        assert_eq!(base62(u128::MAX).len(), 22);
        assert_eq!(base62(61), "000000000000000000000z");
        assert_eq!(unhex(&hex(b"q\xff")).as_deref(), Some(&b"q\xff"[..]));
        assert_eq!(unhex("zz"), None);
    }
}
