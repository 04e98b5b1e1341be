//! Exports: checked with a public key alone, whatever is done to the file.

use stagedoor_audit::{
    AuditFault, Checkpointer, DayRange, FaultKind, VerificationReport, VerifyError, export, verify_export,
};
use stagedoor_crypto::{SigningKey, SystemEntropy, VerifyingKey};
use stagedoor_storage::{StoreError, signing_keys};
use std::time::Duration;
use uuid::Uuid;

use crate::checkpoints::record;
use crate::support::{Database, Inhabited};
use crate::trail::{Trail, another_call, prompt, today};

/// More than the lines of two marks, on two days with an empty one between, with a person in it who was erased.
struct Exported {
    file: String,
    other: String,
    keys: Vec<VerifyingKey>,
}

async fn exported() -> Exported {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let eve =
        stagedoor_storage::provision::create_user(&database.admin, &ada.context, None, "Eve").await.unwrap();
    let trail = Trail::start(&database, prompt());
    let checkpointer = Checkpointer::new(database.vault.clone(), None, Duration::from_mins(1));
    let first = today(&database);
    for _ in 0..2 {
        for _ in 0..3 {
            record(&trail, &database, &ada, 40).await;
            record(&trail, &database, &bob, 40).await;
            for _ in 0..5 {
                trail.read(&another_call(&database, &ada.as_user(eve))).await;
            }
            trail.log.flush().await.unwrap();
            for tenant in [&ada, &bob] {
                checkpointer.seal(&tenant.context, [today(&database)]).await.unwrap();
            }
        }
        database.clock.advance(Duration::from_hours(48));
    }
    database
        .tamper(&format!(
            "UPDATE audit_payloads SET user_id = NULL, sealed = '' WHERE user_id = '{eve}'; DELETE FROM users WHERE user_id = '{eve}'"
        ))
        .await;
    let days = DayRange::new(first, today(&database)).unwrap();
    let mut keys = Vec::new();
    let [file, other] = [&ada, &bob].map(|tenant| (tenant, Vec::new()));
    let mut files = Vec::new();
    for (tenant, mut file) in [file, other] {
        let summary = export(&database.vault, &tenant.context, days, &mut file).await.unwrap();
        assert_eq!(summary.bytes, file.len() as u64);
        assert_eq!((summary.days, summary.checkpoints), (5, 6));
        keys.extend(public_keys(&database, tenant).await);
        files.push(String::from_utf8(file).unwrap());
    }
    let other = files.pop().unwrap();
    Exported { file: files.pop().unwrap(), other, keys }
}

async fn public_keys(database: &Database, whose: &Inhabited) -> Vec<VerifyingKey> {
    let read = async |tx: &mut _| signing_keys::public_keys(tx).await;
    let keys = database.vault.store().with_tenant::<_, StoreError>(&whose.context, read).await.unwrap();
    keys.into_iter().map(|public| public.key).collect()
}

fn check(file: &str, keys: &[VerifyingKey]) -> VerificationReport {
    verify_export(file.as_bytes(), keys).unwrap()
}

fn joined(lines: &[&str]) -> String {
    lines.iter().flat_map(|line| [*line, "\n"]).collect()
}

/// What a line says of its place.
fn place(line: &str) -> (Option<String>, Option<i64>, Option<i64>) {
    let json: serde_json::Value = serde_json::from_str(line).unwrap();
    let line = json.as_object().unwrap().values().next().unwrap();
    (line["day"].as_str().map(str::to_owned), line["seq"].as_i64(), line["number"].as_i64())
}

/// Whether a fault names the line, or the record or checkpoint in it, or the one right after it.
fn names(fault: &AuditFault, number: usize, line: &str) -> bool {
    let (day, seq, checkpoint) = place(line);
    let at = |line: usize| fault.line == Some(line as u64);
    let record = fault.day.map(|day| day.to_string()) == day && fault.seq.is_some() && fault.seq == seq;
    at(number) || at(number + 1) || record || (checkpoint.is_some() && fault.checkpoint == checkpoint)
}

#[tokio::test]
async fn an_export_is_checked_with_a_public_key_alone_and_no_tampering_passes() {
    let Exported { file, other, keys } = exported().await;
    let report = check(&file, &keys);
    assert_eq!(report.faults, []);
    assert_eq!((report.chains, report.records, report.erased, report.checkpoints), (2, 270, 30, 6));
    assert!(!file.contains("Eve"));

    let lines: Vec<&str> = file.lines().collect();
    let foreign: Vec<&str> = other.lines().collect();
    let last = lines.len() - 1;
    let found = |tampered: &str, what: &str, number: usize| {
        let report = check(tampered, &keys);
        assert!(!report.is_intact(), "{what} of line {number}");
        let line = lines[number - 1];
        assert!(
            report.faults.iter().any(|fault| names(fault, number, line)),
            "{what} of line {number} was not located: {:.200}\n{:?}",
            line,
            &report.faults[..report.faults.len().min(20)]
        );
        assert!(
            report.faults.iter().any(|fault| fault.kind == FaultKind::Manifest),
            "{what} of line {number}"
        );
    };
    // The header is the frame of all checks, and is looked at below; the manifest is no line of the trail. Of records
    // each seventeenth, and all that is no record.
    for index in (1..last).filter(|index| index % 17 == 1 || !lines[*index].starts_with("{\"record\"")) {
        let (number, line) = (index + 1, lines[index]);
        let with =
            |replacement: &[&str]| joined(&[&lines[..index], replacement, &lines[index + 1..]].concat());
        found(&with(&[]), "deletion", number);
        found(&with(&[line, line]), "doubling", number);
        if index + 1 < last {
            let mut swapped = lines.clone();
            swapped.swap(index, index + 1);
            found(&joined(&swapped), "reordering", number);
        }
        let spliced = foreign[index.min(foreign.len() - 2)];
        found(&with(&[spliced]), "splicing", number);
        // One digit or letter of the line, in the middle of it and near its end.
        for position in [line.len() / 2, line.len() * 9 / 10] {
            let position =
                (position..line.len()).find(|at| line.as_bytes()[*at].is_ascii_alphanumeric()).unwrap();
            let mut edited = line.as_bytes().to_vec();
            edited[position] = if edited[position] == b'1' { b'2' } else { b'1' };
            found(&with(&[std::str::from_utf8(&edited).unwrap()]), "edit", number);
        }
        let cut = check(&joined(&lines[..index]), &keys);
        let kinds: Vec<FaultKind> = cut.faults.iter().map(|fault| fault.kind).collect();
        assert!(kinds.contains(&FaultKind::Manifest), "cut before line {number}: {kinds:?}");
    }
    let kinds = |file: &str| check(file, &keys).faults.iter().map(|fault| fault.kind).collect::<Vec<_>>();
    assert!(kinds(&file[..file.len() / 2]).contains(&FaultKind::Malformed), "cut within a line");
    assert_eq!(kinds(&joined(&[&lines[..], &["{}"]].concat())), [FaultKind::Manifest]);
    assert_eq!(kinds(&joined(&lines[..last])), [FaultKind::Manifest]);
}

