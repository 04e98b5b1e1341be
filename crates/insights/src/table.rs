//! Rows found by their keys. Keys are digests, so they are their own hashes: what remains of a hash table is to look where a
//! key's first bits say, and behind that.

use crate::identity::Key;

const FREE: Key = 0;

/// Which row a key has.
#[derive(Debug)]
struct Places {
    keys: Vec<Key>,
    rows: Vec<u32>,
    shift: u32,
    taken: usize,
}

impl Default for Places {
    fn default() -> Self {
        Self::of_size(10)
    }
}

impl Places {
    fn of_size(bits: u32) -> Self {
        Self { keys: vec![FREE; 1 << bits], rows: vec![0; 1 << bits], shift: 64 - bits, taken: 0 }
    }

    /// Where a key is, or where it would be.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the shift leaves the bits of a place")]
    fn place(&self, key: Key) -> usize {
        let mask = self.keys.len() - 1;
        let mut place = (key >> self.shift) as usize & mask;
        while self.keys[place] != FREE && self.keys[place] != key {
            place = (place + 1) & mask;
        }
        place
    }

    #[inline]
    fn get(&self, key: Key) -> Option<u32> {
        let place = self.place(key);
        (self.keys[place] != FREE).then(|| self.rows[place])
    }

    /// A key that is not there.
    fn insert(&mut self, key: Key, row: u32) {
        if (self.taken + 1) * 2 > self.keys.len() {
            let mut larger = Self::of_size(64 - self.shift + 1);
            for (key, row) in self.keys.iter().zip(&self.rows).filter(|(key, _)| **key != FREE) {
                larger.insert(*key, *row);
            }
            *self = larger;
        }
        let place = self.place(key);
        (self.keys[place], self.rows[place]) = (key, row);
        self.taken += 1;
    }
}

/// Plays of something, in the period (0) and in the one before it (1).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum {
    pub(crate) plays: [u32; 2],
    /// In the period.
    pub(crate) listened_ms: u64,
}

/// A track, an artist, an album or a genre.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) sum: Sum,
    /// When the first play that is known ended; for tracks.
    pub(crate) first: i64,
    /// When the latest play of the period ended.
    last: i64,
    /// Where that play's name is: which of the months, and which row there.
    pub(crate) name: (u32, u32),
}

/// Rows by key.
#[derive(Debug, Default)]
pub(crate) struct Table {
    places: Places,
    pub(crate) rows: Vec<Row>,
}

impl Table {
    /// The row of a key, if there is one.
    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<usize> {
        self.places.get(key).map(|row| row as usize)
    }

    /// The rows of keys, new ones among them. Keys in their order are found fastest: they are looked for one beside the other.
    pub(crate) fn rows_of(&mut self, keys: impl Iterator<Item = Key>) -> Vec<u32> {
        let row_of = |key| {
            self.places.get(key).unwrap_or_else(|| {
                let number = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
                self.places.insert(key, number);
                self.rows.push(Row { sum: Sum::default(), first: i64::MAX, last: i64::MIN, name: (0, 0) });
                number
            })
        };
        keys.map(row_of).collect()
    }

    /// Adds a sum to a row; its first play ended at `first`, the latest of the period at `last`, with its name at `name`. Names come in their
    /// order, so that of two at one time the later counts.
    #[inline]
    pub(crate) fn add(&mut self, row: u32, sum: Sum, (first, last): (i64, i64), name: (u32, u32)) {
        let row = &mut self.rows[row as usize];
        row.sum.plays[0] += sum.plays[0];
        row.sum.plays[1] += sum.plays[1];
        row.sum.listened_ms += sum.listened_ms;
        row.first = row.first.min(first);
        if sum.plays[0] > 0 && row.last <= last {
            (row.last, row.name) = (last, name);
        }
    }

    /// How many have plays in the period (0) or the one before (1).
    pub(crate) fn played(&self, which: usize) -> u64 {
        self.rows.iter().filter(|row| row.sum.plays[which] > 0).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Keys that crowd in one place, at the end as well.
        #[test]
        fn rows_are_found_by_their_keys(keys in proptest::collection::vec((0_u64..64, 1_u64..200), 0..3_000)) {
            let (mut table, mut known) = (Table::default(), HashMap::new());
            for (high, low) in keys {
                let key = if high % 2 == 0 { u64::MAX - low } else { high << 58 | low };
                prop_assert_eq!(table.get(key), known.get(&key).copied());
                let row = table.rows_of([key].into_iter())[0];
                table.add(row, Sum { plays: [1, 0], listened_ms: 2 }, (0, 0), (0, 0));
                let fresh = known.len();
                prop_assert_eq!(row as usize, *known.entry(key).or_insert(fresh));
            }
            prop_assert_eq!(table.played(0), known.len() as u64);
        }
    }

    #[test]
    fn the_latest_play_names_a_row() {
        let mut table = Table::default();
        let row = table.rows_of([7, 9].into_iter())[0];
        let sum = |plays| Sum { plays, listened_ms: 1 };
        table.add(row, sum([1, 0]), (0, 5), (0, 1));
        table.add(row, sum([1, 0]), (0, 4), (0, 2));
        table.add(row, sum([0, 1]), (0, 9), (0, 3));
        assert_eq!((table.rows[0].name, table.rows[0].sum.plays), ((0, 1), [2, 1]));
        table.add(row, sum([1, 0]), (0, 5), (0, 4));
        assert_eq!(table.rows[0].name, (0, 4));
        assert_eq!((table.played(0), table.played(1)), (1, 1));
    }
}
