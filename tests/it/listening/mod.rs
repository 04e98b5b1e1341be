//! What people listened to: polled and imported, asked for, and gone with whoever it is of.

mod downloads;
mod figures;
mod polling;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use stagedoor_domain::{Clock as _, Provider};
use stagedoor_storage::StoreError;
use stagedoor_storage::listening::{self, StoredPlay};
use stagedoor_testkit::{Client, FrozenClock, Inhabited, Stage, StageOptions, TestGateway};

use crate::music;

/// A person who listens, by a clock that stands until it is moved.
pub(crate) struct Listener<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) ada: Inhabited<'a>,
    pub(crate) client: Client,
    clock: Arc<FrozenClock>,
}

pub(crate) async fn stage(clock: &Arc<FrozenClock>) -> Stage {
    Stage::start_with(StageOptions { clock: clock.clone(), ..StageOptions::default() }).await
}

impl<'a> Listener<'a> {
    /// Of a tenant whose gates are open.
    pub(crate) async fn of(
        stage: &'a Stage,
        gateway: &TestGateway,
        clock: &Arc<FrozenClock>,
        slug: &str,
    ) -> Self {
        let ada = stage.inhabit_with(slug, music::everything_allowed()).await;
        let client = music::client(gateway, &ada);
        Self { stage, ada, client, clock: Arc::clone(clock) }
    }

    pub(crate) async fn consents(&self, granted: bool) {
        let decision = json!({ "purpose": "analytics", "granted": granted, "policy_version": "1" });
        self.client.call("consent_set", decision).await;
    }

    pub(crate) fn passes(&self, time: Duration) {
        self.clock.advance(time);
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Plays the track of that number, which ends now.
    pub(crate) fn plays(&self, number: usize) -> (String, DateTime<Utc>) {
        self.plays_by_clock_of_service(number, 0)
    }

    /// The same where the service's clock is so many milliseconds ahead.
    pub(crate) fn plays_by_clock_of_service(&self, number: usize, ahead: i64) -> (String, DateTime<Utc>) {
        let known = music::known_tracks(self.stage, Provider::Spotify);
        let at = self.now() + chrono::TimeDelta::milliseconds(ahead);
        // To the millisecond, as the service tells.
        let at = DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap();
        let id = known[number % known.len()].id.clone();
        let played = vec![(id.clone(), at)];
        self.stage.sandbox().has_played(&self.ada.account(Provider::Spotify).account, &played);
        (format!("spotify:track:{id}"), at)
    }

    /// Everything that is kept of what the person played.
    pub(crate) async fn history(&self) -> Vec<StoredPlay> {
        let (vault, context) = (self.stage.reader(), self.ada.tenant.context());
        let span = (DateTime::UNIX_EPOCH, self.now() + chrono::TimeDelta::days(400));
        let mut plays = Vec::new();
        let each = |play| {
            plays.push(play);
            Ok::<_, StoreError>(())
        };
        listening::each_play(vault, context, (self.ada.user, Provider::Spotify), span, each).await.unwrap();
        plays
    }

    /// The same as what [`Self::plays`] answers.
    pub(crate) async fn heard(&self) -> BTreeSet<(String, DateTime<Utc>)> {
        let kept = self.history().await;
        let distinct: BTreeSet<_> =
            kept.iter().map(|play| (play.track.reference.clone().unwrap(), play.played_at)).collect();
        assert_eq!(distinct.len(), kept.len(), "a play is kept twice");
        distinct
    }
}
