//! What a restore came to, table by table.

use super::error::Loss;
use super::rows::RowOutcome;

/// What became of the rows of one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows that the backup has of what was asked for.
    pub given: u64,
    /// They are back.
    pub inserted: u64,
    /// They are in the place of others with their keys.
    pub replaced: u64,
    /// They were there already.
    pub same: u64,
    /// Others with their keys are there and stay; or what must not come back a second time.
    pub kept: u64,
    /// They are about someone who was erased, and stay away.
    pub erased: u64,
    /// They cannot come back.
    pub lost: u64,
    /// Of those that are back: they are not to the byte what they were, because someone was erased, or another key
    /// seals by now.
    pub changed: u64,
}

impl Tally {
    pub(super) fn add(&mut self, outcome: RowOutcome) {
        let count = match outcome {
            RowOutcome::Inserted => &mut self.inserted,
            RowOutcome::Replaced => &mut self.replaced,
            RowOutcome::Same => &mut self.same,
            RowOutcome::Kept => &mut self.kept,
            RowOutcome::Erased => &mut self.erased,
            RowOutcome::Clash | RowOutcome::Orphan => &mut self.lost,
        };
        *count += 1;
    }

    /// Whether the table holds exactly what the backup does, of what was asked for.
    pub fn is_whole(&self) -> bool {
        self.inserted + self.same == self.given && self.changed == 0
    }
}

/// What was put back, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// The tables, in the order in which they were first met.
    pub tables: Vec<(&'static str, Tally)>,
    /// Rows that did not come back.
    pub losses: Vec<Loss>,
    /// People of the backup who stay away.
    pub people_erased: u64,
    /// People whose erasure begins again, because they were there in spite of a tombstone.
    pub erased_again: u64,
    /// Records of the audit trail that are missing from days that came back.
    pub records_missing: u64,
}

impl Restored {
    /// The tally of a table.
    pub fn table(&self, name: &str) -> Tally {
        self.tables.iter().find(|(table, _)| *table == name).map(|(_, tally)| *tally).unwrap_or_default()
    }

    /// The sum over all tables.
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        for (_, tally) in &self.tables {
            total.given += tally.given;
            total.inserted += tally.inserted;
            total.replaced += tally.replaced;
            total.same += tally.same;
            total.kept += tally.kept;
            total.erased += tally.erased;
            total.lost += tally.lost;
            total.changed += tally.changed;
        }
        total
    }

    pub(super) fn tally(&mut self, table: &'static str) -> &mut Tally {
        let place = self.tables.iter().position(|(known, _)| *known == table).unwrap_or_else(|| {
            self.tables.push((table, Tally::default()));
            self.tables.len() - 1
        });
        &mut self.tables[place].1
    }
}
