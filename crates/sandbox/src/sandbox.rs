//! The sandbox as its users hold it: set-up of apps, accounts and grants, faults, counters. Cheap to clone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use chrono::{DateTime, TimeDelta, Utc};
use stagedoor_domain::Provider;

use crate::catalogue::{self, Catalogue, Dice};
use crate::config::SandboxConfig;
use crate::faults::Faults;
use crate::journal::{Journal, LoggedRequest};
use crate::model::{Account, Model, Plan, Side};
use crate::player::Play;
use crate::playlist::{Entry, Playlist};
use crate::quota::{OverQuota, Quotas, RequestQuota, Traffic};
use crate::record::Recorder;
use crate::sample::CatalogueView;
use crate::text::{base62, uuid_text};
use crate::tidal::Idempotency;
use crate::tokens::Grant;
use crate::{control, snapshot, spotify, tidal};

/// A running stand-in for both services. Clones share one state.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

struct Inner {
    config: SandboxConfig,
    spotify: Catalogue,
    tidal: Catalogue,
    model: Mutex<Model>,
    faults: Faults,
    journal: Journal,
    quotas: Quotas,
    idempotency: Idempotency,
    recorder: Option<Arc<Recorder>>,
}

impl Sandbox {
    /// Makes the catalogue and loads the state file, if there is one. Takes tens of milliseconds.
    pub fn new(config: SandboxConfig) -> Self {
        let master = catalogue::compose(config.seed);
        let spotify = Catalogue::of(&master, Provider::Spotify, config.seed);
        let tidal = Catalogue::of(&master, Provider::Tidal, config.seed);
        let mut model = config.state_file.as_deref().map(snapshot::load).unwrap_or_default();
        let recorder = config.record.as_deref().and_then(|folder| match Recorder::open(folder) {
            Ok(recorder) => Some(Arc::new(recorder)),
            Err(error) => {
                tracing::error!(folder = %folder.display(), %error, "the sandbox records nothing");
                None
            }
        });
        model.spotify.editorial = editorial(&spotify, Provider::Spotify, config.seed);
        model.tidal.editorial = editorial(&tidal, Provider::Tidal, config.seed);
        Self {
            inner: Arc::new(Inner {
                faults: Faults::default(),
                journal: Journal::default(),
                quotas: Quotas::default(),
                idempotency: Idempotency::default(),
                recorder,
                model: Mutex::new(model),
                config,
                spotify,
                tidal,
            }),
        }
    }

    /// Everything on one router: both APIs, their token endpoints and `/_sandbox`.
    pub fn router(&self) -> Router {
        Router::new()
            .nest("/spotify", spotify::router(self))
            .nest("/tidal", tidal::router(self))
            .nest("/_sandbox", control::router(self))
    }

    /// Makes a confidential application known, or changes its secret.
    pub fn register_app(&self, provider: Provider, client_id: &str, client_secret: &str) {
        self.keep_app(provider, client_id, Some(client_secret.to_owned()));
    }

    /// Makes a public application known, which has no secret and proves itself by PKCE only.
    pub fn register_public_app(&self, provider: Provider, client_id: &str) {
        self.keep_app(provider, client_id, None);
    }

    /// Makes an account with no playlists; `country` is ISO 3166-1 alpha-2. Returns its account id: what
    /// Spotify calls `account_id` and Tidal the user id.
    pub fn create_account(&self, provider: Provider, display_name: &str, country: &str) -> String {
        let (account_id, user_id) = match provider {
            Provider::Spotify => (self.random_id()[12..].to_owned(), format!("31{}", &self.random_id()[2..])),
            Provider::Tidal => {
                let id = (180_000_000 + self.random_number() % 20_000_000).to_string();
                (id.clone(), id)
            }
        };
        let account = Account {
            account_id: account_id.clone(),
            user_id,
            display_name: display_name.to_owned(),
            country: country.to_owned(),
            plan: Plan::default(),
        };
        self.write(|model| model.side_mut(provider).accounts.insert(account_id.clone(), account));
        account_id
    }

