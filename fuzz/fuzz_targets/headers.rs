//! Headers of requests, and their agreement with the body.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stagedoor_gateway::mcp::fuzzing::http_headers(data));
