//! `rotate-keys`: new keys of every layer in place of old ones, while they are in use. In three rounds over the tenants:
//! keys are switched and values resealed; once no replica seals under an old key any more, what it still sealed is
//! resealed; once nobody can hold an old value any more, keys that nothing refers to are destroyed, and everything that is
//! sealed is opened. Killed at any moment, the next run goes on.

mod compromised;
mod finishing;
pub mod key_encryption;
pub mod key_files;
pub mod kubernetes;
mod plan;
mod resealing;
mod status;
mod switching;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use clap::{Args, ValueEnum};
use stagedoor_assembly::backup_store;
use stagedoor_domain::TenantId;
use stagedoor_domain::error::Chain;
use stagedoor_storage::StoreError;
use stagedoor_storage::backups;
use stagedoor_storage::replicas::LIVE_WITHIN;
use stagedoor_storage::rotation::Layer;
use uuid::Uuid;

use self::key_encryption::{Begin, KeyVersions};
use self::key_files::KeyFolder;
use self::kubernetes::KeySecret;
use self::plan::Plan;
use super::{Job, JobError};
use crate::keeper::Keeper;
use crate::run::Run;

/// Between two looks at whether to stop while something is waited for.
const LOOK: Duration = Duration::from_millis(200);

/// What looking at rotations is called: it can be done while keys are rotated.
const STATUS: &str = "rotate-keys-status";

/// Seconds; the kubelet brings a changed Secret within two minutes.
const REPLICAS_WITHIN: u64 = 300;

/// Its arguments.
#[derive(Debug, Clone, Args)]
pub struct RotateKeys {
    /// Rotate these keys now, whatever their age; without it, those older than `encryption.key_rotation_days`.
    #[arg(long, value_enum)]
    pub layer: Option<LayerArgument>,
    /// Only this tenant, by its slug or id.
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
    /// Someone knows the keys: replace them and all keys below them, hand nothing on, end the sessions whose tokens were
    /// sealed under them, and wait for nothing that is not in the way.
    #[arg(long, requires = "layer")]
    pub compromised: bool,
    /// Reseal the audit trail's payloads too, so that old keys can be destroyed before retention drops the last of them.
    #[arg(long)]
    pub audit: bool,
    /// Only show how far every rotation is.
    #[arg(long)]
    pub status: bool,
    /// The Secret with the versions of the key-encryption key, if they are in Kubernetes.
    #[arg(long, value_name = "NAMESPACE/NAME", conflicts_with = "key_directory")]
    pub kubernetes_secret: Option<String>,
    /// The folder with these versions, if it is one that can be written to.
    #[arg(long, value_name = "FOLDER")]
    pub key_directory: Option<PathBuf>,
    /// Seconds that replicas may take to see a change of the key-encryption key.
    #[arg(long, value_name = "SECONDS", default_value_t = REPLICAS_WITHIN)]
    pub replicas_within: u64,
}

impl Default for RotateKeys {
    fn default() -> Self {
        Self {
            layer: None,
            tenant: None,
            compromised: false,
            audit: false,
            status: false,
            kubernetes_secret: None,
            key_directory: None,
            replicas_within: REPLICAS_WITHIN,
        }
    }
}

/// Which keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LayerArgument {
    /// The key-encryption key.
    Kek,
    /// Tenants' keys.
    Tenant,
    /// People's keys.
    Subject,
    /// The keys that tenants sign with.
    Signing,
    /// The pepper of API keys.
    Pepper,
    /// All of them.
    All,
}

/// A run of the job.
pub(crate) struct Rotator<'a> {
    keeper: &'a Keeper,
    run: &'a Run,
    plan: Plan,
    /// When no replica seals under an old key any more, by the keeper's own time.
    settled_at: Cell<Duration>,
    /// Tenants in which something was done, or is left to do.
    touched: RefCell<BTreeSet<TenantId>>,
    /// Those in which something was done, so that it is proved that all is well.
    changed: RefCell<BTreeSet<TenantId>>,
    /// Whether keys were found that are destroyed at a later look.
    look_again: Cell<bool>,
    /// Whether it was said that a replica is silent.
    told_of_silence: Cell<bool>,
}

