//! Digits `0-9A-Za-z`, as API keys use them: fixed width, most significant digit first.

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Writes `value` into `output`, big endian, using up the whole width; `value` is left as the quotient.
pub(crate) fn encode_bytes(value: &mut [u8], output: &mut [u8]) {
    for digit in output.iter_mut().rev() {
        let mut remainder = 0_u32;
        for byte in value.iter_mut() {
            let part = remainder << 8 | u32::from(*byte);
            *byte = u8::try_from(part / 62).expect("a remainder below 62 keeps the quotient within a byte");
            remainder = part % 62;
        }
        *digit = DIGITS[remainder as usize];
    }
}

/// `value` in six digits.
pub(crate) fn encode_u32(value: u32) -> [u8; 6] {
    let mut output = [0; 6];
    encode_bytes(&mut value.to_be_bytes(), &mut output);
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_positional_and_padded() {
        assert_eq!(&encode_u32(0), b"000000");
        assert_eq!(&encode_u32(61), b"00000z");
        assert_eq!(&encode_u32(62), b"000010");
        assert_eq!(&encode_u32(u32::MAX), b"4gfFC3");
    }

    #[test]
    fn forty_three_digits_hold_256_bits() {
        let mut value = [0xff; 32];
        let mut output = [0; 43];
        encode_bytes(&mut value, &mut output);
        assert_eq!(value, [0; 32], "nothing was left over");
    }
}
