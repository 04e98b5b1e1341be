//! Typed keys, the in-process and Redis levels, generations, single flight.
