//! How the store is reached.

use std::time::Duration;

use secrecy::SecretString;

/// What a process wants from the database, which decides the role that it must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// Serving calls of agents, as `stagedoor_app`: whoever may provision is refused.
    #[default]
    Serve,
    /// Making tenants and what belongs to them, as `stagedoor_admin`.
    Provision,
    /// The keeper's jobs, as `stagedoor_keeper`: whoever may provision, or bypasses row-level security, is refused.
    Keep,
    /// Reading for backups, as `stagedoor_backup`: it bypasses row-level security, and whoever may write is refused.
    Backup,
}

impl Purpose {
    /// The role to connect as.
    pub const fn role(self) -> &'static str {
        match self {
            Self::Serve => "stagedoor_app",
            Self::Provision => "stagedoor_admin",
            Self::Keep => "stagedoor_keeper",
            Self::Backup => "stagedoor_backup",
        }
    }
}

/// How to reach PostgreSQL. The URL holds a password, hence its type.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// `postgres://role:password@host:port/database`
    pub url: SecretString,
    /// What for; a role with other rights is refused.
    pub purpose: Purpose,
    /// Connections at most.
    pub max_connections: u32,
    /// How long a call waits for a connection and the begin of its transaction, together.
    pub acquire_timeout: Duration,
    /// How long a tenant transaction may take once it has begun.
    pub transaction_timeout: Duration,
    /// Whether prepared statements are kept on a connection; `false` behind PgBouncer in transaction mode.
    pub statement_cache: bool,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
}

impl StoreOptions {
    /// The defaults for `url`: for serving, 16 connections, 250 ms to begin, 2 s for a transaction, statements kept.
    pub fn new(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            purpose: Purpose::default(),
            max_connections: 16,
            acquire_timeout: Duration::from_millis(250),
            transaction_timeout: Duration::from_secs(2),
            statement_cache: true,
            application_name: "stagedoor".to_owned(),
        }
    }
}
