//! `stagedoor audit` as operators use it: searching, taking a part away, checking it anywhere; and the keys for anyone.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use stagedoor_testkit::{Finished, Inhabited, Stage, TestGateway};

use crate::music;

/// A tenant with some records of each kind.
async fn with_records<'a>(stage: &'a Stage, gateway: &TestGateway, slug: &str) -> Inhabited<'a> {
    let inhabited = stage.inhabit(slug).await;
    let client = music::client(gateway, &inhabited);
    for name in ["One", "Two", "Three"] {
        client.call("accounts_list", json!({})).await;
        client.call("playlist_create", json!({ "name": name, "provider": "spotify" })).await;
    }
    gateway.flush_audit().await;
    inhabited
}

async fn run(stage: &Stage, arguments: &[&str], code: i32) -> Finished {
    let finished = stage.run(&[&["audit"], arguments].concat()).await;
    assert_eq!(finished.code, Some(code), "{arguments:?}: {}{}", finished.output, finished.said);
    finished
}

/// An export of a tenant and its keys, as files.
async fn exported(stage: &Stage, slug: &str) -> (PathBuf, PathBuf) {
    let (file, keys) =
        (stage.folder().join(format!("{slug}.jsonl")), stage.folder().join(format!("{slug}.json")));
    run(stage, &["export", "--tenant", slug, "--file", text(&file)], 0).await;
    std::fs::write(&keys, run(stage, &["keys", "--tenant", slug], 0).await.output).unwrap();
    (file, keys)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn sum(finished: &Finished) -> Value {
    finished.lines().pop().unwrap_or_else(|| panic!("{finished:?}"))
}

/// The export with one of its records changed, as an attacker would who has no key.
fn damage(file: &Path) -> (PathBuf, Value) {
    let export = std::fs::read_to_string(file).unwrap();
    let line = export.lines().find(|line| line.contains("playlist_create")).unwrap();
    let damaged = export.replacen(line, &line.replace("playlist_create", "playlist_delete"), 1);
    let path = file.with_extension("damaged");
    std::fs::write(&path, damaged).unwrap();
    let record: Value = serde_json::from_str(line).unwrap();
    (path, record["record"].clone())
}

#[tokio::test]
async fn an_export_is_checked_with_nothing_but_its_keys() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    with_records(&stage, &gateway, "ada").await;
    with_records(&stage, &gateway, "bob").await;
    let (file, keys) = exported(&stage, "ada").await;

    let verify = |file: &Path, keys: &Path| {
        ["audit", "verify", text(file), "--public-key", text(keys), "--output", "json"].map(str::to_owned)
    };
    let clean = offline(&stage, &verify(&file, &keys)).await;
    assert_eq!(clean.code, Some(0), "{}{}", clean.output, clean.said);
    // Nine of the calls, and the opening of the export itself.
    assert_eq!((sum(&clean)["records"].as_u64(), sum(&clean)["intact"].as_bool()), (Some(10), Some(true)));

    let (damaged, record) = damage(&file);
    let found = offline(&stage, &verify(&damaged, &keys)).await;
    assert_eq!(found.code, Some(1), "{}{}", found.output, found.said);
    let there = |fault: &Value| {
        fault["kind"] == "payload" && fault["seq"] == record["seq"] && fault["day"] == record["day"]
    };
    assert!(found.lines().iter().any(there), "{}", found.output);

    let (_, foreign) = exported(&stage, "bob").await;
    assert_eq!(offline(&stage, &verify(&file, &foreign)).await.code, Some(1), "another tenant's keys");
    let cannot = [verify(&stage.folder().join("absent"), &keys), verify(&keys, &keys), verify(&file, &file)];
    for arguments in cannot {
        let ended = offline(&stage, &arguments).await;
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.said);
        assert!(!ended.said.is_empty());
    }
    let again = run(&stage, &["export", "--tenant", "ada", "--file", text(&file)], 2).await;
    assert!(again.said.contains("exists"), "an export never replaces a file: {}", again.said);
}

/// Runs the program with none of the stage's settings.
async fn offline(stage: &Stage, arguments: &[String]) -> Finished {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let nothing = [
        ("STAGEDOOR_STORAGE__DATABASE_URL", String::new()),
        ("STAGEDOOR_ENCRYPTION__KEY_FILE", String::new()),
        ("STAGEDOOR_ENCRYPTION__API_KEY_PEPPER_FILE", String::new()),
    ];
    stage.begin(&arguments, &nothing).finished().await
}

