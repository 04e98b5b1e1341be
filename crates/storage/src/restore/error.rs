//! Why nothing was put back.

use crate::error::StoreError;

/// Why a restore was refused as a whole. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The database refused, or is out of reach; or a key is.
    #[error("the store could not do it")]
    Store(#[from] StoreError),
    /// The tenant was deleted, or is being.
    #[error("the tenant was deleted; what was deleted does not come back")]
    TenantDeleted,
    /// The tenant was being deleted when the backup was made.
    #[error("the tenant was being deleted when this backup was made")]
    TenantWasBeingDeleted,
    /// The tenant is there, and nobody said that it may be overwritten.
    #[error("the tenant exists; add --replace to put the backup's rows in the place of present ones")]
    TenantExists,
    /// The tenant is not there, and only a part of it was asked for.
    #[error("the tenant does not exist; restore the whole tenant first")]
    NoTenant,
    /// Another tenant has its name by now.
    #[error("another tenant is called {0:?} by now")]
    NameTaken(String),
    /// The person was erased.
    #[error("the person was erased; nobody who was erased comes back")]
    PersonErased,
    /// The backup knows a column that the database does not.
    #[error(
        "the backup is of another schema: {0}; migrate the database, or restore with the release of the backup"
    )]
    Schema(String),
    /// A row of the backup is none.
    #[error("a row of {table} in the backup is not understood")]
    Row {
        /// The table.
        table: &'static str,
    },
    /// What was stored is not what was given.
    #[error("the database stored something else than what was given, in {table}")]
    Altered {
        /// The table.
        table: &'static str,
    },
    /// Rows cannot come back, and nobody said that the others should all the same.
    #[error("{} rows cannot come back; add --partial to restore the others", .0.len())]
    Losses(Vec<Loss>),
    /// The audit trail is not what it says it is.
    #[error("the audit trail of the backup does not hold: {0}")]
    Trail(String),
}

/// A row that does not come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The table.
    pub table: &'static str,
    /// Its key.
    pub row: String,
    /// What kind of reason it is.
    pub kind: LossKind,
    /// Why, in words.
    pub why: String,
}

/// Why a row does not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossKind {
    /// Something sealed in it does not open.
    Sealed,
    /// What it belongs to is not there.
    Orphan,
    /// Another row has what must be unique.
    Clash,
}

impl RestoreError {
    /// `undefined_column` (42703) comes from nothing but a column that the table lacks.
    pub(super) fn of_database(table: &'static str, error: sqlx::Error) -> Self {
        let told = error
            .as_database_error()
            .filter(|cause| cause.code().is_some_and(|code| code == "42703"))
            .map(|cause| format!("{table}: {}", cause.message()));
        told.map_or_else(|| Self::Store(error.into()), Self::Schema)
    }
}
