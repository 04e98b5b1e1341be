//! Work that outlives its call: made whole, stored step by step, and gone with the accounts it works on.

use stagedoor_domain::{
    ErrorCode, JobId, LinkedAccountId, Principal, Provider, Scope, ScopeSet, Toolset, ToolsetSet,
};
use stagedoor_storage::jobs::{
    Claim, Held, Job, NewJob, Part, State, Step, claim_one, create, decide, load, load_parts, save,
};
use stagedoor_storage::provision::{self, NewLinkedAccount};
use stagedoor_storage::{StoreError, linked_accounts};

use crate::support::{Database, Inhabited, account_of, tokens};

pub(crate) const OURS: Held = Held::Ours { cancel_requested: false };

pub(crate) fn step(state: State) -> Step<'static> {
    Step { state, document: None, parts: &[], done: 1, total: Some(2), message: None, not_before: None }
}

fn part(number: u32, content: &[u8]) -> Part {
    Part { number, content: content.to_vec() }
}

/// Whoever calls with one's key, with fewer rights than that has.
fn principal(one: &Inhabited) -> Principal {
    Principal {
        scopes: ScopeSet::empty().with(Scope::PlaylistsRead).with(Scope::PlaylistsWrite),
        toolsets: ToolsetSet::empty().with(Toolset::Playlists),
        ..one.as_user(one.user).principal().clone()
    }
}

/// A queued job with two parts.
pub(crate) async fn queued(database: &Database, one: &Inhabited) -> JobId {
    let id = JobId::generate(database.vault.clock(), database.vault.entropy());
    made(database, one, id, [Some(one.account), None]).await.unwrap();
    id
}

async fn made(
    database: &Database,
    one: &Inhabited,
    id: JobId,
    accounts: [Option<LinkedAccountId>; 2],
) -> Result<(), StoreError> {
    let job = NewJob {
        id,
        kind: "transfer",
        user: one.user,
        begun_by: &principal(one),
        accounts,
        document: b"a private document",
        parts: &[part(0, b"private first"), part(1, b"private second")],
        total: Some(2),
        message: Some("a private message"),
    };
    assert!(!format!("{job:?}").contains("private"));
    create(&database.vault, &one.context, &job).await
}

pub(crate) async fn claimed(database: &Database, one: &Inhabited, id: JobId) -> Claim {
    claim_one(database.vault.store(), &one.context, id).await.unwrap().unwrap()
}

async fn read(database: &Database, one: &Inhabited, id: JobId) -> Job {
    load(&database.vault, &one.context, id).await.unwrap().unwrap()
}

async fn contents(database: &Database, one: &Inhabited, id: JobId) -> Vec<Vec<u8>> {
    let parts = load_parts(&database.vault, &one.context, id, 0..u32::MAX).await.unwrap();
    assert!(parts.is_sorted_by_key(|part| part.number));
    parts.into_iter().map(|part| part.content).collect()
}