    /// What a person's agreement to `client_id` yields, without the browser. App and account must exist for the
    /// tokens to be good for anything.
    pub fn grant(&self, provider: Provider, account_id: &str, client_id: &str, scopes: &[&str]) -> Grant {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        self.new_grant(provider, account_id, client_id, scopes)
    }

    /// Makes every access token of the provider expired; refresh tokens stay good.
    pub fn expire_access_tokens(&self, provider: Provider) {
        let past = self.now() - TimeDelta::seconds(1);
        self.write_unsaved(|model| {
            for held in model.side_mut(provider).access_tokens.values_mut() {
                held.expires_at = held.expires_at.min(past);
            }
        });
    }

    /// Lets another account write to a playlist. Returns whether the playlist exists.
    pub fn add_collaborator(&self, provider: Provider, playlist_id: &str, account_id: &str) -> bool {
        self.write(|model| {
            let Some(playlist) = model.side_mut(provider).playlists.get_mut(playlist_id) else {
                return false;
            };
            playlist.collaborative = true;
            playlist.collaborators.push(account_id.to_owned());
            true
        })
    }

    /// Adds tracks that an account has played, by their ids and the times at which they ended; as with what its player
    /// plays, the service remembers the last fifty.
    pub fn has_played(&self, account_id: &str, plays: &[(String, DateTime<Utc>)]) {
        self.with_player(account_id, |player, _, _| {
            for (track_id, played_at) in plays {
                player.remember(Play { track_id: track_id.clone(), context: None, played_at: *played_at });
            }
        });
    }

    /// Faults on script.
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// How many requests the token endpoint got for each grant type, since the start or the last reset.
    pub fn token_requests(&self, provider: Provider) -> BTreeMap<String, u64> {
        self.inner.journal.grant_types(provider)
    }

    /// Every client secret, token and code that is kept now, so that a test can look where they must not be.
    pub fn secrets(&self) -> BTreeSet<String> {
        self.read(|model| {
            let sides = [&model.spotify, &model.tidal];
            let of = |side: &Side| {
                let apps = side.apps.values().filter_map(|app| app.client_secret.clone());
                let refresh = side.refresh_tokens.keys().cloned();
                let access = side.access_tokens.keys().cloned();
                apps.chain(refresh).chain(access).chain(side.codes.keys().cloned()).collect::<Vec<_>>()
            };
            sides.into_iter().flat_map(of).collect()
        })
    }

    /// How many requests each operation got, e.g. `GET /tracks/{id}`, since the start or the last reset.
    pub fn requests(&self, provider: Provider) -> BTreeMap<String, u64> {
        self.inner.journal.counts(provider)
    }

    /// The latest requests, oldest first.
    pub fn request_log(&self) -> Vec<LoggedRequest> {
        self.inner.journal.latest()
    }

    /// Forgets counters and log.
    pub fn reset_requests(&self) {
        self.inner.journal.reset();
        self.inner.quotas.reset_traffic();
    }

    /// Lets `client_id` send no more requests to the API than `quota`; `None` lets it send any number.
    pub fn limit_requests(&self, provider: Provider, client_id: &str, quota: Option<RequestQuota>) {
        self.inner.quotas.set(provider, client_id, quota);
    }

    /// What each account sent to the API under `client_id` since the start or the last reset, by account id; `client` is
    /// what the client sent with its own token.
    pub fn traffic(&self, provider: Provider, client_id: &str) -> BTreeMap<String, Traffic> {
        self.inner.quotas.traffic(provider, client_id)
    }

