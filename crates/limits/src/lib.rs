//! Token buckets, the Lua script and its in-process twin, leases.
