//! Tamperings of an exported file: what an attacker may do to its lines, and where a check has to see it.

use chrono::NaiveDate;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::Value;
use serde_json::value::RawValue;
use stagedoor_audit::{AuditFault, FaultKind, VerificationReport};
use stagedoor_crypto::digest::sha256;
use stagedoor_crypto::{SignedLinesWriter, SigningKey};

use super::forging::{mark, other_value};

const MARK_EVERY: usize = 256;

/// An export, line by line.
#[derive(Debug, Clone)]
pub(super) struct Export {
    lines: Vec<String>,
}

/// What was done to a file, and where that has to show.
#[derive(Debug, Clone)]
pub(super) struct Tampered {
    pub(super) what: &'static str,
    pub(super) file: Export,
    pub(super) places: Vec<Place>,
}

/// Where a fault has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// At this record, or at what stands in this line of the file.
    Record { day: NaiveDate, seq: i64, line: usize },
    /// Between these two records of a day, the second being the first that is left.
    Between { day: NaiveDate, before: i64, after: i64 },
    /// At the end of a day.
    End { day: NaiveDate },
    /// At this checkpoint.
    Checkpoint { number: i64, line: usize },
    /// Anywhere: the file as a whole.
    File,
}

/// What a line is, as far as tampering cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Record { day: NaiveDate, seq: i64 },
    Checkpoint { number: i64 },
    Head { day: NaiveDate },
    Other,
}

impl Place {
    /// Whether one of the faults is there.
    pub(super) fn is_told(self, report: &VerificationReport) -> bool {
        let line = |fault: &AuditFault| fault.line.and_then(|line| usize::try_from(line).ok());
        report.faults.iter().any(|fault| match self {
            Self::Record { day, seq, line: at } => {
                (fault.day == Some(day) && fault.seq == Some(seq)) || line(fault) == Some(at)
            }
            Self::Between { day, before, after } => {
                fault.day == Some(day) && fault.seq.is_some_and(|seq| (before..=after).contains(&seq))
            }
            Self::End { day } => fault.day == Some(day) && fault.kind == FaultKind::Head,
            Self::Checkpoint { number, line: at } => {
                fault.checkpoint == Some(number) || line(fault) == Some(at)
            }
            Self::File => true,
        })
    }
}

impl Export {
    pub(super) fn read(file: &[u8]) -> Self {
        Self { lines: String::from_utf8(file.to_vec()).unwrap().lines().map(str::to_owned).collect() }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.lines.join("\n").into_bytes();
        bytes.push(b'\n');
        bytes
    }

    /// The same lines with marks and a manifest that whoever holds the tenant's key makes anew: the chain alone tells.
    pub(super) fn signed_anew(&self, key: &SigningKey) -> Self {
        let mut writer = SignedLinesWriter::default();
        let header = sha256(&[self.lines[0].as_bytes()]);
        let mut lines = Vec::new();
        let mut push = |writer: &mut SignedLinesWriter, line: String| {
            writer.push(&RawValue::from_string(line.clone()).unwrap()).unwrap();
            lines.push(line);
            lines.len()
        };
        push(&mut writer, self.lines[0].clone());
        let content: Vec<&String> =
            self.lines[1..].iter().filter(|line| !is_mark(line) && !is_manifest(line)).collect();
        let mut next = 2;
        for block in content.chunks(MARK_EVERY) {
            for line in block {
                push(&mut writer, (*line).clone());
            }
            next = push(&mut writer, mark(&header, next as u64, block, key)) + 1;
        }
        let manifest = String::from_utf8(writer.finish(key)).unwrap();
        lines.push(manifest.trim_end().to_owned());
        Self { lines }
    }

    /// A random tampering; `other` is an export of another tenant.
    pub(super) fn tampered(&self, other: &Self, random: &mut StdRng) -> Tampered {
        let kinds = [
            Self::edit,
            Self::edit,
            Self::edit,
            Self::delete,
            Self::delete_run,
            Self::double,
            Self::swap,
            Self::rotate,
            Self::truncate,
            Self::splice_day,
            Self::cut_end_of_day,
            Self::edit_checkpoint,
            Self::delete_checkpoint,
            Self::edit_head,
        ];
        if random.random_ratio(1, 15) {
            return self.splice_tenant(other, random);
        }
        kinds.choose(random).unwrap()(self, random)
    }