    /// Tracks of the provider's catalogue, in catalogue order, for tests that need a known one.
    pub fn catalogue(&self, provider: Provider) -> CatalogueView<'_> {
        CatalogueView::of(self.songs(provider))
    }

    fn keep_app(&self, provider: Provider, client_id: &str, client_secret: Option<String>) {
        self.write(|model| {
            let app = model.side_mut(provider).apps.entry(client_id.to_owned()).or_default();
            app.client_secret = client_secret;
        });
    }

    pub(crate) fn songs(&self, provider: Provider) -> &Catalogue {
        match provider {
            Provider::Spotify => &self.inner.spotify,
            Provider::Tidal => &self.inner.tidal,
        }
    }

    pub(crate) fn config(&self) -> &SandboxConfig {
        &self.inner.config
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.inner.journal
    }

    /// Counts a request to the API with this `Authorization`. What is no token is the API's to refuse.
    pub(crate) fn count_request(&self, provider: Provider, header: Option<&str>) -> Result<(), OverQuota> {
        let token = header.and_then(|header| header.split_once(' ')).map(|(_, token)| token.trim());
        let holder = token.and_then(|token| {
            self.read(|model| {
                let held = model.side(provider).access_tokens.get(token)?;
                Some((held.client_id.clone(), held.account_id.clone()))
            })
        });
        let Some((client_id, account)) = holder else { return Ok(()) };
        let account = account.as_deref().unwrap_or("client");
        self.inner.quotas.pass(provider, &client_id, account, self.inner.config.clock.elapsed())
    }

    pub(crate) fn idempotency(&self) -> &Idempotency {
        &self.inner.idempotency
    }

    pub(crate) fn recorder(&self) -> Option<&Arc<Recorder>> {
        self.inner.recorder.as_ref()
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.inner.config.clock.now()
    }

    pub(crate) fn token_lifetime(&self) -> TimeDelta {
        TimeDelta::from_std(self.inner.config.token_lifetime).unwrap_or(TimeDelta::MAX)
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&Model) -> T) -> T {
        look(&self.inner.model.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes what is kept, and saves it before anyone sees the change.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut Model) -> T) -> T {
        let mut model = self.inner.model.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = change(&mut model);
        if let Some(file) = &self.inner.config.state_file
            && let Err(error) = snapshot::save(file, &model)
        {
            tracing::error!(file = %file.display(), %error, "the sandbox's state was not saved");
        }
        outcome
    }

    /// Changes what is not kept across restarts.
    pub(crate) fn write_unsaved<T>(&self, change: impl FnOnce(&mut Model) -> T) -> T {
        change(&mut self.inner.model.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// 22 characters in base 62.
    pub(crate) fn random_id(&self) -> String {
        let mut random = [0_u8; 16];
        self.inner.config.entropy.fill(&mut random);
        base62(u128::from_be_bytes(random))
    }

    /// A version 4 UUID (RFC 9562 §5.4), as Tidal names playlists and their items.
    pub(crate) fn random_uuid(&self) -> String {
        let mut random = [0_u8; 16];
        self.inner.config.entropy.fill(&mut random);
        uuid_text(random)
    }

    fn random_number(&self) -> u64 {
        let mut random = [0_u8; 8];
        self.inner.config.entropy.fill(&mut random);
        u64::from_be_bytes(random)
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("seed", &self.inner.config.seed).finish_non_exhaustive()
    }
}

/// The provider's own playlists, which third parties may find but, at Spotify, not read.
fn editorial(catalogue: &Catalogue, provider: Provider, seed: u64) -> BTreeMap<String, Playlist> {
    let mut dice = Dice::new(catalogue::mix(seed ^ 0xED17));
    let made_at = DateTime::from_timestamp(1_700_000_000, 0).unwrap_or_default();
    (0..24_u64)
        .map(|number| {
            let salt = u128::from(dice.roll()) << 64 | u128::from(dice.roll());
            let id = match provider {
                Provider::Spotify => format!("37i9dQZF1D{}", &base62(salt)[10..]),
                Provider::Tidal => uuid_text(salt.to_be_bytes()),
            };
            let name = catalogue::playlist_name(&mut dice);
            let mut playlist = Playlist::new(
                id.clone(),
                String::new(),
                name,
                made_at + TimeDelta::days(number.cast_signed()),
            );
            playlist.description = Some("Picked by the house.".to_owned());
            playlist.entries = (0..30)
                .map(|_| {
                    let track = dice.position(catalogue.tracks.len());
                    let item_id = (u128::from(dice.roll()) << 64 | u128::from(dice.roll())).to_be_bytes();
                    Entry::track(uuid_text(item_id), &catalogue.tracks[track].id, playlist.created_at, "")
                })
                .collect();
            (id, playlist)
        })
        .collect()
}
