//! Public keys in their text form.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| stagedoor_crypto::fuzzing::json_web_keys(text));
