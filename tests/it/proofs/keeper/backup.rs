//! Backups of many tenants and of a big one: what they cost in time and, above all, in memory; and of a full disk.

use std::path::Path;
use std::time::Duration;

use stagedoor_archive::{Trusted, verify};
use stagedoor_assembly::backup_store;
use stagedoor_keeper::Ending;
use stagedoor_keeper::jobs::backup::Backup;
use stagedoor_testkit::proof::{ProofSize, prove, prove_equal, prove_time, remark};
use stagedoor_testkit::{Stage, generous};

use crate::keeper::backup::{folder, key_encryption, small_stage};
use crate::keeper::restore::{config, keep};

const MIB: u64 = 1024 * 1024;

/// Backs everything up with the real program; the most memory that it had, in bytes, and how long it took.
async fn back_up(stage: &Stage) -> (u64, Duration) {
    let settings = config(stage).backup;
    let variables = [
        ("STAGEDOOR_BACKUP__URL", settings.url.unwrap().to_string()),
        ("STAGEDOOR_BACKUP__CHUNK_BYTES", MIB.to_string()),
    ];
    let began = stage.clock().elapsed();
    let keeper = stage.begin_keeper(&["backup", "--force"], &variables);
    let status = format!("/proc/{}/status", keeper.pid());
    let mut peak = 0;
    let watch = async {
        loop {
            // The mark only rises; once the process is gone there is no such line.
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
            peak = peak.max(kibibytes.unwrap_or_default() * 1024);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let ended = tokio::select! {
        ended = keeper.finished() => ended,
        () = watch => unreachable!("it watches for ever"),
    };
    let took = stage.clock().elapsed().saturating_sub(began);
    assert_eq!(ended.code, Some(0), "{}{}", ended.output, ended.said);
    remark(ended.output.trim_end());
    (peak, took)
}

#[tokio::test]
async fn a_big_tenant_takes_no_more_memory_than_a_small_one() {
    let size = ProofSize::wanted();
    let mebibytes: u64 = size.of(64, 2_048);
    let stage = small_stage().await;
    let ada = stage.inhabit("ada").await;
    let (small, _) = back_up(&stage).await;
    // 64 KiB each as text; the database stores them compressed.
    let tenant = ada.tenant.id();
    stage
        .sql(&format!(
            "INSERT INTO playlist_chunks SELECT tenant_id, account_id, 'spotify:playlist:' || n, gen_random_uuid(),
                decode(repeat(md5(n::text), 2048), 'hex')
            FROM linked_accounts, generate_series(1, {}) n WHERE tenant_id = '{tenant}' AND provider = 'spotify'",
            mebibytes * 16
        ))
        .await;
    let (big, took) = back_up(&stage).await;
    let bytes = "SELECT sum(row_count) FROM backups WHERE class = 'preferences' AND state = 'verified'";
    let rows: u64 = stage.sql(bytes).await.parse().unwrap();
    assert!(rows >= mebibytes * 16, "{rows} rows");
    let grown = big.saturating_sub(small) / MIB;
    let bound = 32;
    prove(
        "keeper.backup_memory_grown_mib",
        format_args!("{grown}_for_{mebibytes}"),
        format_args!("<={bound}"),
        grown <= bound,
    );
    prove_time("keeper.backup_big_tenant_ms", took.as_secs_f64() * 1_000.0, 300_000.0);
}

#[tokio::test]
async fn many_tenants_are_backed_up_in_one_run() {
    let size = ProofSize::wanted();
    let tenants: u32 = size.of(12, 1_000);
    let stage = small_stage().await;
    for number in 0..tenants {
        let tenant = stage.tenant(&format!("tenant-{number}"), generous()).await;
        for name in ["Ada", "Bob", "Eve"] {
            tenant.person(name).await;
        }
    }
    let (peak, took) = back_up(&stage).await;
    let verified = stage.sql("SELECT count(*) FROM backups WHERE state = 'verified'").await;
    prove_equal("keeper.backups_of_many_tenants", verified.parse().unwrap(), u64::from(tenants) * 3);
    prove("keeper.backup_many_tenants_peak_mib", peak / MIB, "<=256", peak / MIB <= 256);
    prove_time("keeper.backup_many_tenants_ms", took.as_secs_f64() * 1_000.0, 600_000.0);
}

/// A small disk of its own below `folder`, if this process may mount one; it ends with the value.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(folder: &Path, kibibytes: u64) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let size = format!("size={kibibytes}k");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder)
            .stderr(std::process::Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(folder.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

/// On a real disk, where one may be mounted; stores that fill up at every length are in the tests of the crate `archive`.
#[tokio::test]
async fn a_full_disk_leaves_no_half_backup_that_verifies() {
    let stage = small_stage().await;
    let ada = stage.inhabit("ada").await;
    let disk = SmallDisk::mount(&folder(&stage), 256);
    if disk.is_none() {
        remark("no disk could be mounted here: a full one was not tried");
        return;
    }
    let noise = "(SELECT string_agg(sha256((gen_random_uuid()::text || s)::bytea), '') \
        FROM generate_series(1, 1000) s WHERE n > 0)";
    stage
        .sql(&format!(
            "INSERT INTO playlist_chunks SELECT tenant_id, account_id, 'spotify:playlist:' || n, gen_random_uuid(), {noise}
            FROM linked_accounts, generate_series(1, 40) n WHERE tenant_id = '{}' AND provider = 'spotify'",
            ada.tenant.id()
        ))
        .await;
    let ended = keep(&stage, &Backup::default()).await;
    assert_eq!(ended.ending, Ending::Partly, "{ended}");
    let store = backup_store(&config(&stage)).unwrap();
    let (keys, listing) = (key_encryption(&stage).await, store.list(None).await.unwrap());
    let mut half = 0;
    for found in listing.found.iter().chain(listing.unfinished.iter().map(|unfinished| &unfinished.0)) {
        let report = verify(&store, found, Trusted { keys: &*keys, verifying: &[] }).await.unwrap();
        half += u64::from(report.is_sound() && found.class == stagedoor_archive::Class::Preferences);
    }
    prove_equal("keeper.backup_full_disk_sound_halves", half, 0);
    let left =
        stage.sql("SELECT count(*) FROM backups WHERE class = 'preferences' AND state = 'verified'").await;
    prove_equal("keeper.backup_full_disk_verified", left.parse().unwrap(), 0);
    stage.sql("DELETE FROM playlist_chunks").await;
    let ended = keep(&stage, &Backup::default()).await;
    assert_eq!(ended.ending, Ending::Succeeded, "{ended}");
    let classes = stage.sql("SELECT count(DISTINCT class) FROM backups WHERE state = 'verified'").await;
    assert_eq!(classes, "3", "what was in the way is gone");
}
