//! The account a server runs under. PostgreSQL and PgBouncer refuse root, so root hands them to another one.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::PrivateServerError;

/// The account of a server that refuses root; `None` when we are not root and it can be our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ServerAccount(Option<(u32, u32)>);

const NOBODY: (u32, u32) = (65534, 65534);

impl ServerAccount {
    /// Our own account, or for root the account `postgres` where it exists, else `nobody`.
    pub(super) fn choose() -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self(None);
        }
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        Self(Some(find_account(&accounts, "postgres").unwrap_or(NOBODY)))
    }

    /// Lets `command` run under this account, away from any folder that it may not enter.
    pub(super) fn apply(self, command: &mut Command) {
        command.current_dir("/");
        if let Some((uid, gid)) = self.0 {
            command.uid(uid).gid(gid).env("HOME", "/nonexistent");
        }
    }

    /// Makes `path` this account's own, closed to everyone else.
    pub(super) fn own(self, path: &Path, mode: u32) -> Result<(), PrivateServerError> {
        let action = || PrivateServerError::io(format!("hand over {}", path.display()));
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(action())?;
        match self.0 {
            Some((uid, gid)) => chown(path, Some(uid), Some(gid)).map_err(action()),
            None => Ok(()),
        }
    }

    /// Makes sure that this account can reach what is inside `folder`, opening only `folder` itself for passing through.
    pub(super) fn reach(self, folder: &Path, program: &'static str) -> Result<(), PrivateServerError> {
        let Some((uid, gid)) = self.0 else { return Ok(()) };
        let metadata =
            fs::metadata(folder).map_err(PrivateServerError::io(format!("look at {}", folder.display())))?;
        if metadata.uid() == rustix::process::geteuid().as_raw() {
            let mode = metadata.mode() | 0o011;
            fs::set_permissions(folder, Permissions::from_mode(mode & 0o7777))
                .map_err(PrivateServerError::io(format!("open {} for passing through", folder.display())))?;
        }
        for ancestor in folder.ancestors() {
            let Ok(metadata) = fs::metadata(ancestor) else { continue };
            let bit = if metadata.uid() == uid {
                0o100
            } else if metadata.gid() == gid {
                0o010
            } else {
                0o001
            };
            if metadata.mode() & bit == 0 {
                return Err(PrivateServerError::FolderOutOfReach {
                    program,
                    folder: ancestor.to_owned(),
                    uid,
                });
            }
        }
        Ok(())
    }
}

fn find_account(passwd: &str, name: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (uid != 0).then_some((uid, gid))
    })
}

#[cfg(test)]
mod tests {
    use super::find_account;

    #[test]
    fn finds_an_account_by_its_exact_name_and_never_root() {
        let passwd =
            "root:x:0:0::/root:/bin/sh\npostgresql:x:9:9::/:/bin/sh\npostgres:x:101:104::/var:/bin/sh\n";
        assert_eq!(find_account(passwd, "postgres"), Some((101, 104)));
        assert_eq!(find_account(passwd, "root"), None);
        assert_eq!(find_account(passwd, "absent"), None);
    }
}
