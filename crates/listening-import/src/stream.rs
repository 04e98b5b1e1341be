//! A part as a stream: one JSON array, entry by entry, none of them longer than is read at once.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};

use serde::de::{DeserializeSeed, SeqAccess, Visitor};
use serde_json::{Deserializer, Value};

use crate::archive::Part;
use crate::entries::{self, Entry};
use crate::{BATCH, Batch, Form, ImportError};

pub(crate) fn read<E: From<ImportError>>(
    reader: impl Read,
    part: &Part,
    done: u64,
    entry_limit: u64,
    each: impl FnMut(Batch) -> Result<(), E>,
) -> Result<(), E> {
    let left = Cell::new(entry_limit);
    let mut failure = None;
    let mut entries = 0;
    let mut deserializer = Deserializer::from_reader(Bounded { reader, left: &left });
    let walk = Walk {
        form: part.form,
        done,
        renew: || left.set(entry_limit),
        each,
        failure: &mut failure,
        entries: &mut entries,
    };
    let walked = walk.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    if let Some(failure) = failure {
        return Err(failure);
    }
    walked.map_err(|problem| {
        let part = part.name.clone();
        ImportError::Damaged { part, entries, problem: problem.to_string() }.into()
    })
}

/// Ends a read with an error once one entry is longer than is read at once.
struct Bounded<'a, R> {
    reader: R,
    left: &'a Cell<u64>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left.get()).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 && !buffer.is_empty() {
            return Err(io::Error::other("an entry is longer than any that the service writes"));
        }
        let read = self.reader.read(&mut buffer[..most])?;
        self.left.set(self.left.get() - read as u64);
        Ok(read)
    }
}

/// Goes through the array.
struct Walk<'a, E, F, N> {
    form: Form,
    done: u64,
    renew: N,
    each: F,
    failure: &'a mut Option<E>,
    entries: &'a mut u64,
}

impl<'de, E, F, N> DeserializeSeed<'de> for Walk<'_, E, F, N>
where
    E: From<ImportError>,
    F: FnMut(Batch) -> Result<(), E>,
    N: Fn(),
{
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, E, F, N> Visitor<'de> for Walk<'_, E, F, N>
where
    E: From<ImportError>,
    F: FnMut(Batch) -> Result<(), E>,
    N: Fn(),
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        let mut batch = Batch::default();
        while let Some(entry) = entries.next_element::<Value>()? {
            (self.renew)();
            *self.entries += 1;
            if *self.entries <= self.done {
                continue;
            }
            match entries::read(self.form, entry) {
                Entry::Play(play) => {
                    // What ends in one minute stays together.
                    let goes_on = batch.plays.last().is_none_or(|last| {
                        batch.plays.len() < BATCH
                            || (last.ended_at.timestamp() / 60 == play.ended_at.timestamp() / 60
                                && batch.plays.len() < 2 * BATCH)
                    });
                    if !goes_on {
                        batch.entries = *self.entries - 1;
                        self.hand_over::<A::Error>(std::mem::take(&mut batch))?;
                    }
                    batch.plays.push(play);
                }
                Entry::Other => batch.other += 1,
                Entry::Malformed => batch.malformed += 1,
            }
        }
        batch.entries = *self.entries;
        self.hand_over(batch)
    }
}

impl<E, F, N> Walk<'_, E, F, N>
where
    F: FnMut(Batch) -> Result<(), E>,
{
    fn hand_over<X: serde::de::Error>(&mut self, batch: Batch) -> Result<(), X> {
        (self.each)(batch).map_err(|error| {
            *self.failure = Some(error);
            X::custom("stopped")
        })
    }
}
