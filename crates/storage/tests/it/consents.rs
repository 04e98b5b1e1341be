//! Consents: one row for each decision, none ever changed, each with a statement that the tenant signed.

use serde_json::Value;
use stagedoor_domain::{Clock as _, ConsentPurpose, ErrorCode, UserId};
use stagedoor_storage::consents::{self, Decision, NewDecision, Standing};
use stagedoor_storage::{StoreError, signing_keys};

use crate::support::{Database, Inhabited};

pub(crate) fn decision(user: UserId, granted: bool, after: i64) -> NewDecision<'static> {
    NewDecision {
        user,
        purpose: ConsentPurpose::Analytics,
        granted,
        policy_version: "2026-11",
        policy_url: Some("https://example.com/privacy"),
        software: Some("an agent/1"),
        after,
    }
}

async fn current(database: &Database, ada: &Inhabited) -> Vec<Standing> {
    consents::current(&database.vault, &ada.context, ada.user).await.unwrap()
}

fn only(standing: Vec<Standing>) -> Decision {
    let [only] = <[Standing; 1]>::try_from(standing).unwrap();
    only.decision.unwrap()
}

#[tokio::test]
async fn the_last_decision_on_a_purpose_holds_and_the_earlier_ones_stay() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    assert!(current(&database, &ada).await.is_empty());
    let yes = consents::decide(vault, context, decision(ada.user, true, 0)).await.unwrap();
    assert_eq!((yes.number, yes.granted, &*yes.policy_version), (1, true, "2026-11"));
    assert_eq!(yes.decided_at, database.clock.now());
    assert_eq!(only(current(&database, &ada).await), yes);

    let late = consents::decide(vault, context, decision(ada.user, false, 0)).await.unwrap_err();
    assert!(matches!(late, StoreError::Changed(_)), "{late:?}");
    assert_eq!(late.public().code, ErrorCode::Conflict);
    let no = consents::decide(vault, context, decision(ada.user, false, 1)).await.unwrap();
    let marketing = NewDecision { purpose: ConsentPurpose::Marketing, ..decision(ada.user, true, 0) };
    let marketing = consents::decide(vault, context, marketing).await.unwrap();
    let now: Vec<Decision> =
        current(&database, &ada).await.into_iter().map(|standing| standing.decision.unwrap()).collect();
    assert_eq!(now, [no, marketing]);
    assert_eq!(database.tamper("SELECT count(*) FROM consents").await, "3");

    let stranger = UserId::generate(vault.clock(), vault.entropy());
    let nobody = consents::decide(vault, context, decision(stranger, true, 0)).await;
    assert!(matches!(nobody, Err(StoreError::Missing("person"))), "{nobody:?}");
    database.tamper("DELETE FROM users").await;
    assert_eq!(database.tamper("SELECT count(*) FROM consents").await, "0", "they go with the person");
}

#[tokio::test]
async fn of_two_decisions_at_once_one_is_told() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    let [yes, no] =
        [true, false].map(|granted| consents::decide(vault, context, decision(ada.user, granted, 0)));
    let (yes, no) = tokio::join!(yes, no);
    assert_ne!(yes.is_ok(), no.is_ok());
    let won = only(current(&database, &ada).await);
    assert_eq!(Some(&won), yes.as_ref().ok().or(no.as_ref().ok()));
    let lost = yes.err().or(no.err()).unwrap();
    assert!(matches!(lost, StoreError::Changed(_)), "{lost:?}");
}

#[tokio::test]
async fn a_proof_says_all_of_the_decision_and_is_checked_with_the_public_key_alone() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let (vault, context) = (&database.vault, &ada.context);
    let yes = consents::decide(vault, context, decision(ada.user, true, 0)).await.unwrap();
    let keys = vault.store().with_tenant(context, async |tx| signing_keys::public_keys(tx).await);
    let [key] = <[_; 1]>::try_from(keys.await.unwrap()).unwrap();
    assert!(yes.proof.is_signed_by(&key.key));
    let statement: Value = serde_json::from_str(&yes.proof.statement).unwrap();
    assert_eq!(
        statement,
        serde_json::json!({
            "format": "stagedoor/consent/1",
            "tenant": context.tenant_id(),
            "person": ada.user,
            "consent": yes.id,
            "purpose": "analytics",
            "decision": "granted",
            "number": 1,
            "policy_version": "2026-11",
            "policy_url": "https://example.com/privacy",
            "decided_at": yes.decided_at,
            "principal": context.principal().label(),
            "software": "an agent/1",
        })
    );
    let mut other = yes.proof.clone();
    other.statement = other.statement.replace("granted", "withdrawn");
    assert!(!other.is_signed_by(&key.key));
    let theirs = signing_keys::active(vault, &bob.context).await.unwrap();
    assert!(!yes.proof.is_signed_by(&theirs.verifying_key()));
    assert!(!format!("{:?}", yes.proof).contains("analytics"));
}

#[tokio::test]
async fn a_row_that_is_not_what_was_decided_is_no_decision() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    consents::decide(vault, context, decision(ada.user, false, 0)).await.unwrap();
    let clear =
        "SELECT position('stagedoor'::bytea IN proof) + position('withdrawn'::bytea IN proof) FROM consents";
    assert_eq!(database.tamper(clear).await, "0", "its proof lies sealed");
    for (change, back) in [
        ("decision = 'granted'", "decision = 'withdrawn'"),
        ("policy_version = '3'", "policy_version = '2026-11'"),
        ("number = 7", "number = 1"),
        ("purpose = 'marketing'", "purpose = 'analytics'"),
        ("decided_at = decided_at + '1 s'", "decided_at = decided_at - interval '1 s'"),
        ("consent_id = gen_random_uuid()", "consent_id = consent_id"),
    ] {
        database.tamper(&format!("UPDATE consents SET {change}")).await;
        let [standing] = <[Standing; 1]>::try_from(current(&database, &ada).await).unwrap();
        let damage = standing.decision.unwrap_err();
        assert!(matches!(damage, StoreError::Damaged { what: "consent", .. }), "{change}: {damage:?}");
        database.tamper(&format!("UPDATE consents SET {back}")).await;
    }
}

#[tokio::test]
async fn the_gateways_role_can_change_and_delete_none() {
    let database = Database::start().await;
    for sql in ["UPDATE consents SET decision = 'granted'", "DELETE FROM consents"] {
        let mut connection = database.bare("stagedoor_app").await;
        let refused = sqlx::query(sql).execute(&mut connection).await;
        assert!(refused.unwrap_err().to_string().contains("permission denied"), "{sql}");
    }
}
