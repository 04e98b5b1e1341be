//! Databases for trying things out, such as whether a backup can be restored: made empty with the whole schema, by whoever
//! owns the installation's database, and dropped again.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};
use uuid::Uuid;

use crate::migrate::{MigrationError, migrate};

/// `object_in_use`: somebody is connected.
const IN_USE: &str = "55006";
/// How long after a check began its database is one that was left behind.
const CHECK: TimeDelta = TimeDelta::hours(1);

/// What a scratch database is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scratch {
    /// A drill, of which an installation has one at a time.
    Drill,
    /// A comparison of schemas, of which there may be more.
    Check,
}

impl Scratch {
    /// What the names of these databases begin with, where the installation's own database has that id: others may be on
    /// the same server.
    fn prefix(self, installation: &str) -> String {
        let what = match self {
            Self::Drill => "drill",
            Self::Check => "check",
        };
        format!("stagedoor_{what}_{installation}_")
    }
}

/// A scratch database. It is there until [`Self::drop_it`]: whoever makes one drops it, whatever happens in between.
#[derive(Debug)]
pub struct ScratchDatabase {
    owner_url: SecretString,
    name: String,
}

impl ScratchDatabase {
    /// Makes a database beside the one of `owner_url`, whose role may make databases, with the schema of this release. The
    /// id is a new one of version 7.
    /// What was made is dropped again if the schema cannot be.
    pub async fn create(owner_url: &SecretString, what: Scratch, id: Uuid) -> Result<Self, MigrationError> {
        let mut connection = PgConnection::connect(owner_url.expose_secret()).await?;
        let prefix = what.prefix(&installation(&mut connection).await?);
        connection.close().await?;
        let scratch = Self { owner_url: owner_url.clone(), name: format!("{prefix}{}", id.simple()) };
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

/// Drops scratch databases that killed runs of this installation left behind; how many. Whoever drills holds the lock of
/// drills; of checks, those that are young or connected to are left alone.
pub async fn drop_leftovers(
    owner_url: &SecretString,
    what: Scratch,
    now: DateTime<Utc>,
) -> Result<usize, MigrationError> {
    let mut connection = PgConnection::connect(owner_url.expose_secret()).await?;
    let prefix = what.prefix(&installation(&mut connection).await?);
    let names: Vec<String> = sqlx::query_scalar!(
        r#"SELECT datname::text AS "name!" FROM pg_database WHERE starts_with(datname::text, $1)"#,
        prefix
    )
    .fetch_all(&mut connection)
    .await?;
    let mut dropped = 0;
    for name in names {
        let Some(id) = id_in(&name, &prefix) else { continue };
        let force = match what {
            Scratch::Drill => " WITH (FORCE)",
            Scratch::Check if made_before(id, now - CHECK) => "",
            Scratch::Check => continue,
        };
        let statement = format!("DROP DATABASE IF EXISTS {name}{force}");
        match sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await {
            Ok(_) => dropped += 1,
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(IN_USE) => {}
            Err(error) => return Err(error.into()),
        }
    }
    connection.close().await?;
    Ok(dropped)
}

async fn installation(connection: &mut PgConnection) -> Result<String, MigrationError> {
    let oid = sqlx::query_scalar!(
        r#"SELECT oid::text AS "oid!" FROM pg_database WHERE datname = current_database()"#
    );
    Ok(oid.fetch_one(connection).await?)
}

/// None for a name that is not made here: names become part of statements.
fn id_in(name: &str, prefix: &str) -> Option<Uuid> {
    let id = name.strip_prefix(prefix)?;
    Uuid::try_parse(id).ok().filter(|uuid| uuid.simple().to_string() == id)
}

fn made_before(id: Uuid, time: DateTime<Utc>) -> bool {
    // The first 48 bits of version 7 are the time in milliseconds (RFC 9562, section 5.7).
    i64::try_from(id.as_u128() >> 80).is_ok_and(|made| made < time.timestamp_millis())
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

    #[test]
    fn only_names_of_this_installation_and_purpose_are_recognised() {
        let prefix = Scratch::Drill.prefix("16385");
        let id = Uuid::from_u128(0x019a_0000_0000_7000_8000_0000_0000_0001);
        assert_eq!(id_in(&format!("{prefix}{}", id.simple()), &prefix), Some(id));
        let longest = format!("{}{}", Scratch::Check.prefix(&u32::MAX.to_string()), id.simple());
        assert!(longest.len() <= 63, "{longest} is longer than a name may be");
        for other in [
            format!("{}{}", Scratch::Drill.prefix("1638"), id.simple()),
            format!("{}{}", Scratch::Check.prefix("16385"), id.simple()),
            format!("{prefix}{id}"),
            format!("{prefix}{}", id.simple().to_string().to_uppercase()),
            format!("{prefix}mine"),
        ] {
            assert_eq!(id_in(&other, &prefix), None, "{other}");
        }
        let made = DateTime::from_timestamp_millis(0x019a_0000_0000).unwrap();
        assert!(!made_before(id, made) && made_before(id, made + TimeDelta::milliseconds(1)));
    }
}
