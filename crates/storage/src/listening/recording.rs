//! Adding plays: each counts once, whoever tells of it and however often.

use std::collections::HashSet;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use stagedoor_crypto::DataKey;
use stagedoor_domain::TenantContext;
use stagedoor_domain::ids::uuid_v7;
use uuid::Uuid;

use super::matching::{Candidate, Ended, TOLERANCE, pair};
use super::plays::{self, NewPlay, PlaySource, PlayedTrack, Source, digests};
use super::{Owner, ensure_for, lock_account};
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::transaction::TenantTransaction;

/// How often a batch is looked at anew because plays of the account were added meanwhile.
const TRIES: usize = 4;

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Plays that nobody had told of.
    pub added: u64,
    /// Plays that were known; what the other source had not told of them is added.
    pub known: u64,
}

/// Records plays of one account, in any order, a few hundred at a time. Plays of one minute belong into one batch where
/// times are to the minute. Exactly once: what is recorded again is known.
///
/// # Errors
/// [`StoreError::Missing`] if the account is not linked any more, [`StoreError::Changed`] if others keep adding plays of
/// it; nothing is recorded then.
pub async fn record(
    vault: &KeyVault,
    context: &TenantContext,
    owner: &Owner,
    source: Source,
    plays: &[NewPlay],
) -> Result<Recorded, StoreError> {
    if plays.is_empty() {
        return Ok(Recorded::default());
    }
    ensure_for(vault.store(), plays.iter().map(|play| play.played_at)).await?;
    let key = vault.subject_key(context, owner.user).await?;
    for _ in 0..TRIES {
        let there = vault.store().with_tenant(context, async |tx| around(tx, owner, plays).await).await?;
        let batch = Batch::plan(vault, context, &key, source, plays, &there).await?;
        let write = async |tx: &mut TenantTransaction| {
            lock_account(tx, owner).await?;
            // Nothing is opened or sealed inside; if it is not what it was, it is looked at again.
            if around(tx, owner, plays).await? != there {
                return Ok(None);
            }
            batch.write(tx, owner).await.map(Some)
        };
        let written: Option<u64> = vault.store().with_tenant::<_, StoreError>(context, write).await?;
        if let Some(added) = written {
            return Ok(Recorded { added, known: plays.len() as u64 - added });
        }
    }
    Err(StoreError::Changed("the account's plays"))
}

/// A play that is there.
#[derive(Debug, Clone, PartialEq)]
struct There {
    played_at: DateTime<Utc>,
    track_digest: Vec<u8>,
    names_digest: Vec<u8>,
    play_id: Uuid,
    source: String,
    imported_at: Option<DateTime<Utc>>,
    imported_grain: Option<i16>,
    play: Vec<u8>,
}

/// Plays of the account that any of `plays` can be the same as.
async fn around(
    transaction: &mut TenantTransaction,
    owner: &Owner,
    plays: &[NewPlay],
) -> Result<Vec<There>, StoreError> {
    let margin = TOLERANCE + TimeDelta::minutes(1);
    let first = plays.iter().map(|play| play.played_at).min().unwrap_or_default() - margin;
    let last = plays.iter().map(|play| play.played_at).max().unwrap_or_default() + margin;
    let rows = sqlx::query_as!(
        There,
        "SELECT played_at, track_digest, names_digest, play_id, source, imported_at, imported_grain, play
        FROM listening_history
        WHERE tenant_id = $1 AND account_id = $2 AND played_at >= $3 AND played_at <= $4
        ORDER BY played_at, track_digest",
        transaction.tenant_id().0,
        owner.account.0,
        first,
        last
    );
    Ok(rows.fetch_all(transaction.connection()).await?)
}

/// What is to be written of a batch.
#[derive(Default)]
struct Batch {
    /// Of how many of the rows nobody had told.
    fresh: u64,
    gone: Vec<(DateTime<Utc>, Vec<u8>)>,
    rows: Vec<There>,
}

/// What is looked for among what is there, and how its end is known.
struct Stage {
    of: fn(&There) -> Option<Ended>,
    grain: i16,
    tolerance: TimeDelta,
    /// Whether what is found gets what is new of it.
    merges: bool,
}

