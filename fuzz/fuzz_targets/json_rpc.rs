//! Bodies of requests: read, mended or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stagedoor_gateway::mcp::fuzzing::json_rpc(data));
