//! `stagedoor-operator`: tenants, their clients at music services and agents' keys as objects of Kubernetes, brought about
//! through the admin API. `resources` is what people write, `reconcile` what is done about it, `admin` the only way to the
//! installation; `controllers`, `lease` and `operator` are the frame. No SQL, no Redis, no music service.

#![warn(missing_docs)]

pub mod admin;
pub mod context;
pub mod controllers;
pub mod events;
pub mod kind;
pub mod lease;
pub mod metrics;
pub mod operator;
pub mod ops;
pub mod reconcile;
pub mod resources;
