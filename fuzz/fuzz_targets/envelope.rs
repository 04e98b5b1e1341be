//! Sealed values: what was changed never opens.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stagedoor_crypto::fuzzing::envelope(data));
