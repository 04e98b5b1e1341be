//! Arguments of tools: read, or refused by field.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| stagedoor_tools::fuzzing::arguments(text));
