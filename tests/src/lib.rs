//! What the integration tests share with programs beside them: the mix of agent calls. The tests are in `it`.
#![warn(missing_docs)]

pub mod mix;
