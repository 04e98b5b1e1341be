//! Finds installed server programs: a given folder, PATH, then the folders that packages use.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::PrivateServerError;
use crate::config::search_path;

const POSTGRES_PACKAGES: &str =
    "apt-get install postgresql, dnf install postgresql-server, or brew install postgresql@17";

/// One installed PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PostgresInstallation {
    pub(super) bin_dir: PathBuf,
    /// `15`, `17`: what a cluster's `PG_VERSION` holds.
    pub(super) major_version: String,
}

impl PostgresInstallation {
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.bin_dir.join(name)
    }
}

/// Every installed PostgreSQL, best first; a given folder is the only candidate.
pub(super) fn postgres(bin_dir: Option<&Path>) -> Result<Vec<PostgresInstallation>, PrivateServerError> {
    let folders = match bin_dir {
        Some(folder) => vec![folder.to_owned()],
        None => search_path().into_iter().chain(package_folders()).collect(),
    };
    let mut found = Vec::<PostgresInstallation>::new();
    for folder in &folders {
        let Some(installation) = installation_at(folder) else { continue };
        if !found.contains(&installation) {
            found.push(installation);
        }
    }
    if found.is_empty() {
        let program = "PostgreSQL (initdb and postgres)";
        return Err(not_installed(program, &folders, POSTGRES_PACKAGES));
    }
    Ok(found)
}

/// The first of `names` on PATH or in the usual folders for servers.
pub(super) fn program(
    label: &'static str,
    names: &[&str],
    install: &'static str,
) -> Result<PathBuf, PrivateServerError> {
    let usual = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from);
    let folders: Vec<_> = search_path().into_iter().chain(usual).collect();
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| path.is_file())
        .ok_or_else(|| not_installed(label, &folders, install))
}

fn installation_at(folder: &Path) -> Option<PostgresInstallation> {
    let initdb = folder.join("initdb").canonicalize().ok()?;
    let postgres = folder.join("postgres").canonicalize().ok()?;
    let bin_dir = postgres.parent()?.to_owned();
    if initdb.parent() != Some(&bin_dir) {
        return None;
    }
    let output = Command::new(&postgres).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(PostgresInstallation { bin_dir, major_version: major_version(&text)? })
}

/// `15` from `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major_version(text: &str) -> Option<String> {
    let version = text.split("(PostgreSQL)").nth(1)?.trim_start();
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

fn package_folders() -> Vec<PathBuf> {
    let mut folders = children_newest_first(Path::new("/usr/lib/postgresql"), "", "bin");
    for brew in ["/opt/homebrew/opt", "/usr/local/opt", "/home/linuxbrew/.linuxbrew/opt"] {
        folders.extend(children_newest_first(Path::new(brew), "postgresql", "bin"));
    }
    folders.extend(children_newest_first(Path::new("/usr"), "pgsql-", "bin"));
    folders
}

fn children_newest_first(parent: &Path, prefix: &str, then: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort_by_key(|name| {
        let digits: String = name.chars().filter(char::is_ascii_digit).collect();
        Reverse(digits.parse::<u32>().unwrap_or_default())
    });
    names.into_iter().map(|name| parent.join(name).join(then)).collect()
}

fn not_installed(program: &'static str, folders: &[PathBuf], install: &'static str) -> PrivateServerError {
    let looked_in = folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
    PrivateServerError::NotInstalled { program, looked_in, install }
}

#[cfg(test)]
mod tests {
    use super::{children_newest_first, major_version};

    #[test]
    fn reads_the_major_version_of_distribution_builds() {
        assert_eq!(
            major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)").as_deref(),
            Some("15")
        );
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1").as_deref(), Some("18"));
        assert_eq!(major_version("something else"), None);
    }

    #[test]
    fn sorts_by_number_not_by_text() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["9", "17", "15", "other"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let found = children_newest_first(folder.path(), "", "bin");
        let expected = ["17", "15", "9", "other"].map(|name| folder.path().join(name).join("bin"));
        assert_eq!(found, expected);
    }
}
