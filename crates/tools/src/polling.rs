//! Asking a service what a person played last, for their listening history. Whom to ask and when is the store's; how often
//! follows from how fast somebody plays, so that a list of fifty does not overflow between two polls.

use chrono::{DateTime, TimeDelta, Utc};
use stagedoor_audit::{AuditAction, AuditClient};
use stagedoor_domain::playback::Played;
use stagedoor_domain::{ConsentPurpose, ErrorCode, PolicyGate, Provider, PublicError, TenantContext};
use stagedoor_storage::StoreError;
use stagedoor_storage::listening::{
    self, Due, GapReason, NewPlay, Owner, PlayedTrack, PollEnd, Source, Span,
};

use crate::consents::required;
use crate::desk::Desk;
use crate::gates;
use crate::listening::SERVICE;
use crate::origin::{Origin, Purpose};
use crate::records::store_failure;
use crate::trail::of_account;

/// How many plays a service lists, and how many of them are asked for at a time.
const LISTED: u32 = 50;
/// Pages that are read to reach what is known.
const PAGES: usize = 4;
/// So many plays should have come when an account is polled next: half of a list.
const HALF: usize = 25;
/// Between two polls at least and at most: someone who begins to play the moment after a poll has played for two hours.
const SHORTEST: TimeDelta = TimeDelta::minutes(10);
const LONGEST: TimeDelta = TimeDelta::hours(2);
/// After polls that failed, at most.
const LONGEST_AFTER_FAILURES: TimeDelta = TimeDelta::hours(6);
/// What a service says to have been played later than this from now is no time.
const AHEAD: TimeDelta = TimeDelta::days(1);

/// What a poll came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Polled {
    /// Plays that were not known.
    pub added: u64,
    /// Plays that were.
    pub known: u64,
    /// Entries of the list that have no time that can be.
    pub malformed: u64,
    /// Whether more was played since the last poll than the service lists.
    pub gap: bool,
}

