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
    pub(crate) fn new(
        tenant: TenantId,
        keys: Vec<VerifyingKey>,
        span: Option<(i64, i64)>,
        anchor: Option<[u8; 32]>,
    ) -> Self {
        let next = span.map_or(1, |(first, _)| first);
        let digest = anchor.or_else(|| (next == 1).then(|| Checkpoint::genesis(tenant)));
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
