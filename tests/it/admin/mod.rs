//! The admin API, through its own port.

mod deadlines;
pub(crate) mod frame;
mod front;
mod gate;
mod issuers;
mod matrix;
mod objects;
mod pages;
mod recorded;
mod repeats;
mod sign_in;
mod token_office;
mod tokens;
mod watching;