impl Desk {
    /// The services that tell what was played.
    pub const fn pollable() -> &'static [Provider] {
        &[SERVICE]
    }

    /// Asks the service of one account what was played, for the person that `ctx` acts for, and records it. How it ended
    /// and when to ask next is noted with the account, whatever it came to.
    ///
    /// # Errors
    /// What a call would be told; `consent_required` and `policy_gate_closed` before the service is asked.
    pub async fn poll_plays(&self, ctx: &TenantContext, due: &Due) -> Result<Polled, PublicError> {
        let owner = &due.owner;
        gates::check(ctx, owner.provider, PolicyGate::HistoryInsights)?;
        // Rows say that there is a consent; that its statement opens and says the same, is looked at here.
        let standing = self.wishes(ctx).await.consent(ctx, ConsentPurpose::Analytics);
        required(ctx, ConsentPurpose::Analytics, standing)?;
        let client = AuditClient::default();
        let record =
            self.trail().open(ctx, AuditAction::ListeningPoll, &client, of_account(owner.account)).await?;
        let polled = Box::pin(self.poll(ctx, due)).await;
        record.close(polled.as_ref().err().map(|error| error.code)).await;
        polled
    }

    async fn poll(&self, ctx: &TenantContext, due: &Due) -> Result<Polled, PublicError> {
        let owner = &due.owner;
        let store = self.vault().store();
        let read = async |tx: &mut _| listening::cursor(tx, owner.account).await;
        let cursor = store.with_tenant::<_, StoreError>(ctx, read).await.map_err(failed)?;
        let known_to = cursor.as_ref().and_then(|cursor| cursor.polled_to);
        let listed = match self.listed(ctx, owner, known_to).await {
            Ok(listed) => listed,
            Err(error) => {
                let failures = cursor.map_or(0, |cursor| cursor.failures);
                self.note_failure(ctx, owner, &error, failures).await?;
                return Err(error);
            }
        };
        // What was played before the person agreed is none of ours.
        let since = due.consented_at;
        let wanted: Vec<NewPlay> =
            listed.plays.iter().filter(|play| play.played_at >= since).cloned().collect();
        let recorded = listening::record(self.vault(), ctx, owner, Source::Poll, &wanted).await;
        let recorded = recorded.map_err(failed)?;
        let gap = gap(&listed, known_to, since);
        let now = self.clock.now();
        let end = PollEnd {
            polled_to: listed.newest().map(|newest| newest.max(since)),
            next_poll_at: now + self.spread(pace(&listed.plays)),
            outcome: "ok",
            failed: false,
        };
        let note = async |tx: &mut _| {
            if let Some((span, reason)) = gap {
                listening::record_gap(tx, owner, span, reason, now).await?;
            }
            listening::end_poll(tx, owner, &end, now).await
        };
        store.with_tenant::<_, StoreError>(ctx, note).await.map_err(failed)?;
        Ok(Polled {
            added: recorded.added,
            known: recorded.known,
            malformed: listed.malformed,
            gap: gap.is_some_and(|(_, reason)| reason == GapReason::Missed),
        })
    }

    /// What the service lists, newest first, until something of it is known.
    async fn listed(
        &self,
        ctx: &TenantContext,
        owner: &Owner,
        known_to: Option<DateTime<Utc>>,
    ) -> Result<Listed, PublicError> {
        let origin = Origin::new(AuditClient::default(), Purpose::Poll);
        let id = owner.account.to_string();
        let account = self.account(ctx, &origin, Some(owner.provider), Some(&id)).await?;
        let latest = self.clock.now() + AHEAD;
        let mut listed = Listed::default();
        let mut page: Option<String> = None;
        for _ in 0..PAGES {
            let at = page.as_deref();
            let found = self
                .personal(ctx, &origin, &account, |music, access| async move {
                    music.recently_played(ctx, &access.borrow(), LISTED, at).await
                })
                .await?;
            listed.entries += found.items.len();
            for played in found.items {
                match new_play(played).filter(|play| play.played_at <= latest) {
                    Some(play) => listed.plays.push(play),
                    None => listed.malformed += 1,
                }
            }
            page = found.next;
            listed.reaches = known_to.is_none_or(|known| listed.oldest().is_some_and(|at| at <= known));
            if page.is_none() || listed.reaches {
                break;
            }
        }
        // A list that is not full is all that there is.
        listed.reaches |= listed.entries < LISTED as usize;
        Ok(listed)
    }

    async fn note_failure(
        &self,
        ctx: &TenantContext,
        owner: &Owner,
        error: &PublicError,
        failures: u32,
    ) -> Result<(), PublicError> {
        let now = self.clock.now();
        let doubled = SHORTEST * 2_i32.pow(failures.min(10));
        let asked = error.retry_after.and_then(|wait| TimeDelta::from_std(wait).ok()).unwrap_or_default();
        let end = PollEnd {
            polled_to: None,
            next_poll_at: now + self.spread(doubled.min(LONGEST_AFTER_FAILURES)).max(asked),
            outcome: error.code.as_str(),
            failed: true,
        };
        let note = async |tx: &mut _| listening::end_poll(tx, owner, &end, now).await;
        match self.vault().store().with_tenant::<_, StoreError>(ctx, note).await {
            // Unlinked meanwhile: there is nothing to note it with.
            Err(StoreError::Missing(_)) => Ok(()),
            noted => noted.map_err(failed),
        }
    }

    /// Up to a tenth more or less, so that accounts that were linked together are not polled together for ever.
    fn spread(&self, pause: TimeDelta) -> TimeDelta {
        let mut random = [0_u8; 2];
        self.entropy.fill(&mut random);
        let part = i64::from(u16::from_be_bytes(random)) - i64::from(u16::MAX / 2);
        pause + TimeDelta::milliseconds(pause.num_milliseconds() / 10 * part / i64::from(u16::MAX / 2))
    }
}

/// What a service lists.
#[derive(Debug, Default)]
struct Listed {
    /// Newest first.
    plays: Vec<NewPlay>,
    malformed: u64,
    entries: usize,
    /// Whether nothing is missing between it and what is known.
    reaches: bool,
}

impl Listed {
    fn newest(&self) -> Option<DateTime<Utc>> {
        self.plays.iter().map(|play| play.played_at).max()
    }

    fn oldest(&self) -> Option<DateTime<Utc>> {
        self.plays.iter().map(|play| play.played_at).min()
    }
}

