//! Whatever is done to the files of backups, reading them back finds it, and names the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use stagedoor_archive::{BackupStore, Found, Trusted, VerifyReport, verify};
use stagedoor_assembly::backup_store;
use stagedoor_crypto::{KekProvider, VerifyingKey};
use stagedoor_domain::TenantId;
use stagedoor_testkit::Stage;
use stagedoor_testkit::proof::{ProofSize, prove, prove_equal, remark};

use crate::keeper::backup::{folder, key_encryption, small_stage};
use crate::keeper::restore::{back_up, config};

/// The backups of two tenants, and what it takes to check them.
struct Scene {
    root: PathBuf,
    store: BackupStore,
    keys: std::sync::Arc<dyn KekProvider>,
    public: BTreeMap<TenantId, Vec<VerifyingKey>>,
    /// Every file of a backup, with the backup.
    files: Vec<(PathBuf, Found)>,
}

impl Scene {
    async fn set(stage: &Stage) -> Self {
        let mut public = BTreeMap::new();
        for slug in ["ada", "bob"] {
            let inhabited = stage.inhabit(slug).await;
            fill(stage, &inhabited.tenant.id(), 6).await;
            public.insert(inhabited.tenant.context().tenant_id(), Vec::new());
        }
        back_up(stage).await;
        back_up(stage).await;
        for (tenant, keys) in &mut public {
            let sql = format!(
                "SELECT key_id || ' ' || encode(public_key, 'hex') FROM signing_keys WHERE tenant_id = '{tenant}'"
            );
            for line in stage.sql(&sql).await.lines() {
                let (id, key) = line.split_once(' ').unwrap();
                let bytes = stagedoor_archive::Hash::from_hex(key).unwrap().0;
                keys.push(VerifyingKey::new(id.parse().unwrap(), &bytes).unwrap());
            }
        }
        let (root, store) = (folder(stage), backup_store(&config(stage)).unwrap());
        let mut files = Vec::new();
        for found in store.list(None).await.unwrap().found {
            for entry in std::fs::read_dir(root.join(found.folder())).unwrap() {
                files.push((entry.unwrap().path(), found.clone()));
            }
        }
        files.sort();
        Self { root, store, keys: key_encryption(stage).await, public, files }
    }

    async fn check(&self, found: &Found) -> VerifyReport {
        let trusted = Trusted { keys: &*self.keys, verifying: &self.public[&found.tenant] };
        verify(&self.store, found, trusted).await.unwrap_or_else(|error| {
            // An altered wrap names a key that nobody has; that is no verdict on the chunks, and no sound backup either.
            remark(format_args!("{found}: {error}"));
            VerifyReport {
                found: found.clone(),
                manifest: None,
                trust: None,
                damages: Vec::new(),
                chunks: 0,
                rows: 0,
                bytes: 0,
            }
        })
    }

    /// Whether the check of the file's backup complains, and whether it names the file.
    async fn finds(&self, (path, found): &(PathBuf, Found)) -> (bool, bool) {
        let report = self.check(found).await;
        let object = path.strip_prefix(&self.root).unwrap().to_str().unwrap();
        (!report.is_sound(), report.damages.iter().any(|damage| damage.object == object))
    }
}

/// Playlists' pieces that do not compress: several chunks.
async fn fill(stage: &Stage, tenant: &str, pieces: u32) {
    let noise = "(SELECT string_agg(sha256((gen_random_uuid()::text || s)::bytea), '') \
        FROM generate_series(1, 1000) s WHERE n > 0)";
    stage
        .sql(&format!(
            "INSERT INTO playlist_chunks SELECT tenant_id, account_id, 'spotify:playlist:' || n, gen_random_uuid(), {noise}
            FROM linked_accounts, generate_series(1, {pieces}) n WHERE tenant_id = '{tenant}' AND provider = 'spotify'"
        ))
        .await;
}

#[derive(Default)]
struct Tally {
    done: u64,
    missed: u64,
    unnamed: u64,
}

impl Tally {
    async fn judge(&mut self, scene: &Scene, what: &str, touched: &[&(PathBuf, Found)]) {
        self.done += 1;
        for file in touched {
            let (found, named) = scene.finds(file).await;
            if !found || !named {
                remark(format_args!("{what} of {}: found {found}, named {named}", file.0.display()));
            }
            self.missed += u64::from(!found);
            self.unnamed += u64::from(!named);
        }
    }
}

