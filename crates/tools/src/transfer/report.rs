//! What became of each track of a transfer, as tools answer it: a page at a time, what is open before what is done.

use schemars::JsonSchema;
use serde::Serialize;
use stagedoor_domain::{ItemRef, PublicError, TenantContext};
use stagedoor_storage::jobs::{self, Job};

use super::document::{Document, Entry, Fate, PART, Tally, Transfer, read_part};
use super::matching::Candidate;
use crate::desk::Desk;
use crate::jobs::Excerpt;
use crate::records::store_failure;

/// Tracks that one answer lists at most.
const LISTED: usize = 100;

/// What became of each track.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    source: ItemRef,
    /// The playlist that is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<ItemRef>,
    /// The stored version of `target` before the first write: `playlist_undo` can restore it.
    #[serde(skip_serializing_if = "Option::is_none")]
    version_before: Option<u32>,
    /// The one after the last write.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    dry_run: bool,
    /// Entries of the source.
    tracks: u32,
    counts: Counts,
    /// Tracks that may be several: to be decided.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ambiguous: Vec<Doubtful>,
    /// Tracks that the other service does not have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<Unwritten>,
    /// Tracks that it has and that were not written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<Unwritten>,
    /// Tracks that were found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    matched: Vec<Matched>,
    /// Hand this in as `from` of `job_get` for more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_from: Option<u32>,
}

/// How many.
#[derive(Debug, Serialize, JsonSchema)]
struct Counts {
    matched: u32,
    ambiguous: u32,
    missing: u32,
    left_out: u32,
    written: u32,
}

/// A track of the source.
#[derive(Debug, Serialize, JsonSchema)]
struct Original {
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    title: String,
    artists: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Doubtful {
    /// In the source, from 0.
    position: u32,
    track: Original,
    candidates: Vec<Possible>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Possible {
    #[serde(rename = "ref")]
    reference: ItemRef,
    title: String,
    artists: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    album: Option<String>,
    duration_ms: u64,
    /// From 0 to 1.
    confidence: f64,
    reason: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Unwritten {
    position: u32,
    track: Original,
    reason: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Matched {
    position: u32,
    track: Original,
    to: ItemRef,
    confidence: f64,
    reason: String,
    written: bool,
}

/// The report of a job; `None` if it did not come so far.
pub(crate) async fn report(
    desk: &Desk,
    ctx: &TenantContext,
    job: &Job,
    excerpt: Excerpt,
) -> Result<Option<Report>, PublicError> {
    // A job whose document was not understood has none.
    let Ok(Document { work, .. }) = serde_json::from_slice::<Document>(&job.document) else {
        return Ok(None);
    };
    let mut report = Report::of(&work);
    let mut listed = 0;
    for number in excerpt.from / PART..work.entries.div_ceil(PART) {
        if !excerpt.all && work.tallies.get(number as usize).is_some_and(Tally::has_nothing_open) {
            continue;
        }
        let parts = jobs::load_parts(desk.vault(), ctx, job.id, number..number + 1).await;
        let parts = parts.map_err(|error| store_failure(&error))?;
        let entries = parts.first().map(read_part).transpose()?.unwrap_or_default();
        for (entry, position) in entries.into_iter().zip(number * PART..) {
            let wanted = position >= excerpt.from && (excerpt.all || entry.is_open());
            if wanted && listed == LISTED {
                report.next_from = Some(position);
                return Ok(Some(report));
            }
            listed += usize::from(wanted && report.list(position, entry));
        }
    }
    Ok(Some(report))
}

impl Report {
    fn of(work: &Transfer) -> Self {
        let Tally { matched, ambiguous, missing, left_out, written } = work.tally();
        Self {
            source: work.plan.source.clone(),
            target: work.target.clone().or_else(|| work.plan.target.clone()),
            version_before: work.version_before,
            version: work.version,
            dry_run: work.plan.dry_run,
            tracks: work.entries,
            counts: Counts { matched, ambiguous, missing, left_out, written },
            ambiguous: Vec::new(),
            missing: Vec::new(),
            left_out: Vec::new(),
            matched: Vec::new(),
            next_from: None,
        }
    }

    /// Lists an entry, unless it was not looked for yet.
    fn list(&mut self, position: u32, entry: Entry) -> bool {
        let track = Original::of(&entry);
        match entry.fate {
            Fate::Open => return false,
            Fate::Ambiguous { candidates } => {
                let candidates = candidates.into_iter().map(Possible::from).collect();
                self.ambiguous.push(Doubtful { position, track, candidates });
            }
            Fate::Missing { reason } => self.missing.push(Unwritten { position, track, reason }),
            Fate::LeftOut { reason } => self.left_out.push(Unwritten { position, track, reason }),
            Fate::Matched { to, confidence, reason, written } => {
                let confidence = confidence.share();
                self.matched.push(Matched { position, track, to, confidence, reason, written });
            }
        }
        true
    }
}

impl Tally {
    fn has_nothing_open(&self) -> bool {
        self.ambiguous + self.missing + self.left_out == 0
    }
}

impl Entry {
    /// Whether it is not in the target for another reason than that nobody has come to it yet.
    fn is_open(&self) -> bool {
        matches!(self.fate, Fate::Ambiguous { .. } | Fate::Missing { .. } | Fate::LeftOut { .. })
    }
}

impl Original {
    fn of(entry: &Entry) -> Self {
        let track = entry.track.as_ref();
        Self {
            reference: entry.name.clone(),
            title: track.map(|track| track.title.clone()).unwrap_or_default(),
            artists: track.map(|track| track.artists.clone()).unwrap_or_default(),
        }
    }
}

impl From<Candidate> for Possible {
    fn from(candidate: Candidate) -> Self {
        let Candidate { reference, title, artists, album, duration_ms, confidence, reason } = candidate;
        Self { reference, title, artists, album, duration_ms, confidence: confidence.share(), reason }
    }
}
