//! The admin API without its transport: one file for each service of `proto/stagedoor/admin/v1`, and `call`, the one way
//! through which each of their calls goes: who may, which tenant, on record, then the work. Knows neither gRPC nor HTTP.
#![warn(missing_docs)]

mod access;
mod call;
mod caller;
mod check;
mod error;
mod etag;
mod fields;
mod mask;
mod naming;
mod page;
mod rooms;
pub mod services;
mod standing;
mod tenancy;
mod texts;
mod times;

pub use access::{Access, Method, Scope, method, methods};
pub use call::AdminCall;
pub use caller::{AdminCaller, Bound};
pub use error::{AdminError, Violation, http_status};
pub use rooms::{AdminRooms, Installation, PLATFORM};
