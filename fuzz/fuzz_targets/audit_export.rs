//! Files that claim to be audit exports: judged or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stagedoor_audit::fuzzing::audit_export(data));
