//! Importing Spotify's data download (`listening_import` reads it): what the person agreed to, batch after batch, with a
//! note of how far it is, so that an import that was cut off goes on and a file that is in is not read again.

use std::io::{Read, Seek};
use std::sync::Arc;

use stagedoor_audit::{
    AuditAction, AuditClient, AuditEntry, AuditError, AuditLog, AuditOpening, AuditOutcome,
};
use stagedoor_domain::{
    CallId, ConsentPurpose, ErrorCode, LinkedAccountId, PolicyGate, Principal, Provider, PublicError, Tenant,
    TenantContext, UserId,
};
use stagedoor_listening_import::{Archive, Batch, Form, ImportError, Limits, Play};
use stagedoor_storage::linked_accounts::{self, LinkedAccount};
use stagedoor_storage::listening::{self, Counts, Import, NewPlay, Owner, PlayedTrack, Source};
use stagedoor_storage::{KeyVault, StoreError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::arguments::invalid;
use crate::consents::required;
use crate::desk::acting_for;
use crate::gates;
use crate::trail::of_account;
use crate::wishes::Wishes;

/// The service whose download it is.
const SERVICE: Provider = Provider::Spotify;
const JOB: &str = "import";

/// Imports data downloads.
#[derive(Debug)]
pub struct HistoryImporter {
    vault: Arc<KeyVault>,
    audit: AuditLog,
    stop: CancellationToken,
}

/// What an import came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryImport {
    /// The account that the plays are of.
    pub account: LinkedAccountId,
    /// What was found and added, earlier runs included.
    pub counts: Counts,
    /// How many entries there are.
    pub entries: u64,
    /// When the first and the last play ended.
    pub plays: Option<(chrono::DateTime<chrono::Utc>, chrono::DateTime<chrono::Utc>)>,
    /// Whether an earlier run had begun it.
    pub resumed: bool,
    /// Whether all of the file is in; not if it was told to stop.
    pub done: bool,
}