#[async_trait(?Send)]
impl Job for RotateKeys {
    fn name(&self) -> &'static str {
        "rotate-keys"
    }

    fn recorded_as(&self) -> &'static str {
        let whole = self.tenant.is_none() && matches!(self.layer, None | Some(LayerArgument::All));
        match (self.status, whole) {
            (true, _) => STATUS,
            (false, true) => self.name(),
            (false, false) => "rotate-keys-part",
        }
    }

    fn lock(&self) -> &'static str {
        if self.status { STATUS } else { self.name() }
    }

    async fn run(&self, keeper: &Keeper, run: &Run) -> Result<(), JobError> {
        if self.status {
            return status::show(keeper, run, self.tenant.as_deref()).await;
        }
        let plan = Plan::new(self, keeper).await?;
        plan.tell(run);
        self.check_peppers(keeper, run, &plan).await?;
        if plan.has(Layer::KeyEncryption) {
            self.replace_key_encryption_key(keeper, run, &plan).await?;
        }
        let rotator = Rotator {
            keeper,
            run,
            plan,
            settled_at: Cell::default(),
            touched: RefCell::default(),
            changed: RefCell::default(),
            look_again: Cell::default(),
            told_of_silence: Cell::default(),
        };
        rotator.rotate(self.name(), self.tenant.as_deref()).await?;
        if rotator.plan.has(Layer::KeyEncryption) && self.tenant.is_none() {
            self.retire(keeper, run).await?;
        }
        Ok(())
    }
}

impl Rotator<'_> {
    async fn rotate(&self, job: &'static str, only: Option<&str>) -> Result<(), JobError> {
        let (keeper, run) = (self.keeper, self.run);
        keeper.each_tenant(job, run, only, async |context| self.begin(context).await).await?;
        if run.dry_run() || self.touched.borrow().is_empty() {
            return Ok(());
        }
        self.wait_until(self.settled_at.get()).await?;
        keeper.each_tenant(job, run, only, async |context| self.settle(context).await).await?;
        if self.look_again.get() {
            self.wait_until(keeper.clock.elapsed() + self.plan.patience.settle).await?;
        }
        keeper.each_tenant(job, run, only, async |context| self.finish(context).await).await
    }

    /// By sleeping and not by looking at the time, which stands still in tests.
    async fn wait_until(&self, at: Duration) -> Result<(), JobError> {
        let mut left = at.saturating_sub(self.keeper.clock.elapsed());
        let total = left.as_secs();
        while !left.is_zero() {
            self.run.go_on()?;
            self.run.progress(
                total - left.as_secs(),
                Some(total),
                "seconds until old keys are forgotten everywhere",
            );
            let next = left.min(LOOK);
            tokio::time::sleep(next).await;
            left -= next;
        }
        self.run.go_on()
    }
}

/// Why nobody can say which key-encryption keys the backups need: the catalogue goes with a tenant's rows, and what is
/// stored is then all there is of the tenant.
async fn unknown_backups(keeper: &Keeper) -> Result<Option<String>, JobError> {
    if keeper.config.backup.url.is_none() {
        return Ok(None);
    }
    let store = backup_store(&keeper.config).map_err(|error| JobError::misconfigured(&error))?;
    let listing = match store.list(None).await {
        Ok(listing) => listing,
        Err(error) => return Ok(Some(format!("backup.url cannot be read: {}", Chain(&error)))),
    };
    let mut known = BTreeSet::new();
    for tenant in keeper.tenants().await? {
        let context = keeper.context(tenant, "rotate-keys");
        let kept = keeper.store.with_tenant::<_, StoreError>(&context, backups::kept).await?;
        known.extend(kept.into_iter().map(|entry| entry.id));
    }
    let unknown: Vec<_> = listing.found.iter().filter(|found| !known.contains(&found.id.0)).collect();
    let Some(first) = unknown.first() else { return Ok(None) };
    Ok(Some(format!(
        "{} backups in backup.url are not in the catalogue, such as {first}: `backup` notes those of tenants that are \
         here; others have to be restored, or removed, first",
        unknown.len()
    )))
}

