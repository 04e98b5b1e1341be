//! The admin API, through its own port.

pub(crate) mod frame;
mod front;
mod issuers;
mod matrix;
mod objects;
mod sign_in;
mod tokens;
mod watching;