#[tokio::test]
async fn whole_days_and_headers_of_others_do_not_pass_either() {
    let Exported { file, other, keys } = exported().await;
    let (lines, foreign): (Vec<&str>, Vec<&str>) = (file.lines().collect(), other.lines().collect());
    let head = |lines: &[&str], number: usize| {
        let is_head = |(_, line): &(usize, &&str)| line.starts_with("{\"head\"");
        lines.iter().enumerate().filter(is_head).nth(number).unwrap().0
    };
    let (ours, theirs) = (head(&lines, 0), head(&foreign, 0));
    let spliced = joined(&[&lines[..1], &foreign[1..=theirs], &lines[ours + 1..]].concat());
    let report = check(&spliced, &keys);
    let first = report.faults.iter().find(|fault| fault.seq == Some(1)).unwrap();
    assert_eq!((first.kind, first.line), (FaultKind::PreviousHash, Some(2)));
    assert!(report.faults.iter().any(|fault| fault.kind == FaultKind::Foreign), "their checkpoints");

    // A day that is missing as a whole, and its head alone.
    let (second, third) = (head(&lines, 1), head(&lines, 2));
    let without_day = joined(&[&lines[..=second], &lines[third + 1..]].concat());
    let without_empty = joined(&[&lines[..second], &lines[second + 1..]].concat());
    for tampered in [without_day, without_empty] {
        let report = check(&tampered, &keys);
        assert!(report.faults.iter().any(|fault| fault.kind == FaultKind::Head), "{:?}", report.faults);
    }

    for (from, to) in [("\"exported_at\":\"2", "\"exported_at\":\"3"), ("\"kty\":\"OKP\"", "\"kty\":\"OKQ\"")]
    {
        let report = check(&file.replacen(from, to, 1), &keys);
        assert!(report.faults.iter().any(|fault| fault.line == Some(1)), "{:?}", report.faults);
    }
    let theirs = joined(&[&foreign[..1], &lines[1..]].concat());
    assert!(!check(&theirs, &keys).is_intact());

    let refused = |file: &str, keys: &[VerifyingKey]| verify_export(file.as_bytes(), keys).unwrap_err();
    assert!(matches!(refused("", &keys), VerifyError::NotAnExport));
    assert!(matches!(refused("hello\n", &keys), VerifyError::NotAnExport));
    assert!(matches!(
        refused(&file.replacen("audit-export/1", "audit-export/2", 1), &keys),
        VerifyError::NotAnExport
    ));
    assert!(matches!(refused(&file, &[]), VerifyError::NoKeys));

    // A stranger who exports the same lines under a key of the same id.
    let stranger = SigningKey::generate(Uuid::nil(), &SystemEntropy).verifying_key();
    let posing = VerifyingKey::new(keys[0].id(), stranger.bytes()).unwrap();
    let report = check(&file, &[posing]);
    for kind in [FaultKind::Manifest, FaultKind::Checkpoint, FaultKind::Altered] {
        assert!(report.faults.iter().any(|fault| fault.kind == kind), "{kind:?}");
    }
}

#[tokio::test]
async fn a_chain_that_was_broken_in_the_database_is_exported_as_it_is() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let trail = Trail::start(&database, prompt());
    record(&trail, &database, &ada, 12).await;
    database
        .tamper("DELETE FROM audit_records WHERE seq = 5; UPDATE audit_records SET type = 4 WHERE seq = 9")
        .await;
    let mut file = Vec::new();
    let days = DayRange::of(today(&database));
    export(&database.vault, &ada.context, days, &mut file).await.unwrap();
    let report = verify_export(&file[..], &public_keys(&database, &ada).await).unwrap();
    let told: Vec<_> = report.faults.iter().map(|fault| (fault.kind, fault.seq)).collect();
    assert_eq!(
        told,
        [(FaultKind::Gap, Some(6)), (FaultKind::PreviousHash, Some(6)), (FaultKind::Hash, Some(9))]
    );
    let shown = report.faults[2].to_string();
    assert!(shown.contains("record 9") && shown.contains("hash: its hash is not that"), "{shown}");
}
