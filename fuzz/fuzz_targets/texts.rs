//! Texts made safe to hand on.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| stagedoor_domain::fuzzing::text(text));
