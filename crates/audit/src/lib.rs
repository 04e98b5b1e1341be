//! Audit records, writer, chain.
