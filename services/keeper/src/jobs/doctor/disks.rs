//! The disks of this machine that something of ours is on.

use std::path::{Path, PathBuf};

use serde_json::json;
use stagedoor_domain::health::{DISK_USED_PERCENT, Verdict};
use url::Url;

use super::database::percent;
use super::{Check, Finding, Rooms};

const GIB: u64 = 1 << 30;

impl Rooms<'_> {
    pub(super) fn disks(&self) -> Vec<Finding> {
        let mut folders = self.config.doctor.disks.clone();
        let urls = [self.config.audit.checkpoint_url.as_ref(), self.config.backup.url.as_ref()];
        folders.extend(urls.into_iter().flatten().filter_map(folder));
        folders.dedup();
        if folders.is_empty() {
            let told = "nothing of ours is on this machine's disks; doctor.disks names others to check";
            return vec![Check::Disks.found(Verdict::Ok, told)];
        }
        folders.iter().map(|folder| disk(folder)).collect()
    }
}

fn folder(url: &Url) -> Option<PathBuf> {
    (url.scheme() == "file").then(|| url.to_file_path().ok())?
}

/// As `df` counts: what only the superuser may use is not free.
fn disk(folder: &Path) -> Finding {
    let shown = folder.display();
    let disk = match rustix::fs::statvfs(there(folder)) {
        Ok(disk) => disk,
        Err(error) => {
            return Check::Disks.failed(format_args!("the disk of {shown} cannot be looked at: {error}"));
        }
    };
    let used_blocks = disk.f_blocks.saturating_sub(disk.f_bfree);
    let used = percent(used_blocks, used_blocks + disk.f_bavail);
    judged(folder, used, disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn judged(folder: &Path, used: u64, free: u64) -> Finding {
    let shown = folder.display();
    let told = format!("the disk of {shown} is {used} % full, {} GiB are free", free / GIB);
    let figures = json!({"folder": folder, "used_percent": used, "free_bytes": free});
    Check::Disks.found(DISK_USED_PERCENT.judge(used), told).with(figures)
}

/// The folder, or the nearest one above it: it is made when it is first needed.
fn there(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_found_from_a_folder_that_is_not_there_yet() {
        let found = disk(Path::new("/nowhere/backups"));
        assert!(found.figures["free_bytes"].is_u64(), "{found:?}");
        assert!(found.told.contains("/nowhere/backups"));
    }

    #[test]
    fn a_full_disk_is_found() {
        let verdict = |used| judged(Path::new("/"), used, 0).verdict;
        assert_eq!([80, 81, 96].map(verdict), [Verdict::Ok, Verdict::Warning, Verdict::Failing]);
    }

    #[test]
    fn only_files_are_on_a_disk() {
        let url = |text| Url::parse(text).unwrap();
        assert_eq!(folder(&url("file:///var/backups")), Some(PathBuf::from("/var/backups")));
        assert_eq!(folder(&url("s3://bucket/backups")), None);
    }
}
