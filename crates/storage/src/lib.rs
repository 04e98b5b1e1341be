//! Every SQL query of the gateway, the one way into a tenant's data, roles and migrations, and the vault of sealing
//! keys. Rules about who may do what are `tools`' and the gateway's; ciphers are `crypto`'s.
#![warn(missing_docs)]

pub mod api_keys;
pub mod audit;
pub mod backup_rows;
pub mod backups;
pub mod consents;
pub mod data_keys;
pub mod erasure;
mod error;
pub mod health;
pub mod idempotency;
pub mod jobs;
pub mod keeper_runs;
pub mod keys;
pub mod limit_violations;
pub mod link_attempts;
pub mod linked_accounts;
mod migrate;
mod options;
mod packed;
pub mod personal_data;
pub mod playlist_versions;
pub mod preferences;
pub mod privacy_requests;
pub mod provider_apps;
pub mod provider_sessions;
pub mod provision;
pub mod replicas;
pub mod restore;
pub mod retention;
pub mod rollups;
pub mod rotation;
pub mod schema;
pub mod scratch;
pub mod session_devices;
pub mod session_imports;
mod sign_in;
pub mod signing_keys;
mod store;
pub mod tenants;
mod told;
mod transaction;
pub mod users;

pub use error::StoreError;
pub use keys::KeyVault;
pub use migrate::{MigrationError, RolePasswords, latest_migration, migrate, provision_roles, schema_digest};
pub use options::{Purpose, StoreOptions};
pub use sign_in::StoredApiKey;
pub use store::Store;
pub use transaction::TenantTransaction;