/// Why a file was not imported, or not to its end: what was before is in.
#[derive(Debug, thiserror::Error)]
pub enum HistoryImportError {
    /// Something that whoever asked can change.
    #[error("{}{}", .0.message, .0.hint.as_deref().map(|hint| format!(" {hint}")).unwrap_or_default())]
    Refused(PublicError),
    /// The file.
    #[error(transparent)]
    File(#[from] ImportError),
    /// The database.
    #[error("the database did not do its part")]
    Store(#[from] StoreError),
    /// No record, no import.
    #[error("it cannot be recorded in the audit trail")]
    Audit(#[from] AuditError),
}

impl From<PublicError> for HistoryImportError {
    fn from(error: PublicError) -> Self {
        Self::Refused(error)
    }
}

impl HistoryImporter {
    /// An importer that stops between two batches once `stop` is cancelled.
    pub fn new(vault: Arc<KeyVault>, audit: AuditLog, stop: CancellationToken) -> Self {
        Self { vault, audit, stop }
    }

    /// The context in which imports into `tenant` work, for a person once it is known which.
    #[expect(clippy::disallowed_methods, reason = "the import is a named job")]
    pub fn context(&self, tenant: Arc<Tenant>, user: Option<UserId>) -> TenantContext {
        let call = || CallId::generate(self.vault.clock(), self.vault.entropy());
        let ours = TenantContext::for_job(Arc::clone(&tenant), JOB, call());
        let principal = Principal { user, ..ours.principal().clone() };
        TenantContext::for_job_of(tenant, JOB, &principal, call())
    }

    /// Imports a file for the person that `ctx` acts for; `digest` is its SHA-256. With `dry_run` it is read to its end
    /// and nothing is stored.
    ///
    /// # Errors
    /// [`HistoryImportError::Refused`] without consent, behind a closed gate, or for an account that there is not.
    pub async fn import<R: Read + Seek + Send + 'static>(
        &self,
        ctx: &TenantContext,
        account: Option<LinkedAccountId>,
        (file, digest): (R, [u8; 32]),
        dry_run: bool,
    ) -> Result<HistoryImport, HistoryImportError> {
        let owner = self.owner(ctx, account).await?;
        self.may(ctx).await?;
        if dry_run {
            return self.foresee(&owner, file).await;
        }
        let opening = AuditOpening {
            resource: Some(of_account(owner.account)),
            ..AuditOpening::new(AuditAction::ListeningImport, AuditClient::default())
        };
        let (opened_at, entry) = (self.vault.clock().elapsed(), self.audit.open(ctx, opening).await?);
        let imported = Box::pin(self.run(ctx, &owner, (file, digest))).await;
        self.close(entry, opened_at, &imported).await;
        imported
    }

    async fn close(
        &self,
        entry: AuditEntry,
        opened_at: std::time::Duration,
        imported: &Result<HistoryImport, HistoryImportError>,
    ) {
        let error = imported.as_ref().err().map(|error| match error {
            HistoryImportError::Refused(error) => error.code,
            HistoryImportError::File(_) => ErrorCode::InvalidArguments,
            HistoryImportError::Store(_) | HistoryImportError::Audit(_) => ErrorCode::Internal,
        });
        let duration = self.vault.clock().elapsed().saturating_sub(opened_at);
        let response_code = error.map_or(200, ErrorCode::http_status);
        Box::pin(entry.close(AuditOutcome { error, response_code, duration, cached: false })).await;
    }

    /// The account that is meant: the one that is named, or the only one.
    async fn owner(
        &self,
        ctx: &TenantContext,
        named: Option<LinkedAccountId>,
    ) -> Result<Owner, HistoryImportError> {
        let user = acting_for(ctx)?;
        let list = async |tx: &mut _| linked_accounts::list(tx, user).await;
        let accounts: Vec<LinkedAccount> = self.vault.store().with_tenant(ctx, list).await?;
        let of_service: Vec<_> = accounts.iter().filter(|account| account.provider == SERVICE).collect();
        let found = match (named, &*of_service) {
            (Some(named), all) => all.iter().find(|account| account.id == named).ok_or_else(|| {
                PublicError::new(
                    ErrorCode::AccountNotLinked,
                    format!("The person has no {} account {named}.", SERVICE.title()),
                )
            })?,
            (None, [only]) => only,
            (None, []) => {
                let told = format!("The person has linked no {} account.", SERVICE.title());
                return Err(PublicError::new(ErrorCode::AccountNotLinked, told)
                    .hint("Link it first: what is imported goes when it is unlinked.")
                    .into());
            }
            (None, several) => {
                let ids: Vec<String> = several.iter().map(|account| account.id.to_string()).collect();
                return Err(invalid(format!("`account` is missing; it can be {}.", ids.join(" or "))).into());
            }
        };
        Ok(Owner { user, account: found.id, provider: SERVICE })
    }

    /// What operator and person allow now; asked again for each part, because a long file takes its time.
    async fn may(&self, ctx: &TenantContext) -> Result<(), HistoryImportError> {
        gates::check(ctx, SERVICE, PolicyGate::HistoryInsights)?;
        let wishes = Wishes::load(&self.vault, ctx, acting_for(ctx)?).await?;
        Ok(required(ctx, ConsentPurpose::Analytics, wishes.consent(ctx, ConsentPurpose::Analytics))?)
    }

    async fn run<R: Read + Seek + Send + 'static>(
        &self,
        ctx: &TenantContext,
        owner: &Owner,
        (file, digest): (R, [u8; 32]),
    ) -> Result<HistoryImport, HistoryImportError> {
        let begun = listening::begin_import(&self.vault, ctx, owner, &digest).await?;
        let mut import = begun.import;
        if import.done {
            return Ok(told(owner, &import, true));
        }
        let mut steps = Steps::of(file, (import.files_done, import.entries_done));
        while let Some(step) = steps.next().await {
            match step? {
                Step::Part => self.may(ctx).await?,
                Step::Batch(form, batch) => {
                    let plays: Vec<NewPlay> = batch.plays.into_iter().map(new_play).collect();
                    let recorded = listening::record(&self.vault, ctx, owner, source(form), &plays).await?;
                    import.counts.added += recorded.added;
                    import.counts.known += recorded.known;
                    import.counts.other += batch.other;
                    import.counts.malformed += batch.malformed;
                    import.entries_done = batch.entries;
                    import.plays = reach(import.plays, &plays);
                    self.note(ctx, &import).await?;
                }
                Step::Done => {
                    import.files_done += 1;
                    import.entries_done = 0;
                    self.note(ctx, &import).await?;
                }
            }
            if self.stop.is_cancelled() {
                return Ok(told(owner, &import, begun.resumed));
            }
        }
        let now = self.vault.clock().now();
        let finish = async |tx: &mut _| listening::finish_import(tx, &import, now).await;
        self.vault.store().with_tenant::<_, StoreError>(ctx, finish).await?;
        import.done = true;
        Ok(told(owner, &import, begun.resumed))
    }

    async fn note(&self, ctx: &TenantContext, import: &Import) -> Result<(), StoreError> {
        let now = self.vault.clock().now();
        let note = async |tx: &mut _| listening::note_import(tx, import, now).await;
        self.vault.store().with_tenant(ctx, note).await
    }

    async fn foresee<R: Read + Seek + Send + 'static>(
        &self,
        owner: &Owner,
        file: R,
    ) -> Result<HistoryImport, HistoryImportError> {
        let mut foreseen = HistoryImport {
            account: owner.account,
            counts: Counts::default(),
            entries: 0,
            plays: None,
            resumed: false,
            done: false,
        };
        let mut steps = Steps::of(file, (0, 0));
        while let Some(step) = steps.next().await {
            let Step::Batch(_, batch) = step? else { continue };
            let plays: Vec<NewPlay> = batch.plays.into_iter().map(new_play).collect();
            foreseen.plays = reach(foreseen.plays, &plays);
            foreseen.counts.other += batch.other;
            foreseen.counts.malformed += batch.malformed;
            foreseen.entries += plays.len() as u64 + batch.other + batch.malformed;
        }
        Ok(foreseen)
    }
}

