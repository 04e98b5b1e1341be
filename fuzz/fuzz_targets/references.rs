//! References to items, as agents and people write them.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| stagedoor_domain::fuzzing::reference(text));