    /// One member of one record says something else.
    fn edit(&self, random: &mut StdRng) -> Tampered {
        let (at, day, seq) = self.any_record(random);
        let mut line: Value = serde_json::from_str(&self.lines[at]).unwrap();
        let members: Vec<String> = line["record"].as_object().unwrap().keys().cloned().collect();
        let member = members.choose(random).unwrap();
        let value = &mut line["record"][member.as_str()];
        *value = other_value(value, random);
        let mut file = self.clone();
        file.lines[at] = line.to_string();
        Tampered { what: "edit", file, places: vec![Place::Record { day, seq, line: at + 1 }] }
    }

    fn delete(&self, random: &mut StdRng) -> Tampered {
        let (at, day, seq) = self.any_record(random);
        let mut file = self.clone();
        file.lines.remove(at);
        Tampered {
            what: "delete",
            file,
            places: vec![Place::Between { day, before: seq - 1, after: seq + 1 }],
        }
    }

    /// Some records of a day in a row, and what stands between them.
    fn delete_run(&self, random: &mut StdRng) -> Tampered {
        let (at, day, seq) = self.any_record(random);
        let mut file = self.clone();
        let mut last = seq;
        let wanted = random.random_range(2..20);
        for _ in 0..wanted {
            match file.line(at) {
                Line::Record { day: of, seq } if of == day => last = seq,
                Line::Checkpoint { .. } | Line::Other => {}
                _ => break,
            }
            file.lines.remove(at);
        }
        Tampered {
            what: "delete run",
            file,
            places: vec![Place::Between { day, before: seq - 1, after: last + 1 }],
        }
    }

    fn double(&self, random: &mut StdRng) -> Tampered {
        let (at, day, seq) = self.any_record(random);
        let mut file = self.clone();
        file.lines.insert(at, self.lines[at].clone());
        Tampered { what: "double", file, places: vec![Place::Record { day, seq, line: at + 2 }] }
    }

    fn swap(&self, random: &mut StdRng) -> Tampered {
        let (one, day, seq) = self.any_record(random);
        let (other, other_day, other_seq) = loop {
            let found = self.any_record(random);
            if found.0 != one {
                break found;
            }
        };
        let mut file = self.clone();
        file.lines.swap(one, other);
        let places = vec![
            Place::Record { day, seq, line: other + 1 },
            Place::Record { day: other_day, seq: other_seq, line: one + 1 },
        ];
        Tampered { what: "swap", file, places }
    }

    /// A record moves a few places down, past others of its day.
    fn rotate(&self, random: &mut StdRng) -> Tampered {
        let (at, day, seq) = self.any_record(random);
        let further = (at + 1..self.lines.len().min(at + 30))
            .filter(|to| matches!(self.line(*to), Line::Record { day: of, .. } if of == day));
        let further: Vec<usize> = further.collect();
        let Some(to) = further.choose(random).copied() else { return self.delete(random) };
        let mut file = self.clone();
        file.lines[at..=to].rotate_left(1);
        Tampered { what: "move", file, places: vec![Place::Record { day, seq, line: to + 1 }] }
    }

    /// The file ends early. Without its manifest, which is the last line.
    fn truncate(&self, random: &mut StdRng) -> Tampered {
        let at = random.random_range(1..self.lines.len());
        let mut file = self.clone();
        file.lines.truncate(at);
        let missing = self.lines[at..].iter().position(|line| line.starts_with("{\"head\""));
        let place = match missing.map(|position| self.line(at + position)) {
            Some(Line::Head { day }) => Place::End { day },
            _ => Place::File,
        };
        Tampered { what: "truncate", file, places: vec![place] }
    }

    /// The last records of a day go, and its head says that they were never there.
    fn cut_end_of_day(&self, random: &mut StdRng) -> Tampered {
        let (at, day, seq) = self.any_record(random);
        let head = self.head_of(day);
        let Some(last) = (1..at)
            .rev()
            .find(|before| matches!(self.line(*before), Line::Record { day: of, .. } if of == day))
        else {
            return self.delete(random);
        };
        let before: Value = serde_json::from_str(&self.lines[last]).unwrap();
        let mut line: Value = serde_json::from_str(&self.lines[head]).unwrap();
        line["head"]["seq"] = before["record"]["seq"].clone();
        line["head"]["hash"] = before["record"]["hash"].clone();
        let mut file = self.clone();
        let mut checkpoint = None;
        for position in at..head {
            if let Line::Checkpoint { number } = self.line(position) {
                checkpoint.get_or_insert(number);
            }
        }
        file.lines[head] = line.to_string();
        let mut position = 0;
        file.lines.retain(|line| {
            let gone = (at..head).contains(&position) && !is_mark(line);
            position += 1;
            !gone
        });
        // Its last records are under a checkpoint, which goes with them and is missed.
        let place = match checkpoint {
            Some(number) => Place::Checkpoint { number, line: 0 },
            None => Place::Between { day, before: seq - 1, after: i64::MAX },
        };
        Tampered { what: "cut end of day", file, places: vec![place] }
    }