#[tokio::test]
async fn a_job_is_stored_step_by_step() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    let id = queued(&database, &ada).await;
    let job = read(&database, &ada, id).await;
    assert_eq!((job.state, job.revision, job.claims), (State::Queued, 1, 0));
    assert_eq!(
        (job.kind.as_str(), job.user, job.accounts),
        ("transfer", ada.user, [Some(ada.account), None])
    );
    assert_eq!(
        (job.document.as_slice(), job.message.as_deref()),
        (&b"a private document"[..], Some("a private message"))
    );
    assert_eq!((job.done, job.total, job.cancel_requested), (0, Some(2), false));
    let begun_by = principal(&ada);
    assert_eq!(
        (&job.begun_by.label, &job.begun_by.api_key),
        (&begun_by.label(), &Some(ada.key.id().clone()))
    );
    assert_eq!((job.begun_by.scopes, job.begun_by.toolsets), (begun_by.scopes, begun_by.toolsets));
    assert_eq!((job.begun_by.read_only, job.begun_by.expires_at), (false, None));
    assert!(!format!("{job:?}").contains("private"));

    let claim = claimed(&database, &ada, id).await;
    let one_part = [part(1, b"second again"), part(7, b"new")];
    let running = Step { parts: &one_part, message: Some("on it"), ..step(State::Running) };
    assert_eq!(save(vault, context, &claim, &running).await.unwrap(), OURS);
    let job = read(&database, &ada, id).await;
    assert_eq!((job.state, job.revision, job.done, job.claims), (State::Running, 2, 1, 1));
    assert_eq!(
        (job.document.as_slice(), job.message.as_deref()),
        (&b"a private document"[..], Some("on it"))
    );
    assert_eq!(contents(&database, &ada, id).await, [&b"private first"[..], b"second again", b"new"]);
    let some = load_parts(vault, context, id, 1..7).await.unwrap();
    assert_eq!(some.iter().map(|part| part.number).collect::<Vec<_>>(), [1]);

    let waiting = Step { document: Some(b"what to decide"), ..step(State::Waiting) };
    assert_eq!(save(vault, context, &claim, &waiting).await.unwrap(), OURS);
    assert_eq!(save(vault, context, &claim, &running).await.unwrap(), Held::Lost, "it gave the claim back");
    assert_eq!(claim_one(vault.store(), context, id).await.unwrap(), None, "it waits for a decision");
    let job = read(&database, &ada, id).await;
    assert_eq!((job.state, job.revision, job.message), (State::Waiting, 3, None));

    let decided = async |revision, document: Option<&'static [u8]>| {
        decide(vault, context, id, revision, document, &[part(0, b"decided")]).await.unwrap()
    };
    assert!(!decided(2, None).await, "it was another question");
    assert!(decided(3, Some(b"what was decided")).await);
    assert!(!decided(3, None).await, "it was decided");
    let job = read(&database, &ada, id).await;
    assert_eq!(
        (job.state, job.revision, job.document.as_slice()),
        (State::Queued, 4, &b"what was decided"[..])
    );
    assert_eq!(contents(&database, &ada, id).await[0], b"decided");

    let claim = claimed(&database, &ada, id).await;
    let failed = Step { message: Some("out of reach"), ..step(State::Failed) };
    assert_eq!(save(vault, context, &claim, &failed).await.unwrap(), OURS);
    assert!(decided(5, None).await, "a failed one goes on");
    let claim = claimed(&database, &ada, id).await;
    assert_eq!(save(vault, context, &claim, &step(State::Done)).await.unwrap(), OURS);
    let job = read(&database, &ada, id).await;
    assert_eq!(
        (job.state, job.claims, job.expires_at - job.updated_at),
        (State::Done, 3, chrono::TimeDelta::days(7))
    );
    assert!(!decided(7, None).await);
    assert_eq!(claim_one(vault.store(), context, id).await.unwrap(), None);

    database.tamper("UPDATE jobs SET expires_at = now()").await;
    assert_eq!(load(vault, context, id).await.unwrap(), None);
    assert_eq!(contents(&database, &ada, id).await, Vec::<Vec<u8>>::new());
    queued(&database, &ada).await;
    assert_eq!(database.tamper("SELECT count(*), (SELECT count(*) FROM job_parts) FROM jobs").await, "1|2");
}

#[tokio::test]
async fn a_step_is_stored_as_a_whole_or_not_at_all() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    let id = queued(&database, &ada).await;
    let claim = claimed(&database, &ada, id).await;
    database
        .tamper(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END';
            CREATE TRIGGER die BEFORE INSERT ON job_parts FOR EACH ROW EXECUTE FUNCTION die()",
        )
        .await;
    let parts = [part(0, b"lost")];
    let lost = Step { document: Some(b"lost"), parts: &parts, ..step(State::Running) };
    let cut_off = save(vault, context, &claim, &lost).await.unwrap_err();
    assert!(cut_off.is_transient(), "{cut_off:?}");
    database.tamper("DROP TRIGGER die ON job_parts").await;
    let job = read(&database, &ada, id).await;
    assert_eq!((job.revision, job.document.as_slice()), (1, &b"a private document"[..]));
    assert_eq!(contents(&database, &ada, id).await[0], b"private first");
    assert_eq!(save(vault, context, &claim, &lost).await.unwrap(), OURS);
    assert_eq!(contents(&database, &ada, id).await[0], b"lost");
}

