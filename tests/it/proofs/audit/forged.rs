//! Forgeries of the stored trail by someone who has no private key of the tenant: a record is changed, every hash after it
//! computed anew, a public key slipped in among the tenant's, and every checkpoint since signed with its other half. Keys
//! that were kept elsewhere tell, and so does the archive.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use stagedoor_audit::{FaultKind, verify_stored, verify_stored_against};
use stagedoor_crypto::digest::sha256;
use stagedoor_crypto::{SigningKey, SystemEntropy};
use stagedoor_testkit::proof::{ProofSize, prove_equal, remark};
use uuid::Uuid;

use super::edits::Place;
use super::forging::hex;
use super::stored::{Chosen, Known, each_table, keep, known};
use super::trails::Past;

const SEED: u64 = 0xf0_4d;

#[tokio::test(flavor = "multi_thread")]
async fn a_trail_signed_with_a_key_that_was_slipped_in_is_found() {
    let forgeries: u64 = ProofSize::wanted().of(10, 200);
    let past = Past::start().await;
    let [ada, bob] = past.trails(ProofSize::wanted().of(24, 60), SEED).await;
    let known = known(&past, &ada, &bob).await;
    let keys = past.keys(&ada).await;
    let (vault, context, days) = (past.stage.reader(), ada.tenant.context(), past.days());
    keep(&past.stage).await;
    let mut random = StdRng::seed_from_u64(SEED);
    let (mut missed, mut misplaced, mut archive_missed) = (0_u64, 0_u64, 0_u64);
    for _ in 0..forgeries {
        let (day, seq) = *known.records.choose(&mut random).unwrap();
        let tampering = Chosen { known: &known, day, seq }.computed_anew();
        past.stage.sql(&tampering.sql).await;
        let Place::Checkpoint { number, .. } = tampering.place else { unreachable!() };
        let forger = SigningKey::generate(Uuid::from_u128(0xf0), &SystemEntropy);
        sign_anew(&past, &known, number, &forger).await;

        let trusting = verify_stored(vault, context, days, None).await.unwrap();
        assert!(trusting.is_intact(), "the forgery is as good as can be: {trusting:?}");
        let report = verify_stored_against(vault, context, days, &keys, None).await.unwrap();
        missed += u64::from(!report.faults.iter().any(|fault| fault.kind == FaultKind::Key));
        if !tampering.place.is_told(&report) {
            misplaced += 1;
            remark(format_args!("{:?}: {:?}", tampering.place, report.faults));
        }
        let archived = verify_stored(vault, context, days, Some(&past.archive())).await.unwrap();
        archive_missed += u64::from(!tampering.place.is_told(&archived));
        let put_back = each_table("DELETE FROM {}; INSERT INTO {} SELECT * FROM kept.{}");
        past.stage
            .sql(&format!("DELETE FROM signing_keys WHERE key_id = '{}'; {put_back}", forger.id()))
            .await;
    }
    past.stage.sql("DROP SCHEMA kept CASCADE").await;
    prove_equal("audit.slipped_in_keys_not_found_by_kept_ones", missed, 0);
    prove_equal("audit.forgeries_not_placed_by_kept_keys", misplaced, 0);
    prove_equal("audit.forgeries_not_placed_by_the_archive", archive_missed, 0);
}

/// Signs every checkpoint from `first` on over what the chains have now, and makes the key one of the tenant's.
async fn sign_anew(past: &Past, known: &Known, first: i64, forger: &SigningKey) {
    let tenant = &known.tenant;
    let list = format!(
        "SELECT c.number, c.day, c.seq, encode(r.hash, 'hex'), encode(c.previous_digest, 'hex'),
            (extract(epoch FROM c.signed_at) * 1000000)::bigint
        FROM audit_checkpoints c JOIN audit_records r USING (tenant_id, day, seq)
        WHERE c.tenant_id = '{tenant}' AND c.number >= {first} ORDER BY c.number"
    );
    let (mut statements, mut digest) = (Vec::new(), None::<[u8; 32]>);
    for line in past.stage.sql(&list).await.lines() {
        let columns: Vec<&str> = line.split('|').collect();
        let [number, day, seq, hash, previous, signed_at] = columns[..] else { panic!("{line}") };
        let previous = digest.map_or_else(|| bytes(previous), |digest| digest.to_vec());
        let integer = |text: &str| text.parse::<i64>().unwrap().to_be_bytes();
        let message = [
            b"stagedoor/audit-checkpoint/1",
            &Uuid::parse_str(tenant).unwrap().as_bytes()[..],
            day.as_bytes(),
            &integer(seq),
            &bytes(hash),
            &integer(number),
            &previous,
            &integer(signed_at),
            forger.id().as_bytes(),
        ]
        .concat();
        let signature = forger.sign(&message);
        digest = Some(sha256(&[&message, &signature]));
        statements.push(format!(
            "UPDATE audit_checkpoints SET hash = '\\x{hash}', previous_digest = '\\x{}', signing_key_id = '{}',
                signature = '\\x{}' WHERE tenant_id = '{tenant}' AND number = {number}",
            hex(&previous),
            forger.id(),
            hex(&signature)
        ));
    }
    let digest = hex(&digest.expect("the last checkpoint covers every record"));
    statements.push(format!(
        "UPDATE audit_checkpoint_heads SET digest = '\\x{digest}' WHERE tenant_id = '{tenant}'"
    ));
    statements.push(format!(
        "INSERT INTO signing_keys (tenant_id, key_id, state, public_key, private_key, created_at)
        VALUES ('{tenant}', '{}', 'destroyed', '\\x{}', NULL, now())",
        forger.id(),
        hex(forger.verifying_key().bytes())
    ));
    past.stage.sql(&statements.join(";\n")).await;
}

fn bytes(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