#[tokio::test]
async fn commands_find_records_and_are_found_themselves() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = with_records(&stage, &gateway, "ada").await;
    let user = ada.user.to_string();
    let found = run(
        &stage,
        &[
            "query",
            "--tenant",
            "ada",
            "--user",
            &user,
            "--action",
            "playlist_create",
            "--outcome",
            "ok",
            "--output",
            "json",
        ],
        0,
    )
    .await;
    let lines = found.lines();
    assert_eq!((lines.len(), sum(&found)["records"].as_u64()), (4, Some(3)), "{}", found.output);
    assert!(lines[..3].iter().all(|line| line["event"]["record"] == "closed"), "{}", found.output);

    let page = run(&stage, &["query", "--tenant", "ada", "--limit", "2", "--output", "json"], 0).await;
    let cursor = sum(&page)["next_cursor"].as_str().unwrap().to_owned();
    let rest = run(&stage, &["query", "--tenant", "ada", "--cursor", &cursor, "--limit", "0"], 0).await;
    assert!(
        rest.output.contains("playlist_create") && rest.output.contains("accounts_list"),
        "{}",
        rest.output
    );

    run(&stage, &["verify", "--tenant", "ada"], 0).await;
    let trail = ada.tenant.audit_trail().await;
    let of = |action: &str, kind: i16| {
        let fits = |json: &Value| json["action"] == action && json["principal"] == "job:audit_command";
        trail.iter().filter(|view| view.record.kind == kind && view.json().as_ref().is_some_and(fits)).count()
    };
    assert_eq!((of("audit_read", 1), of("audit_read", 2)), (4, 4), "each look, before and after");
    let about =
        trail.iter().filter_map(stagedoor_audit::AuditView::json).find(|json| json["action"] == "audit_read");
    let question = format!("person={user} action=playlist_create outcome=ok");
    assert_eq!(about.unwrap()["resource"], json!({ "type": "audit_filter", "id": question }));

    let nobody = run(&stage, &["query", "--tenant", "nobody"], 2).await;
    assert!(nobody.said.contains("there is no tenant nobody"), "{}", nobody.said);
    let by_id = run(&stage, &["query", "--tenant", &ada.tenant.id(), "--limit", "1"], 0).await;
    assert!(by_id.output.contains("audit_read"), "{}", by_id.output);
}

#[tokio::test]
async fn a_cut_end_is_found_by_the_archive() {
    let stage = Stage::start().await;
    let archive = format!("file://{}/checkpoints", stage.folder().display());
    let gateway = TestGateway::start(&stage).await;
    let ada = with_records(&stage, &gateway, "ada").await;
    let place = [("STAGEDOOR_AUDIT__CHECKPOINT_URL", archive)];
    let audit =
        async |arguments: &[&str]| stage.begin(&[&["audit"], arguments].concat(), &place).finished().await;
    let sealed = audit(&["checkpoint", "--tenant", "ada", "--output", "json"]).await;
    assert_eq!((sealed.code, sum(&sealed)["checkpoints"].as_u64()), (Some(0), Some(1)), "{}", sealed.said);
    let again = audit(&["checkpoint", "--tenant", "ada", "--output", "json"]).await;
    assert_eq!(sum(&again)["checkpoints"], 0, "nothing grew: {}", again.output);
    assert_eq!(audit(&["verify", "--tenant", "ada"]).await.code, Some(0));

    let which = format!("tenant_id = '{}'", ada.tenant.id());
    stage
        .sql(&format!(
            "DELETE FROM audit_records WHERE {which}; DELETE FROM audit_payloads WHERE {which};
            DELETE FROM audit_chain_heads WHERE {which}; DELETE FROM audit_checkpoints WHERE {which};
            DELETE FROM audit_checkpoint_heads WHERE {which}"
        ))
        .await;
    let without = run(&stage, &["verify", "--tenant", "ada"], 0).await;
    assert!(without.output.contains("intact: "), "the database alone cannot tell: {}", without.output);
    let found = audit(&["verify", "--tenant", "ada", "--output", "json"]).await;
    assert_eq!(found.code, Some(1), "{}{}", found.output, found.said);
    let archived = |fault: &Value| fault["kind"] == "archive" && fault["checkpoint"] == 1;
    assert!(found.lines().iter().any(archived), "{}", found.output);
}

