//! Holding the lines of a file against its marks, by which a line that was altered is named.

use std::collections::HashSet;

use chrono::NaiveDate;
use stagedoor_crypto::VerifyingKey;

use super::MARK_EVERY;
use super::lines::{LineDigest, Mark, line_digest};
use crate::report::{AuditFault, FaultKind};

/// Lines that are remembered without a mark.
const MOST: usize = 4 * MARK_EVERY;

/// Where a line is, as far as it says so.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) day: Option<NaiveDate>,
    pub(crate) seq: Option<i64>,
    pub(crate) checkpoint: Option<i64>,
}

/// The lines since the last mark.
pub(crate) struct Marks<'a> {
    header: [u8; 32],
    keys: &'a [VerifyingKey],
    lines: Vec<(LineDigest, Place)>,
    opened: u64,
    refused: u64,
}

impl<'a> Marks<'a> {
    /// For a file with that header, whose marks one of `keys` signed.
    pub(crate) fn new(header: [u8; 32], keys: &'a [VerifyingKey]) -> Self {
        Self { header, keys, lines: Vec::with_capacity(MARK_EVERY), opened: 0, refused: 0 }
    }

    /// A line that a mark is to follow.
    pub(crate) fn line(&mut self, line: &[u8], place: Place) -> Option<AuditFault> {
        let unmarked = (self.lines.len() == MOST).then(|| altered(self.lines[0].1));
        if unmarked.is_some() {
            self.lines.clear();
        }
        self.lines.push((line_digest(line), place));
        unmarked
    }

    /// A mark, and the lines that are not those that it was made for.
    pub(crate) fn mark(&mut self, mark: &Mark, line: u64) -> Vec<AuditFault> {
        let lines = std::mem::take(&mut self.lines);
        let of_mark = Place { line, ..Place::default() };
        let Some(signed) = mark.open(&self.header, self.keys) else {
            self.refused += 1;
            return vec![altered(of_mark)];
        };
        self.opened += 1;
        let here: Vec<LineDigest> = lines.iter().map(|(digest, _)| *digest).collect();
        if here == signed {
            return Vec::new();
        }
        if let Some(unmarked) = here.strip_suffix(&signed[..]) {
            // The mark of those before these is missing.
            return vec![altered(lines.get(unmarked.len()).map_or(of_mark, |(_, place)| *place))];
        }
        let known: HashSet<&LineDigest> = signed.iter().collect();
        let mut faults: Vec<AuditFault> = lines
            .iter()
            .filter(|(digest, _)| !known.contains(digest))
            .map(|(_, place)| altered(*place))
            .collect();
        if faults.is_empty() {
            // Lines are missing, doubled or in another order: it shows from here on.
            let same = here.iter().zip(&signed).take_while(|(here, signed)| here == signed).count();
            faults.push(altered(lines.get(same).map_or(of_mark, |(_, place)| *place)));
        }
        faults
    }

    /// The end of the file.
    pub(crate) fn end(self) -> Vec<AuditFault> {
        // The mark that is missing stood behind them.
        let unmarked = self.lines.last().map(|(_, place)| altered(Place { line: place.line + 1, ..*place }));
        // Marks are bound to the header.
        let header =
            (self.opened == 0 && self.refused > 0).then(|| altered(Place { line: 1, ..Place::default() }));
        unmarked.into_iter().chain(header).collect()
    }
}

impl Place {
    pub(crate) fn fault(self, kind: FaultKind) -> AuditFault {
        let Self { line, day, seq, checkpoint } = self;
        AuditFault { day, seq, checkpoint, line: Some(line), ..AuditFault::new(kind) }
    }
}

fn altered(place: Place) -> AuditFault {
    place.fault(FaultKind::Altered)
}
