//! Databases for trying things out, such as whether a backup can be restored: made empty with the whole schema, by whoever
//! owns the installation's database, and dropped again.

use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};
use uuid::Uuid;

use crate::migrate::{MigrationError, migrate};

/// What the names of these databases begin with.
pub const PREFIX: &str = "stagedoor_drill_";

/// A scratch database. It is there until [`Self::drop_it`]: whoever makes one drops it, whatever happens in between.
#[derive(Debug)]
pub struct ScratchDatabase {
    owner_url: SecretString,
    name: String,
}

impl ScratchDatabase {
    /// Makes a database beside the one of `owner_url`, whose role may make databases, with the schema of this release.
    /// What was made is dropped again if the schema cannot be.
    pub async fn create(owner_url: &SecretString, id: Uuid) -> Result<Self, MigrationError> {
        let scratch = Self { owner_url: owner_url.clone(), name: format!("{PREFIX}{}", id.simple()) };
        scratch.run(format!("CREATE DATABASE {}", scratch.name)).await?;
        match migrate(&with_database(owner_url, &scratch.name)?).await {
            Ok(()) => Ok(scratch),
            Err(error) => {
                scratch.drop_it().await?;
                Err(error)
            }
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `url` with this database in the place of its own.
    pub fn url(&self, url: &SecretString) -> Result<SecretString, MigrationError> {
        with_database(url, &self.name)
    }

    /// Drops it, and whatever is connected to it.
    pub async fn drop_it(&self) -> Result<(), MigrationError> {
        self.run(format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).await
    }

    /// The names are made here, of letters and digits.
    async fn run(&self, statement: String) -> Result<(), MigrationError> {
        let mut connection = PgConnection::connect(self.owner_url.expose_secret()).await?;
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }
}

/// Drops scratch databases that a killed run left behind; how many. Only one drill runs at a time.
pub async fn drop_leftovers(owner_url: &SecretString) -> Result<usize, MigrationError> {
    let mut connection = PgConnection::connect(owner_url.expose_secret()).await?;
    let names: Vec<String> = sqlx::query_scalar!(
        r#"SELECT datname::text AS "name!" FROM pg_database WHERE datname ~ '^stagedoor_drill_[0-9a-f]{32}$'"#
    )
    .fetch_all(&mut connection)
    .await?;
    for name in &names {
        let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
    }
    connection.close().await?;
    Ok(names.len())
}

fn with_database(url: &SecretString, name: &str) -> Result<SecretString, MigrationError> {
    let options = PgConnectOptions::from_str(url.expose_secret())?.database(name);
    Ok(SecretString::from(options.to_url_lossy().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_another_database_and_stays_the_same_otherwise() {
        let url = SecretString::from("postgres://keeper:p%40ss@db.example:5433/stagedoor?sslmode=disable");
        let other = with_database(&url, "stagedoor_drill_1").unwrap();
        let options = PgConnectOptions::from_str(other.expose_secret()).unwrap();
        assert_eq!(options.get_database(), Some("stagedoor_drill_1"));
        assert_eq!(
            (options.get_host(), options.get_port(), options.get_username()),
            ("db.example", 5433, "keeper")
        );
        assert!(other.expose_secret().contains("p%40ss"), "the password is there");
    }
}