/// What reading a file comes to, one thing after the other; a part of one that was begun goes on where it was.
struct Steps(mpsc::Receiver<Result<Step, ImportError>>);

enum Step {
    /// The next part begins.
    Part,
    Batch(Form, Batch),
    /// The part is at its end.
    Done,
}

impl Steps {
    /// Unzipping and parsing take a thread of their own; it waits while two batches are not taken.
    fn of<R: Read + Seek + Send + 'static>(file: R, (files_done, entries_done): (u32, u64)) -> Self {
        let (give, take) = mpsc::channel(2);
        tokio::task::spawn_blocking(move || {
            if let Err(Ended::Failed(error)) = walk(file, (files_done, entries_done), &give) {
                // Nobody waits for it any more, if it cannot be told.
                let _ = give.blocking_send(Err(error));
            }
        });
        Self(take)
    }

    async fn next(&mut self) -> Option<Result<Step, ImportError>> {
        self.0.recv().await
    }
}

enum Ended {
    Failed(ImportError),
    /// Whoever took the steps has enough.
    Left,
}

impl From<ImportError> for Ended {
    fn from(error: ImportError) -> Self {
        Self::Failed(error)
    }
}

fn walk<R: Read + Seek>(
    file: R,
    (files_done, entries_done): (u32, u64),
    give: &mpsc::Sender<Result<Step, ImportError>>,
) -> Result<(), Ended> {
    let give = |step| give.blocking_send(Ok(step)).map_err(|_| Ended::Left);
    let mut archive = Archive::open(file, Limits::default())?;
    let parts = archive.parts().to_vec();
    for (number, part) in (0..).zip(&parts).skip(files_done as usize) {
        give(Step::Part)?;
        let done = if number == files_done { entries_done } else { 0 };
        archive.read(part, done, |batch| give(Step::Batch(part.form, batch)))?;
        give(Step::Done)?;
    }
    Ok(())
}

const fn source(form: Form) -> Source {
    match form {
        Form::Extended => Source::ImportBySecond,
        Form::Short => Source::ImportByMinute,
    }
}

fn new_play(play: Play) -> NewPlay {
    NewPlay {
        played_at: play.ended_at,
        track: PlayedTrack {
            reference: play.reference,
            title: play.title,
            artists: vec![play.artist],
            album: play.album,
            duration_ms: None,
            ms_played: Some(play.ms_played),
            skipped: play.skipped,
            context: None,
        },
    }
}

type Reach = Option<(chrono::DateTime<chrono::Utc>, chrono::DateTime<chrono::Utc>)>;

fn reach(known: Reach, plays: &[NewPlay]) -> Reach {
    let times = plays.iter().map(|play| play.played_at).chain(known.into_iter().flat_map(<[_; 2]>::from));
    let times: Vec<_> = times.collect();
    Some((*times.iter().min()?, *times.iter().max()?))
}

fn told(owner: &Owner, import: &Import, resumed: bool) -> HistoryImport {
    let Counts { added, known, other, malformed } = import.counts;
    HistoryImport {
        account: owner.account,
        counts: import.counts,
        entries: added + known + other + malformed,
        plays: import.plays,
        resumed,
        done: import.done,
    }
}
