//! Envelopes and what they are bound to: whatever is altered, moved, cut or rolled back does not open.

use stagedoor_crypto::mutation;
use stagedoor_testkit::proof::{ProofSize, prove_equal};

#[test]
fn no_mutation_of_an_envelope_or_its_place_opens() {
    let report = mutation::prove(ProofSize::wanted().of(10_000, 100_000), 0x5ea1);
    let name = format!("sessions.envelope_mutations_accepted_of_{}", report.tried);
    prove_equal(&name, report.accepted.len() as u64, 0);
}
