//! The use-cases: one file per tool family, and dispatch.