#[tokio::test]
async fn a_key_that_was_slipped_in_is_told_by_those_that_were_kept() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = with_records(&stage, &gateway, "ada").await;
    let (_, keys) = exported(&stage, "ada").await;
    let verify = ["verify", "--tenant", "ada", "--public-key", text(&keys), "--output", "json"];
    assert_eq!(sum(&run(&stage, &verify, 0).await)["keys"].as_array().unwrap().len(), 1);
    let slipped =
        stagedoor_crypto::SigningKey::generate(uuid::Uuid::from_u128(7), &stagedoor_crypto::SystemEntropy);
    let public: Vec<String> =
        slipped.verifying_key().bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let public = public.concat();
    stage
        .sql(&format!(
            "INSERT INTO signing_keys (tenant_id, key_id, state, public_key, private_key, created_at)
            VALUES ('{}', '{}', 'destroyed', '\\x{public}', NULL, now())",
            ada.tenant.id(),
            slipped.id()
        ))
        .await;
    let trusting = run(&stage, &["verify", "--tenant", "ada"], 0).await;
    assert!(
        trusting.output.contains(&slipped.id().to_string()),
        "what was trusted is said: {}",
        trusting.output
    );
    let found = run(&stage, &verify, 1).await;
    let told = |fault: &Value| fault["kind"] == "key" && fault["key"] == slipped.id().to_string();
    assert!(found.lines().iter().any(told), "{}", found.output);
}

#[tokio::test]
async fn anyone_gets_the_public_keys_and_nobody_learns_which_tenants_there_are() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    with_records(&stage, &gateway, "ada").await;
    run(&stage, &["checkpoint", "--tenant", "ada"], 0).await;
    let own: Value =
        serde_json::from_str(&run(&stage, &["keys", "--tenant", "ada"], 0).await.output).unwrap();

    let mut forms = Vec::new();
    for slug in ["ada", "nobody", "someone-else"] {
        let address = gateway.address();
        let url = format!("http://{address}/t/{slug}/.well-known/signing-keys");
        let answer = reqwest::Client::builder().no_proxy().build().unwrap().get(&url).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{slug}");
        assert_eq!(answer.headers()["cache-control"], "public, max-age=300");
        let mut names: Vec<String> = answer.headers().keys().map(ToString::to_string).collect();
        names.sort();
        let body = answer.text().await.unwrap();
        let keys: Value = serde_json::from_str(&body).unwrap();
        let again = reqwest::Client::builder().no_proxy().build().unwrap().get(&url).send().await.unwrap();
        assert_eq!(again.text().await.unwrap(), body, "{slug}: the same each time");
        if slug == "ada" {
            assert_eq!(keys, own);
        } else {
            assert_ne!(keys, own);
        }
        let members: Vec<String> = keys["keys"][0].as_object().unwrap().keys().cloned().collect();
        forms.push((names, keys["keys"].as_array().unwrap().len(), members, body.len()));
    }
    assert!(forms.iter().all(|form| *form == forms[0]), "they can be told apart: {forms:?}");
}

/// `tests/audit/run.sh` runs this with a Python that has `cryptography`.
#[tokio::test]
#[ignore = "needs STAGEDOOR_AUDIT_PYTHON, see tests/audit/run.sh"]
async fn a_verifier_by_other_hands_agrees() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = with_records(&stage, &gateway, "ada").await;
    with_records(&stage, &gateway, "bob").await;
    let erase = format!(
        "UPDATE audit_payloads SET user_id = NULL, sealed = '\\x' WHERE bundle_id IN (SELECT bundle_id
            FROM audit_records WHERE tenant_id = '{}' AND seq = 1)",
        ada.tenant.id()
    );
    stage.sql(&erase).await;
    let (file, keys) = exported(&stage, "ada").await;
    let (_, foreign) = exported(&stage, "bob").await;
    let (damaged, record) = damage(&file);
    let clean = python(&file, &keys);
    assert_eq!(clean.0, Some(0), "{}", clean.1);
    assert!(clean.1.contains("\"records\": 10") && clean.1.contains("\"erased\": 1"), "{}", clean.1);
    let found = python(&damaged, &keys);
    assert_eq!(found.0, Some(1), "{}", found.1);
    assert!(found.1.contains(&format!("\"seq\": {}", record["seq"])), "{}", found.1);
    assert_eq!(python(&file, &foreign).0, Some(1));
    // Whatever is cut out, doubled or moved, both verifiers find something.
    let export = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = export.lines().collect();
    for at in 1..lines.len() {
        let mut without = lines.clone();
        without.remove(at);
        let mut doubled = lines.clone();
        doubled.insert(at, lines[at]);
        for changed in [without, doubled, lines[..at].to_vec()] {
            std::fs::write(&damaged, changed.join("\n") + "\n").unwrap();
            assert_eq!(python(&damaged, &keys).0, Some(1), "line {}", at + 1);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own switch, not configuration of a service")]
fn python(file: &Path, keys: &Path) -> (Option<i32>, String) {
    let python =
        std::env::var("STAGEDOOR_AUDIT_PYTHON").expect("tests/audit/run.sh sets STAGEDOOR_AUDIT_PYTHON");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/audit/verify.py");
    let ended = std::process::Command::new(python).arg(script).arg(file).arg(keys).output().unwrap();
    (
        ended.status.code(),
        String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr),
    )
}
