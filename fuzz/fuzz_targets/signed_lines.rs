//! Files that prove themselves: as they were signed, or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stagedoor_crypto::fuzzing::signed_lines(data));
