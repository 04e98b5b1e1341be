//! What the programs of this package share with each other and with the integration tests: the mix of agent calls, and
//! what the operating system knows of a process. The tests are in `it`.
#![warn(missing_docs)]

pub mod machine;
pub mod mix;
