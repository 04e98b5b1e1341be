//! The check of a tenant's line of checkpoints: every number once, each following the one before it. They come in
//! the order of days, which around midnight is not quite that of their numbers.

use std::collections::BTreeMap;

use stagedoor_crypto::VerifyingKey;
use stagedoor_domain::TenantId;

use super::Checkpoint;
use crate::report::FaultKind;

/// Missing numbers that are told one by one.
const TOLD: usize = 1_000;

/// How far the check has come.
pub(crate) struct CheckpointLine {
    tenant: TenantId,
    keys: Vec<VerifyingKey>,
    span: Option<(i64, i64)>,
    /// The number that is wanted next, and the digest that it follows if the one before it is known.
    next: i64,
    digest: Option<[u8; 32]>,
    /// Those that came before their turn: what they follow, and their digests.
    early: BTreeMap<i64, ([u8; 32], [u8; 32])>,
    /// Those that came and did not follow; told at the end.
    astray: Vec<i64>,
}

impl CheckpointLine {
    pub(crate) fn new(tenant: TenantId, keys: Vec<VerifyingKey>, span: Option<(i64, i64)>) -> Self {
        let next = span.map_or(1, |(first, _)| first);
        let digest = (next == 1).then(|| Checkpoint::genesis(tenant));
        Self { tenant, keys, span, next, digest, early: BTreeMap::new(), astray: Vec::new() }
    }

    /// What is wrong with a checkpoint by itself. Whether it follows may show later.
    pub(crate) fn add(&mut self, checkpoint: &Checkpoint) -> Vec<FaultKind> {
        let mut faults = Vec::new();
        if checkpoint.tenant != self.tenant {
            faults.push(FaultKind::Foreign);
        }
        if !checkpoint.is_signed(&self.keys) {
            // It takes no place in the line, so that a file full of them takes no memory.
            faults.push(FaultKind::Checkpoint);
            return faults;
        }
        let number = checkpoint.number;
        let wanted = self.span.is_some_and(|(first, last)| (first..=last).contains(&number));
        if !wanted || number < self.next || self.early.contains_key(&number) {
            faults.push(FaultKind::CheckpointChain);
            return faults;
        }
        self.early.insert(number, (checkpoint.previous_digest, checkpoint.digest()));
        while let Some((previous, digest)) = self.early.remove(&self.next) {
            if self.digest.is_some_and(|expected| expected != previous) && self.astray.len() < TOLD {
                self.astray.push(self.next);
            }
            self.digest = Some(digest);
            self.next += 1;
        }
        faults
    }

    /// The numbers that are missing or do not follow, the first ones of many.
    pub(crate) fn end(mut self) -> Vec<i64> {
        let mut wrong = std::mem::take(&mut self.astray);
        let last = self.span.map_or(0, |(_, last)| last);
        while self.next <= last && wrong.len() < TOLD {
            match self.early.remove(&self.next) {
                None => {
                    wrong.push(self.next);
                    self.digest = None;
                }
                Some((previous, digest)) => {
                    if self.digest.is_some_and(|expected| expected != previous) {
                        wrong.push(self.next);
                    }
                    self.digest = Some(digest);
                }
            }
            self.next += 1;
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use stagedoor_crypto::{SigningKey, SystemEntropy};
    use uuid::Uuid;

    use super::*;

    const TENANT: TenantId = TenantId(Uuid::from_u128(1));
    const NONE: [i64; 0] = [];

    fn checkpoints(key: &SigningKey, count: i64) -> Vec<Checkpoint> {
        let mut previous_digest = Checkpoint::genesis(TENANT);
        let checkpoint = |number| {
            let checkpoint = Checkpoint {
                tenant: TENANT,
                day: "2026-11-22".parse().unwrap(),
                seq: number,
                hash: [7; 32],
                number,
                previous_digest,
                signed_at: 0,
                key_id: key.id(),
                signature: [0; 64],
            };
            let signed = checkpoint.signed(key);
            previous_digest = signed.digest();
            signed
        };
        (1..=count).map(checkpoint).collect()
    }

    fn missing(key: &SigningKey, span: (i64, i64), those: &[&Checkpoint]) -> Vec<i64> {
        let mut line = CheckpointLine::new(TENANT, vec![key.verifying_key()], Some(span));
        for one in those {
            assert_eq!(line.add(one), []);
        }
        line.end()
    }

    #[test]
    fn a_line_may_come_in_another_order_but_not_with_gaps() {
        let key = SigningKey::generate(Uuid::from_u128(2), &SystemEntropy);
        let all = checkpoints(&key, 5);
        let [one, two, three, four, five] = &all[..] else { panic!("five") };
        assert_eq!(missing(&key, (1, 5), &[one, two, three, four, five]), NONE);
        assert_eq!(missing(&key, (1, 5), &[one, three, five, two, four]), NONE);
        assert_eq!(missing(&key, (2, 4), &[four, three, two]), NONE, "what the second follows is not known");
        assert_eq!(missing(&key, (1, 5), &[one, three, five, two]), [4]);
        assert_eq!(missing(&key, (1, 5), &[two, three]), [1, 4, 5]);
        assert_eq!(missing(&key, (1, 3), &[]), [1, 2, 3]);
        let other = checkpoints(&key, 5);
        assert_eq!(other[1], *two, "signatures are made without randomness");
        let astray = Checkpoint { seq: 9, ..three.clone() }.signed(&key);
        assert_eq!(missing(&key, (1, 5), &[one, two, &astray, four, five]), [4]);
        assert_eq!(missing(&key, (1, i64::MAX), &[one]).len(), TOLD);
    }

    #[test]
    fn what_is_doubled_foreign_or_unsigned_is_told() {
        let key = SigningKey::generate(Uuid::from_u128(2), &SystemEntropy);
        let all = checkpoints(&key, 2);
        let mut line = CheckpointLine::new(TENANT, vec![key.verifying_key()], Some((1, 2)));
        assert_eq!(line.add(&all[1]), []);
        assert_eq!(line.add(&all[1]), [FaultKind::CheckpointChain]);
        assert_eq!(
            line.add(&Checkpoint { number: 3, ..all[1].clone() }.signed(&key)),
            [FaultKind::CheckpointChain]
        );
        assert_eq!(line.add(&Checkpoint { seq: 3, ..all[0].clone() }), [FaultKind::Checkpoint]);
        let foreign = Checkpoint { tenant: TenantId(Uuid::from_u128(9)), ..all[0].clone() };
        assert_eq!(line.add(&foreign), [FaultKind::Foreign, FaultKind::Checkpoint]);
        assert_eq!(line.add(&all[0]), []);
        assert_eq!(line.add(&all[0]), [FaultKind::CheckpointChain]);
        assert_eq!(line.end(), NONE);
    }
}