#[tokio::test]
async fn a_job_is_its_persons_and_goes_with_their_accounts() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let vault = &database.vault;
    let eve = provision::create_user(&database.admin, &ada.context, None, "Eve").await.unwrap();
    let id = queued(&database, &ada).await;
    for stranger in [&bob.context, &bob.as_user(bob.user), &ada.as_user(eve)] {
        assert_eq!(load(vault, stranger, id).await.unwrap(), None);
        assert_eq!(load_parts(vault, stranger, id, 0..9).await.unwrap(), []);
        assert!(!decide(vault, stranger, id, 1, None, &[]).await.unwrap());
    }
    assert_eq!(claim_one(vault.store(), &bob.context, id).await.unwrap(), None);
    let claim = claimed(&database, &ada, id).await;
    let foreign = save(vault, &bob.context, &claim, &step(State::Done)).await;
    assert!(matches!(foreign, Err(StoreError::Missing("person"))), "{foreign:?}");

    let new = || JobId::generate(vault.clock(), vault.entropy());
    let of_eve = NewLinkedAccount { user: eve, ..account_of(eve) };
    let of_eve =
        provision::link_account(&database.admin, &ada.context, of_eve, &tokens("eve")).await.unwrap();
    for accounts in [[Some(bob.account), None], [Some(ada.account), Some(of_eve)]] {
        let foreign = made(&database, &ada, new(), accounts).await;
        assert!(matches!(foreign, Err(StoreError::Missing(_))), "{foreign:?}");
    }

    let other = NewLinkedAccount { provider: Provider::Tidal, ..account_of(ada.user) };
    let other = provision::link_account(&database.admin, &ada.context, other, &tokens("two")).await.unwrap();
    made(&database, &ada, new(), [Some(other), Some(ada.account)]).await.unwrap();
    made(&database, &ada, new(), [Some(other), None]).await.unwrap();
    let unlink = async |tx: &mut _| linked_accounts::unlink(tx, ada.account).await;
    let gone = vault.store().with_tenant(&ada.context, unlink).await.unwrap().unwrap();
    assert_eq!(gone.jobs, 2);
    assert_eq!(save(vault, &ada.context, &claim, &step(State::Running)).await.unwrap(), Held::Lost);
    let rows = "SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM job_parts)";
    assert_eq!(database.tamper(rows).await, "1|2", "the one that needs the other account only");
    database.tamper("DELETE FROM users").await;
    assert_eq!(database.tamper(rows).await, "0|0", "they go with the person");
}

#[tokio::test]
async fn what_a_job_holds_is_sealed_for_its_place() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    let id = queued(&database, &ada).await;
    let clear = "SELECT count(*) FROM jobs j, job_parts p WHERE position('private'::bytea IN j.document)
        + position('private'::bytea IN j.message) + position('private'::bytea IN p.content) > 0";
    assert_eq!(database.tamper(clear).await, "0");
    database.tamper("CREATE TABLE kept AS SELECT * FROM jobs").await;
    for damage in [
        "UPDATE jobs SET document = message",
        "UPDATE jobs SET message = document",
        "UPDATE jobs SET document_revision = 2",
        "UPDATE jobs SET revision = 2",
    ] {
        database.tamper(damage).await;
        let damaged = load(vault, context, id).await.unwrap_err();
        assert!(matches!(damaged, StoreError::Damaged { .. }), "{damage}: {damaged:?}");
        assert_eq!(damaged.public().code, ErrorCode::Internal);
        let mend = "UPDATE jobs j SET document = k.document, message = k.message, revision = k.revision,
            document_revision = k.document_revision FROM kept k";
        database.tamper(mend).await;
    }
    read(&database, &ada, id).await;
    database.tamper("UPDATE job_parts SET number = 9 WHERE number = 1").await;
    assert!(load_parts(vault, context, id, 0..1).await.is_ok());
    let moved = load_parts(vault, context, id, 0..10).await.unwrap_err();
    assert!(matches!(moved, StoreError::Damaged { .. }), "a part is not another's: {moved:?}");
}
