//! What is kept of a transfer: what was asked for, how far it is, and in parts of a hundred entries what became of each
//! track.

use serde::{Deserialize, Serialize};
use stagedoor_domain::music::{PlaylistItem, Track};
use stagedoor_domain::{CallId, ItemRef, LinkedAccountId, Provider, PublicError};
use stagedoor_storage::jobs::Part;

use super::matching::{Candidate, Confidence, Wanted};
use crate::desk::internal;
use crate::jobs::Paper;

/// Entries of a part.
pub(super) const PART: u32 = 100;

/// The document of a transfer.
pub(super) type Document = Paper<Transfer>;

/// How far a transfer is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Transfer {
    pub(super) plan: Plan,
    pub(super) stage: Stage,
    /// The playlist that is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<Source>,
    /// How many entries it has.
    #[serde(default)]
    pub(super) entries: u32,
    /// What became of them, by part.
    #[serde(default)]
    pub(super) tallies: Vec<Tally>,
    /// The playlists of the wanted name that were there before one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) making: Option<Vec<ItemRef>>,
    /// The playlist that is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<ItemRef>,
    /// Entries that are settled at the target: those before this position.
    #[serde(default)]
    pub(super) settled: u32,
    /// What was about to be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) intent: Option<Intent>,
    /// How many batches were begun.
    #[serde(default)]
    pub(super) batches: u32,
    /// Whether someone else changed the target while a batch was under way, so that tracks which are in it by now are
    /// not written again.
    #[serde(default)]
    pub(super) doubtful: bool,
    /// The call of the first write, which all versions of the target are put down to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) call: Option<CallId>,
    /// The stored version of the target before the first write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version_before: Option<u32>,
    /// The one after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<u32>,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is an argument of the tool")]
pub(super) struct Plan {
    pub(super) source: ItemRef,
    pub(super) source_account: LinkedAccountId,
    pub(super) to: Provider,
    pub(super) target_account: LinkedAccountId,
    /// An existing playlist to add to; else one is made.
    pub(super) target: Option<ItemRef>,
    pub(super) name: Option<String>,
    pub(super) skip_duplicates: bool,
    pub(super) dry_run: bool,
    pub(super) accept_best: bool,
    pub(super) skip_rest: bool,
}

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// Reading the source.
    Read,
    /// Finding tracks, from this position on.
    Find(u32),
    /// Waiting for decisions, if any are wanted.
    Decide,
    /// Writing what was found.
    Write,
    /// Nothing.
    Over,
}

/// The head of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Source {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
}

/// A batch that may have been sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Intent {
    /// Where its entries end in the source.
    pub(super) until: u32,
    /// How many entries the target had before.
    pub(super) before: u32,
    /// Positions in the source and what is written for each.
    pub(super) tracks: Vec<(u32, ItemRef)>,
}

/// What became of a number of entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) matched: u32,
    pub(super) ambiguous: u32,
    pub(super) missing: u32,
    pub(super) left_out: u32,
    pub(super) written: u32,
}

/// An entry of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Its reference, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// What it is, if it is a track that the service tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) track: Option<Wanted>,
    /// The album it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) album: Option<ItemRef>,
    pub(super) fate: Fate,
}

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(super) enum Fate {
    /// It was not looked for yet.
    Open,
    /// This is the one.
    Matched {
        to: ItemRef,
        confidence: Confidence,
        reason: String,
        /// Whether the target has it now.
        #[serde(default)]
        written: bool,
    },
    /// Several may be it.
    Ambiguous { candidates: Vec<Candidate> },
    /// The other service does not have it.
    Missing { reason: String },
    /// It is there but was not written.
    LeftOut { reason: String },
}

impl Transfer {
    /// A transfer that has not begun.
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            plan,
            stage: Stage::Read,
            source: None,
            entries: 0,
            tallies: Vec::new(),
            making: None,
            target: None,
            settled: 0,
            intent: None,
            batches: 0,
            doubtful: false,
            call: None,
            version_before: None,
            version: None,
        }
    }

    /// What became of all entries.
    pub(super) fn tally(&self) -> Tally {
        self.tallies.iter().fold(Tally::default(), |sum, tally| Tally {
            matched: sum.matched + tally.matched,
            ambiguous: sum.ambiguous + tally.ambiguous,
            missing: sum.missing + tally.missing,
            left_out: sum.left_out + tally.left_out,
            written: sum.written + tally.written,
        })
    }

    /// Notes what became of a part's entries.
    pub(super) fn note(&mut self, part: u32, entries: &[Entry]) {
        let part = part as usize;
        if self.tallies.len() <= part {
            self.tallies.resize(part + 1, Tally::default());
        }
        self.tallies[part] = Tally::of(entries);
    }

    /// Steps done and steps in all: each entry is looked for, and settled at the target.
    pub(super) fn steps(&self) -> (u64, u64) {
        let entries = u64::from(self.entries);
        let found = match self.stage {
            Stage::Read => 0,
            Stage::Find(at) => u64::from(at),
            Stage::Decide | Stage::Write | Stage::Over => entries,
        };
        if self.plan.dry_run {
            return (found, entries);
        }
        let settled = if self.stage == Stage::Over { entries } else { u64::from(self.settled) };
        (found + settled, 2 * entries)
    }
}

impl Tally {
    fn of(entries: &[Entry]) -> Self {
        let mut tally = Self::default();
        for entry in entries {
            match &entry.fate {
                Fate::Open => {}
                Fate::Matched { written, .. } => {
                    tally.matched += 1;
                    tally.written += u32::from(*written);
                }
                Fate::Ambiguous { .. } => tally.ambiguous += 1,
                Fate::Missing { .. } => tally.missing += 1,
                Fate::LeftOut { .. } => tally.left_out += 1,
            }
        }
        tally
    }
}

impl Entry {
    /// A track by itself.
    pub(super) fn of_track(track: &Track) -> Self {
        Self {
            name: Some(track.reference.to_string()),
            track: Some(Wanted::from(track)),
            album: track.album.as_ref().map(|album| album.reference.clone()),
            fate: Fate::Open,
        }
    }
}

impl From<&PlaylistItem> for Entry {
    fn from(item: &PlaylistItem) -> Self {
        let fate = match (&item.track, item.name()) {
            (Some(_), _) => Fate::Open,
            (None, Some(_)) => {
                Fate::Missing { reason: "the source does not tell what it is, or it is no track".to_owned() }
            }
            (None, None) => Fate::Missing { reason: "it is gone from the source".to_owned() },
        };
        Self {
            name: item.name(),
            track: item.track.as_ref().map(Wanted::from),
            album: item
                .track
                .as_ref()
                .and_then(|track| track.album.as_ref())
                .map(|album| album.reference.clone()),
            fate,
        }
    }
}

/// Reads a part.
pub(super) fn read_part(part: &Part) -> Result<Vec<Entry>, PublicError> {
    serde_json::from_slice(&part.content).map_err(|error| internal(&error))
}

/// Writes a part.
pub(super) fn write_part(number: u32, entries: &[Entry]) -> Result<Part, PublicError> {
    let content = serde_json::to_vec(entries).map_err(|error| internal(&error))?;
    Ok(Part { number, content })
}
