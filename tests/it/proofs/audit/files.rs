//! Random tamperings of an exported file: each is found, and told where it was done. Half of them by someone who signs the
//! file anew afterwards, so that only the chain and its checkpoints can tell.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use stagedoor_audit::verify_export;
use stagedoor_crypto::SigningKey;
use stagedoor_storage::signing_keys;
use stagedoor_testkit::proof::{ProofSize, prove_equal, remark};

use super::edits::Export;
use super::trails::Past;

const SEED: u64 = 0x7a3b;

#[tokio::test(flavor = "multi_thread")]
async fn every_tampering_with_a_file_is_found_and_placed() {
    let tamperings: u64 = ProofSize::wanted().of(1_000, 10_000);
    let past = Past::start().await;
    let [ada, bob] = past.trails(ProofSize::wanted().of(30, 120), SEED).await;
    past.erase(ada.people[0]).await;
    let keys = past.keys(&ada).await;
    let key: SigningKey = signing_keys::active(past.stage.reader(), ada.tenant.context()).await.unwrap();
    let (file, foreign) = (Export::read(&past.export(&ada).await), Export::read(&past.export(&bob).await));

    let clean = verify_export(&file.bytes()[..], &keys).unwrap();
    assert!(clean.is_intact() && clean.erased > 0 && clean.checkpoints > 10, "{clean:?}");
    let anew = verify_export(&file.signed_anew(&key).bytes()[..], &keys).unwrap();
    assert!(anew.is_intact(), "signing anew alone is no tampering: {anew:?}");

    let mut random = StdRng::seed_from_u64(SEED);
    let (mut missed, mut misplaced) = (0_u64, 0_u64);
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for _ in 0..tamperings {
        let tampered = file.tampered(&foreign, &mut random);
        let insider = tampered.what != "truncate" && random.random_bool(0.5);
        let altered = if insider { tampered.file.signed_anew(&key) } else { tampered.file.clone() };
        *kinds.entry(tampered.what).or_default() += 1;
        let report = verify_export(&altered.bytes()[..], &keys).unwrap();
        let told = tampered.places.iter().all(|place| place.is_told(&report));
        missed += u64::from(report.is_intact());
        misplaced += u64::from(!told);
        if !told {
            let faults = &report.faults[..report.faults.len().min(5)];
            remark(format_args!(
                "{} (signed anew: {insider}): {:?}: {faults:?}",
                tampered.what, tampered.places
            ));
        }
    }
    remark(format_args!("{kinds:?}"));
    prove_equal("audit.file_tamperings_not_found", missed, 0);
    prove_equal("audit.file_tamperings_not_placed", misplaced, 0);
    prove_equal("audit.file_tamperings_tried", kinds.values().sum(), tamperings);
}