impl RotateKeys {
    /// Sees to it that another key-encryption key wraps than the one that is to be replaced, if one is.
    async fn replace_key_encryption_key(
        &self,
        keeper: &Keeper,
        run: &Run,
        plan: &Plan,
    ) -> Result<(), JobError> {
        if let Some(tenant) = &self.tenant {
            if plan.compromised {
                let why =
                    "--tenant: a key-encryption key that is known is every tenant's; leave --tenant out";
                return Err(JobError::Refused(why.to_owned()));
            }
            run.remark(format!(
                "only the keys of tenant {tenant} are rewrapped; no key-encryption key is made"
            ));
            return Ok(());
        }
        let place = self.place(keeper)?;
        if !plan.forced {
            let anew = place.is_some() && key_encryption::is_due(keeper, plan.made_before).await?;
            return self.introduce(keeper, run, place, anew).await;
        }
        if run.dry_run() {
            return self.introduce(keeper, run, place, true).await;
        }
        let replaced = switching::begin_key_encryption(keeper, run, plan).await?;
        let still_wraps = |wraps: Option<Uuid>| wraps.is_none_or(|wraps| replaced.contains(&wraps));
        // A run that was cut off has made its version, and an operator may have put the next one there.
        let anew = replaced.is_empty() || still_wraps(keeper.vault.wraps_with());
        self.introduce(keeper, run, place, anew).await?;
        if plan.compromised && still_wraps(keeper.vault.wraps_with()) {
            return Err(JobError::Refused(
                "the key-encryption key that is known still wraps: name the place where the next version can be made \
                 (--kubernetes-secret, --key-directory), or put it there first; nothing below it was replaced"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// A new version of the key-encryption key, if one is wanted; one that is on its way in any case.
    async fn introduce(
        &self,
        keeper: &Keeper,
        run: &Run,
        place: Option<Place>,
        anew: bool,
    ) -> Result<(), JobError> {
        let patience = Duration::from_secs(self.replicas_within);
        let begin = if anew { Begin::NewVersion } else { Begin::Nothing };
        match place {
            Some(Place::Folder(folder)) => {
                KeyVersions { files: &folder, patience }.introduce(keeper, run, begin).await?;
            }
            Some(Place::Secret(named)) => {
                let secret = KeySecret::open(&named).await.map_err(key_encryption::KeyEncryptionError::from)?;
                KeyVersions { files: &secret, patience }.introduce(keeper, run, begin).await?;
            }
            None if anew => run.remark(
                "no place is named where a version of the key-encryption key can be made \
                 (--kubernetes-secret, --key-directory): tenants' keys are rewrapped under the one that wraps now",
            ),
            None => {}
        }
        Ok(())
    }

    async fn retire(&self, keeper: &Keeper, run: &Run) -> Result<(), JobError> {
        let patience = Duration::from_secs(self.replicas_within);
        let place = self.place(keeper)?;
        if place.is_none() {
            return Ok(());
        }
        if let Some(why) = unknown_backups(keeper).await? {
            run.failed("no version of the key-encryption key is retired", why);
            return Ok(());
        }
        let used = backups::key_encryption_keys_in_use(&keeper.store).await?;
        match place {
            Some(Place::Folder(folder)) => {
                KeyVersions { files: &folder, patience }.retire(keeper, run, &used).await?;
            }
            Some(Place::Secret(named)) => {
                let secret =
                    KeySecret::open(&named).await.map_err(key_encryption::KeyEncryptionError::from)?;
                KeyVersions { files: &secret, patience }.retire(keeper, run, &used).await?;
            }
            None => {}
        }
        Ok(())
    }

    /// Peppers that are known are replaced by whoever signs in; that there is another one is seen to before.
    async fn check_peppers(&self, keeper: &Keeper, run: &Run, plan: &Plan) -> Result<(), JobError> {
        if !plan.has(Layer::Pepper) || !plan.compromised {
            return Ok(());
        }
        let newest = keeper.peppers.newest_version();
        let live = keeper.store.live_replicas(LIVE_WITHIN).await?;
        let behind = live.iter().find(|replica| !replica.report.pepper_versions.contains(&newest));
        let trouble = if keeper.peppers.versions().all(|version| version >= newest) {
            Some(
                "there is no pepper besides the one that is known: put the next version there first"
                    .to_owned(),
            )
        } else if let Some(replica) = behind {
            Some(format!("replica {} does not have version {newest} of the pepper", replica.report.host))
        } else {
            switching::ahead_of(keeper, run, newest).await?
        };
        match trouble {
            None => Ok(()),
            Some(trouble) => Err(JobError::Refused(format!("--layer pepper --compromised: {trouble}"))),
        }
    }

    fn place(&self, keeper: &Keeper) -> Result<Option<Place>, JobError> {
        if let Some(named) = &self.kubernetes_secret {
            return Ok(Some(Place::Secret(named.clone())));
        }
        let configured = keeper.config.encryption.key_directory.clone();
        let Some(folder) = self.key_directory.clone().or(configured) else { return Ok(None) };
        match KeyFolder::open(folder) {
            Ok(folder) => Ok(Some(Place::Folder(folder))),
            // One that only the configuration names may well be a mounted Secret, whose name it does not say.
            Err(_) if self.key_directory.is_none() => Ok(None),
            Err(error) => Err(key_encryption::KeyEncryptionError::from(error).into()),
        }
    }
}

enum Place {
    Folder(KeyFolder),
    Secret(String),
}