/// The time of which plays may be missing, and why.
fn gap(
    listed: &Listed,
    known_to: Option<DateTime<Utc>>,
    consented_at: DateTime<Utc>,
) -> Option<(Span, GapReason)> {
    let known_to = known_to?;
    // What is listed of the time before is not kept.
    if known_to < consented_at && listed.newest().is_some_and(|newest| newest > known_to) {
        return Some(((known_to, consented_at), GapReason::NoConsent));
    }
    let oldest = listed.oldest().filter(|oldest| !listed.reaches && *oldest > known_to)?;
    Some(((known_to, oldest), GapReason::Missed))
}

/// How long half of a list lasts at the speed of the last plays.
fn pace(plays: &[NewPlay]) -> TimeDelta {
    let mut times: Vec<_> = plays.iter().map(|play| play.played_at).collect();
    times.sort_unstable_by(|one, other| other.cmp(one));
    match (times.first(), times.get(HALF)) {
        (Some(newest), Some(earlier)) => (*newest - *earlier).clamp(SHORTEST, LONGEST),
        _ => LONGEST,
    }
}

/// `None` if its time is none.
fn new_play(played: Played) -> Option<NewPlay> {
    let played_at = DateTime::parse_from_rfc3339(&played.played_at).ok()?.with_timezone(&Utc);
    if played_at < first_day() {
        return None;
    }
    let track = played.track;
    Some(NewPlay {
        played_at,
        track: PlayedTrack {
            reference: Some(track.reference.to_string()),
            title: track.title,
            artists: track.artists.into_iter().map(|artist| artist.name).collect(),
            album: track.album.map(|album| album.title),
            duration_ms: u32::try_from(track.duration_ms).ok(),
            ms_played: None,
            skipped: None,
            context: played.context,
        },
    })
}

/// Before which no service played anything.
fn first_day() -> DateTime<Utc> {
    let day = chrono::NaiveDate::from_ymd_opt(listening::FIRST_YEAR, 1, 1).unwrap_or_default();
    day.and_time(chrono::NaiveTime::MIN).and_utc()
}

fn failed(error: StoreError) -> PublicError {
    match error {
        StoreError::Missing(_) => {
            PublicError::new(ErrorCode::AccountNotLinked, "The account was unlinked meanwhile.")
        }
        error => store_failure(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + minutes * 60, 0).unwrap()
    }

    fn play(minutes: i64) -> NewPlay {
        let track = PlayedTrack {
            reference: None,
            title: "Song".to_owned(),
            artists: vec![],
            album: None,
            duration_ms: None,
            ms_played: None,
            skipped: None,
            context: None,
        };
        NewPlay { played_at: at(minutes), track }
    }

    fn listed(times: std::ops::Range<i64>, reaches: bool) -> Listed {
        Listed { plays: times.rev().map(play).collect(), reaches, ..Listed::default() }
    }

    #[test]
    fn who_plays_fast_is_polled_before_the_list_is_full() {
        let every = |minutes: i64| pace(&(0..50).rev().map(|n| play(n * minutes)).collect::<Vec<_>>());
        assert_eq!(every(3), TimeDelta::minutes(75));
        assert_eq!(every(60), LONGEST);
        assert_eq!(every(0), SHORTEST);
        assert_eq!(pace(&[play(0)]), LONGEST);
    }

    #[test]
    fn a_gap_is_what_neither_poll_saw() {
        let early = at(-1_000);
        assert_eq!(
            gap(&listed(10..60, false), None, early),
            None,
            "nothing was missed before the first poll"
        );
        assert_eq!(gap(&listed(10..60, true), Some(at(10)), early), None);
        let missed = gap(&listed(10..60, false), Some(at(0)), early);
        assert_eq!(missed, Some(((at(0), at(10)), GapReason::Missed)));
        let unasked = gap(&listed(10..60, true), Some(at(5)), at(30));
        assert_eq!(unasked, Some(((at(5), at(30)), GapReason::NoConsent)));
        assert_eq!(gap(&listed(0..5, true), Some(at(5)), at(30)), None, "nothing was played meanwhile");
    }
}
