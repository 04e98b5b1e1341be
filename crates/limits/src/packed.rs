//! The part of `MessagePack` that a plan is handed to the script in: arrays, texts and whole numbers
//! (<https://github.com/msgpack/msgpack/blob/master/spec.md>). The script reads it in one call.

/// Starts an array of `length` values.
pub(crate) fn array(out: &mut Vec<u8>, length: usize) {
    out.push(0xdc);
    out.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
}

/// A text of at most 255 bytes.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    let bytes = &text.as_bytes()[..text.len().min(255)];
    out.push(0xd9);
    out.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(bytes);
}

/// A whole number.
pub(crate) fn number(out: &mut Vec<u8>, number: u64) {
    out.push(0xcf);
    out.extend_from_slice(&number.to_be_bytes());
}

/// An array of whole numbers.
pub(crate) fn numbers(out: &mut Vec<u8>, numbers: &[u64]) {
    array(out, numbers.len());
    for value in numbers {
        number(out, *value);
    }
}
