//! Sealing, key hierarchy, tokens, digests, signatures; the only user of aws-lc-rs.
