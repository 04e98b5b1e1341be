//! Cursors and states of questions that come back from an agent.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stagedoor_tools::fuzzing::cursor(data));
