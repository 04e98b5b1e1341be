//! Keys of agents: read as they were made, or not at all.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stagedoor_crypto::fuzzing::api_key(data));