fn stages(source: Source) -> Vec<Stage> {
    let at_once = TimeDelta::zero();
    let merging = |of, grain, tolerance| Stage { of, grain, tolerance, merges: true };
    let same = |of, grain| Stage { of, grain, tolerance: at_once, merges: false };
    match source {
        Source::Poll => vec![same(There::polled, 0), merging(There::imported_alone, 0, TOLERANCE)],
        Source::ImportBySecond => vec![
            same(|there| there.imported_at(1), 0),
            merging(|there| there.imported_at(60), 0, at_once),
            merging(There::polled_alone, 1, TOLERANCE),
        ],
        Source::ImportByMinute => vec![
            same(|there| there.imported_at(60), 60),
            same(|there| there.imported_at(1), 60),
            merging(There::polled_alone, 60, TOLERANCE),
        ],
    }
}

impl There {
    fn polled(&self) -> Option<Ended> {
        (self.source != "import").then(|| Ended::new(self.played_at, 0))
    }

    fn polled_alone(&self) -> Option<Ended> {
        (self.source == "poll").then(|| Ended::new(self.played_at, 0))
    }

    fn imported_alone(&self) -> Option<Ended> {
        let grain = self.imported_grain.filter(|_| self.source == "import")?;
        Some(Ended::new(self.imported_at?, grain))
    }

    fn imported_at(&self, grain: i16) -> Option<Ended> {
        let at = self.imported_at.filter(|_| self.imported_grain == Some(grain))?;
        Some(Ended::new(at, if grain == 60 { 60 } else { 0 }))
    }

    fn candidate(&self, ended: Ended) -> Candidate {
        let digest = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).unwrap_or_default();
        Candidate { ended, track: digest(&self.track_digest), names: digest(&self.names_digest) }
    }
}

impl Batch {
    async fn plan(
        vault: &KeyVault,
        context: &TenantContext,
        key: &DataKey,
        source: Source,
        plays: &[NewPlay],
        there: &[There],
    ) -> Result<Self, StoreError> {
        let mut batch = Self::default();
        let mut left = distinct(key, source, plays);
        let mut free = vec![true; there.len()];
        for stage in stages(source) {
            let known: Vec<(usize, Candidate)> = there
                .iter()
                .enumerate()
                .filter(|(at, _)| free[*at])
                .filter_map(|(at, row)| Some((at, row.candidate((stage.of)(row)?))))
                .collect();
            let candidates: Vec<Candidate> = known.iter().map(|(_, candidate)| *candidate).collect();
            let wanted: Vec<Candidate> = left.iter().map(|new| new.candidate(stage.grain)).collect();
            let mut unmatched = Vec::new();
            for (new, found) in left.into_iter().zip(pair(&wanted, &candidates, stage.tolerance)) {
                let Some(found) = found else {
                    unmatched.push(new);
                    continue;
                };
                let at = known[found].0;
                free[at] = false;
                if stage.merges {
                    let old = &there[at];
                    let track = plays::open(vault, context, old.play_id, &old.play).await?;
                    batch.gone.push((old.played_at, old.track_digest.clone()));
                    batch.rows.push(new.merged(vault, context, key, source, old, &track));
                }
            }
            left = unmatched;
        }
        batch.fresh = left.len() as u64;
        let mut taken: HashSet<(DateTime<Utc>, Vec<u8>)> =
            there.iter().chain(&batch.rows).map(|row| (row.played_at, row.track_digest.clone())).collect();
        for new in left {
            let mut row = new.row(vault, context, key, source);
            // Several plays of one track in one minute stand apart, in their order.
            while !taken.insert((row.played_at, row.track_digest.clone())) {
                row.played_at += TimeDelta::milliseconds(1);
            }
            batch.rows.push(row);
        }
        Ok(batch)
    }

    /// How many of them nobody had told of.
    async fn write(&self, transaction: &mut TenantTransaction, owner: &Owner) -> Result<u64, StoreError> {
        let tenant = transaction.tenant_id().0;
        let (times, tracks): (Vec<_>, Vec<_>) = self.gone.iter().cloned().unzip();
        if !times.is_empty() {
            sqlx::query!(
                "DELETE FROM listening_history h USING unnest($3::timestamptz[], $4::bytea[]) AS g (at, track)
                WHERE h.tenant_id = $1 AND h.account_id = $2 AND h.played_at = g.at AND h.track_digest = g.track",
                tenant,
                owner.account.0,
                &times,
                &tracks
            )
            .execute(transaction.connection())
            .await?;
        }
        if self.rows.is_empty() {
            return Ok(0);
        }
        macro_rules! column {
            ($of:expr) => {
                self.rows.iter().map($of).collect::<Vec<_>>()
            };
        }
        let inserted = sqlx::query!(
            "INSERT INTO listening_history (tenant_id, user_id, account_id, provider, played_at, track_digest,
                names_digest, play_id, source, imported_at, imported_grain, play)
            SELECT $1, $2, $3, $4, r.* FROM unnest($5::timestamptz[], $6::bytea[], $7::bytea[], $8::uuid[], $9::text[],
                $10::timestamptz[], $11::smallint[], $12::bytea[]) AS r",
            tenant,
            owner.user.0,
            owner.account.0,
            owner.provider.as_str(),
            &column!(|row| row.played_at),
            &column!(|row| row.track_digest.clone()),
            &column!(|row| row.names_digest.clone()),
            &column!(|row| row.play_id),
            &column!(|row| row.source.clone()),
            &column!(|row| row.imported_at) as &[Option<DateTime<Utc>>],
            &column!(|row| row.imported_grain) as &[Option<i16>],
            &column!(|row| row.play.clone())
        )
        .execute(transaction.connection())
        .await?;
        if inserted.rows_affected() == self.rows.len() as u64 {
            Ok(self.fresh)
        } else {
            Err(StoreError::Changed("the account's plays"))
        }
    }
}