#[tokio::test]
async fn every_flip_cut_and_swap_of_backup_files_is_found() {
    let size = ProofSize::wanted();
    let wanted = size.of(1_000, 10_000);
    let stage = small_stage().await;
    let scene = Scene::set(&stage).await;
    let backups: std::collections::BTreeSet<_> = scene.files.iter().map(|(_, found)| found.clone()).collect();
    assert!(
        scene.files.len() > 30 && backups.len() == 12,
        "{} files, {} backups",
        scene.files.len(),
        backups.len()
    );
    for found in &backups {
        assert!(scene.check(found).await.is_sound(), "{found}");
    }
    let mut random = StdRng::seed_from_u64(7);
    let mut tally = Tally::default();
    for round in 0..wanted {
        let file = &scene.files[random.random_range(0..scene.files.len())];
        let bytes = std::fs::read(&file.0).unwrap();
        match round % 5 {
            0 | 1 => flip(&scene, &mut tally, &mut random, file, &bytes).await,
            2 => cut(&scene, &mut tally, &mut random, file, &bytes).await,
            3 => swap(&scene, &mut tally, &mut random, file, &bytes).await,
            _ => take_or_add(&scene, &mut tally, &mut random, file, &bytes).await,
        }
        std::fs::write(&file.0, &bytes).unwrap();
    }
    for found in &backups {
        assert!(scene.check(found).await.is_sound(), "{found} was not put back as it was");
    }
    prove("keeper.backup_tamperings", tally.done, format_args!(">={wanted}"), tally.done >= wanted);
    prove_equal("keeper.backup_tamperings_missed", tally.missed, 0);
    prove_equal("keeper.backup_tamperings_not_named", tally.unnamed, 0);
}

async fn flip(scene: &Scene, tally: &mut Tally, random: &mut StdRng, file: &(PathBuf, Found), bytes: &[u8]) {
    let mut altered = bytes.to_vec();
    for _ in 0..random.random_range(1..4) {
        let place = random.random_range(0..altered.len());
        altered[place] ^= 1 << random.random_range(0..8);
    }
    if altered == bytes {
        altered[0] ^= 1;
    }
    std::fs::write(&file.0, altered).unwrap();
    let report = scene.check(&file.1).await;
    if report.damages.is_empty() && report.manifest.is_none() {
        // The wrap's key id was hit: no key opens it, and the manifest is the only file that says so.
        assert!(file.0.ends_with("manifest.json"), "{}", file.0.display());
        tally.done += 1;
        return;
    }
    tally.judge(scene, "a flip", &[file]).await;
}

async fn cut(scene: &Scene, tally: &mut Tally, random: &mut StdRng, file: &(PathBuf, Found), bytes: &[u8]) {
    let length = random.random_range(0..bytes.len());
    std::fs::write(&file.0, &bytes[..length]).unwrap();
    tally.judge(scene, "a cut", &[file]).await;
}

/// With any other file: of the same backup, or of another time, class or tenant.
async fn swap(scene: &Scene, tally: &mut Tally, random: &mut StdRng, file: &(PathBuf, Found), bytes: &[u8]) {
    let other = loop {
        let other = &scene.files[random.random_range(0..scene.files.len())];
        if other.0 != file.0 {
            break other;
        }
    };
    let others = std::fs::read(&other.0).unwrap();
    std::fs::write(&file.0, &others).unwrap();
    std::fs::write(&other.0, bytes).unwrap();
    // Within one backup a manifest that is no manifest is all there is to say.
    let touched: Vec<_> = if file.1 == other.1 && [file, other].iter().any(|file| is_manifest(&file.0)) {
        [file, other].into_iter().filter(|file| is_manifest(&file.0)).collect()
    } else {
        vec![file, other]
    };
    tally.judge(scene, "a swap", &touched).await;
    std::fs::write(&other.0, others).unwrap();
}

async fn take_or_add(
    scene: &Scene,
    tally: &mut Tally,
    random: &mut StdRng,
    file: &(PathBuf, Found),
    bytes: &[u8],
) {
    if random.random_bool(0.5) {
        std::fs::remove_file(&file.0).unwrap();
        tally.judge(scene, "a removal", &[file]).await;
    } else {
        let longer = [bytes, &bytes[..random.random_range(1..bytes.len())]].concat();
        std::fs::write(&file.0, longer).unwrap();
        tally.judge(scene, "an addition", &[file]).await;
    }
}

fn is_manifest(path: &Path) -> bool {
    path.ends_with("manifest.json")
}