    /// A record of another day in the place of one.
    fn splice_day(&self, random: &mut StdRng) -> Tampered {
        let (at, day, seq) = self.any_record(random);
        let (from, ..) = loop {
            let found = self.any_record(random);
            if found.1 != day {
                break found;
            }
        };
        let mut file = self.clone();
        let mut foreign: Value = serde_json::from_str(&self.lines[from]).unwrap();
        if random.random_bool(0.5) {
            // As if it were of that day and number.
            foreign["record"]["day"] = Value::String(day.to_string());
            foreign["record"]["seq"] = seq.into();
        }
        file.lines[at] = foreign.to_string();
        let places = vec![Place::Record { day, seq, line: at + 1 }];
        Tampered { what: "splice of another day", file, places }
    }

    /// A record of another tenant in the place of one.
    fn splice_tenant(&self, other: &Self, random: &mut StdRng) -> Tampered {
        let (at, day, seq) = self.any_record(random);
        let (from, ..) = other.any_record(random);
        let mut foreign: Value = serde_json::from_str(&other.lines[from]).unwrap();
        foreign["record"]["day"] = Value::String(day.to_string());
        foreign["record"]["seq"] = seq.into();
        let mut file = self.clone();
        file.lines[at] = foreign.to_string();
        let places = vec![Place::Record { day, seq, line: at + 1 }];
        Tampered { what: "splice of another tenant", file, places }
    }

    fn edit_checkpoint(&self, random: &mut StdRng) -> Tampered {
        let (at, number) = self.any_checkpoint(random);
        let mut line: Value = serde_json::from_str(&self.lines[at]).unwrap();
        let members: Vec<String> = line["checkpoint"].as_object().unwrap().keys().cloned().collect();
        let member = members.choose(random).unwrap();
        let value = &mut line["checkpoint"][member.as_str()];
        *value = other_value(value, random);
        let mut file = self.clone();
        file.lines[at] = line.to_string();
        Tampered {
            what: "edit of a checkpoint",
            file,
            places: vec![Place::Checkpoint { number, line: at + 1 }],
        }
    }

    fn delete_checkpoint(&self, random: &mut StdRng) -> Tampered {
        let (at, number) = self.any_checkpoint(random);
        let mut file = self.clone();
        file.lines.remove(at);
        Tampered {
            what: "deletion of a checkpoint",
            file,
            places: vec![Place::Checkpoint { number, line: 0 }],
        }
    }

    fn edit_head(&self, random: &mut StdRng) -> Tampered {
        let (_, day, _) = self.any_record(random);
        let at = self.head_of(day);
        let mut line: Value = serde_json::from_str(&self.lines[at]).unwrap();
        let member = *["seq", "hash"].choose(random).unwrap();
        line["head"][member] = other_value(&line["head"][member], random);
        let mut file = self.clone();
        file.lines[at] = line.to_string();
        Tampered { what: "edit of a head", file, places: vec![Place::End { day }] }
    }

    fn any_record(&self, random: &mut StdRng) -> (usize, NaiveDate, i64) {
        loop {
            let at = random.random_range(1..self.lines.len());
            if let Line::Record { day, seq } = self.line(at) {
                return (at, day, seq);
            }
        }
    }

    fn any_checkpoint(&self, random: &mut StdRng) -> (usize, i64) {
        loop {
            let at = random.random_range(1..self.lines.len());
            if let Line::Checkpoint { number } = self.line(at) {
                return (at, number);
            }
        }
    }

    fn head_of(&self, day: NaiveDate) -> usize {
        (1..self.lines.len()).find(|at| self.line(*at) == Line::Head { day }).unwrap()
    }

    fn line(&self, at: usize) -> Line {
        let Some(text) = self.lines.get(at) else { return Line::Other };
        let Ok(line) = serde_json::from_str::<Value>(text) else { return Line::Other };
        let day = |value: &Value| value.as_str().and_then(|day| day.parse().ok());
        let place = |value: &Value| Some((day(&value["day"])?, value["seq"].as_i64()?));
        if let Some((day, seq)) = place(&line["record"]) {
            Line::Record { day, seq }
        } else if let Some(number) = line["checkpoint"]["number"].as_i64() {
            Line::Checkpoint { number }
        } else if let Some((day, _)) = place(&line["head"]) {
            Line::Head { day }
        } else {
            Line::Other
        }
    }
}

fn is_mark(line: &str) -> bool {
    line.starts_with("{\"mark\"")
}

fn is_manifest(line: &str) -> bool {
    line.starts_with("{\"manifest\"")
}