/// A play of the batch with its hashes.
struct New {
    at: DateTime<Utc>,
    track: PlayedTrack,
    digests: ([u8; 32], [u8; 32]),
}

/// The plays of a batch, without those that it has twice: of a list, at one time; of a download, of one track at one time,
/// listened to for as long.
fn distinct(key: &DataKey, source: Source, plays: &[NewPlay]) -> Vec<New> {
    let mut seen = HashSet::new();
    let mut distinct = Vec::with_capacity(plays.len());
    for play in plays {
        let at = play.played_at.trunc_subsecs(3);
        let digests = digests(key, &play.track);
        let same = match source {
            Source::Poll => (at, None, None),
            Source::ImportBySecond => (at, Some(digests.0), None),
            Source::ImportByMinute => (at, Some(digests.0), play.track.ms_played),
        };
        if seen.insert(same) {
            distinct.push(New { at, track: play.track.clone(), digests });
        }
    }
    distinct.sort_by_key(|new| new.at);
    distinct
}

impl New {
    fn candidate(&self, grain: i16) -> Candidate {
        let (track, names) = self.digests;
        Candidate { ended: Ended::new(self.at, grain), track, names }
    }

    fn row(&self, vault: &KeyVault, context: &TenantContext, key: &DataKey, source: Source) -> There {
        let (imported_at, imported_grain) = match source {
            Source::Poll => (None, None),
            Source::ImportBySecond => (Some(self.at), Some(1)),
            Source::ImportByMinute => (Some(self.at), Some(60)),
        };
        let source = if source == Source::Poll { PlaySource::Poll } else { PlaySource::Import };
        let play_id = uuid_v7(vault.clock(), vault.entropy());
        There {
            played_at: self.at,
            track_digest: self.digests.0.to_vec(),
            names_digest: self.digests.1.to_vec(),
            play_id,
            source: source.as_str().to_owned(),
            imported_at,
            imported_grain,
            play: plays::seal(key, context, vault.entropy(), (play_id, &self.track)),
        }
    }

    /// What is there with what this source tells of it besides.
    fn merged(
        &self,
        vault: &KeyVault,
        context: &TenantContext,
        key: &DataKey,
        source: Source,
        old: &There,
        known: &PlayedTrack,
    ) -> There {
        let mut row = self.row(vault, context, key, source);
        let polled = source == Source::Poll;
        let track = match (polled, old.source.as_str()) {
            (true, _) => combined(&self.track, known),
            (false, "import") => combined(&self.track, &self.track),
            (false, _) => combined(known, &self.track),
        };
        if polled {
            (row.imported_at, row.imported_grain) = (old.imported_at, old.imported_grain);
        }
        if polled || old.source != "import" {
            PlaySource::Both.as_str().clone_into(&mut row.source);
        }
        if !polled && old.source != "import" {
            row.played_at = old.played_at;
        }
        let (track_digest, names_digest) = digests(key, &track);
        (row.track_digest, row.names_digest) = (track_digest.to_vec(), names_digest.to_vec());
        row.play = plays::seal(key, context, vault.entropy(), (row.play_id, &track));
        row
    }
}

/// The list's words for the track, and what the download alone knows.
fn combined(listed: &PlayedTrack, downloaded: &PlayedTrack) -> PlayedTrack {
    let mut track = listed.clone();
    track.reference = track.reference.or_else(|| downloaded.reference.clone());
    track.album = track.album.or_else(|| downloaded.album.clone());
    track.ms_played = downloaded.ms_played.or(track.ms_played);
    track.skipped = downloaded.skipped.or(track.skipped);
    track
}
