//! The services: one file each, one function for each RPC, of the RPC's name.

pub mod admin_keys;
pub mod agent_keys;
pub mod audit;
pub mod caller;
pub mod issuers;
pub mod keeper;
pub mod keys;
pub mod linked_accounts;
pub mod privacy;
mod provider_addresses;
pub mod provider_apps;
pub mod settings;
pub mod tenants;
pub mod usage;
pub mod users;
