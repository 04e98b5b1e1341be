//! What tests set up besides apps and accounts: plans, modes, devices, what plays, playlists changed from elsewhere.

use chrono::{DateTime, Utc};
use stagedoor_domain::Provider;

use crate::catalogue::Catalogue;
use crate::model::{AppMode, Plan};
use crate::player::{Device, Player, Start};
use crate::playlist::{Entry, Other, Playlist, VIDEO};
use crate::sandbox::Sandbox;

impl Sandbox {
    /// What the account's owner pays for. Returns whether there is such an account.
    pub fn set_plan(&self, provider: Provider, account_id: &str, plan: Plan) -> bool {
        self.write(|model| {
            let account = model.side_mut(provider).accounts.get_mut(account_id);
            account.map(|account| account.plan = plan).is_some()
        })
    }

    /// What the application may do. Returns whether there is such an application.
    pub fn set_mode(&self, provider: Provider, client_id: &str, mode: AppMode) -> bool {
        self.write(|model| {
            let app = model.side_mut(provider).apps.get_mut(client_id);
            app.map(|app| app.mode = mode).is_some()
        })
    }

    /// Where a Spotify account can play: a computer, which comes first, and a phone, unless it was set otherwise.
    pub fn devices(&self, account_id: &str) -> Vec<Device> {
        self.with_player(account_id, |player, _, _| player.devices.clone())
    }

    /// Sets where a Spotify account can play. What plays on another device stops.
    pub fn set_devices(&self, account_id: &str, devices: Vec<Device>) {
        self.change_player(account_id, |player, _, _| {
            if player.active.as_ref().is_some_and(|active| devices.iter().all(|device| device.id != *active))
            {
                (player.active, player.on) = (None, None);
            }
            player.devices = devices;
        });
    }

    /// Plays tracks on a device, as though the person had begun to themselves. Returns whether there is such a device.
    pub fn play(&self, account_id: &str, device_id: &str, tracks: &[&str]) -> bool {
        let tracks: Vec<String> = tracks.iter().map(|id| (*id).to_owned()).collect();
        self.change_player(account_id, |player, _, now| {
            let found = player.address(Some(device_id)).is_ok();
            if found {
                player.start(Start { context: None, tracks, first: 0, progress_ms: 0 }, now);
            }
            found
        })
    }

    /// Lets the person leave their devices alone until none is active.
    pub fn stop_playing(&self, account_id: &str) {
        self.change_player(account_id, |player, _, _| (player.active, player.on) = (None, None));
    }

    /// A playlist of the account that holds these tracks; returns its id. The account need not be linked to anything.
    pub fn make_playlist(&self, provider: Provider, account_id: &str, name: &str, tracks: &[&str]) -> String {
        let id = match provider {
            Provider::Spotify => self.random_id(),
            Provider::Tidal => self.random_uuid(),
        };
        let mut playlist = Playlist::new(id.clone(), account_id.to_owned(), name.to_owned(), self.now());
        playlist.entries = self.entries_of(tracks, account_id);
        self.write(|model| model.side_mut(provider).playlists.insert(id.clone(), playlist));
        id
    }

    /// What a playlist holds: the ids of its tracks, empty for a local file and what is gone. `None` if there is no such
    /// playlist.
    pub fn playlist_tracks(&self, provider: Provider, playlist_id: &str) -> Option<Vec<String>> {
        self.read(|model| {
            let playlist = model.side(provider).playlist(playlist_id)?;
            Some(playlist.entries.iter().map(|entry| entry.track_id.clone()).collect())
        })
    }

    /// Makes a playlist hold these tracks, as though its owner had changed it in another application. Returns whether
    /// there is such a playlist.
    pub fn change_playlist(&self, provider: Provider, playlist_id: &str, tracks: &[&str]) -> bool {
        self.touch_playlist(provider, playlist_id, |playlist, sandbox| {
            playlist.entries = sandbox.entries_of(tracks, &playlist.owner);
        })
    }

    /// Adds to a playlist's end what the catalogue does not hold. An episode is known from then on, so that applications
    /// can add it again. Returns whether there is such a playlist.
    pub fn add_other(&self, provider: Provider, playlist_id: &str, other: Other) -> bool {
        let id = match (&other, provider) {
            (Other::Episode { .. }, _) => self.random_id(),
            (Other::Video, _) => VIDEO.to_owned(),
            (Other::LocalFile { .. } | Other::Gone, _) => String::new(),
        };
        if let Other::Episode { title } = &other {
            self.write(|model| model.side_mut(provider).episodes.insert(id.clone(), title.clone()));
        }
        self.touch_playlist(provider, playlist_id, |playlist, sandbox| {
            let entry = Entry::track(sandbox.random_uuid(), &id, sandbox.now(), &playlist.owner);
            playlist.entries.push(Entry { other: Some(other), ..entry });
        })
    }

    /// A look at a player, brought up to date. What only the time changed is not saved: it would be the same again.
    pub(crate) fn with_player<T>(
        &self,
        account: &str,
        look: impl FnOnce(&mut Player, &Catalogue, DateTime<Utc>) -> T,
    ) -> T {
        self.write_unsaved(|model| self.look(&mut model.spotify.players, account, look))
    }

    pub(crate) fn change_player<T>(
        &self,
        account: &str,
        change: impl FnOnce(&mut Player, &Catalogue, DateTime<Utc>) -> T,
    ) -> T {
        self.write(|model| self.look(&mut model.spotify.players, account, change))
    }

    /// Runs a command on a player; a refused one changes nothing.
    pub(crate) fn command_player<E>(
        &self,
        account: &str,
        run: impl FnOnce(&mut Player, &Catalogue, DateTime<Utc>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.change_player(account, |player, songs, now| {
            let mut draft = player.clone();
            run(&mut draft, songs, now)?;
            *player = draft;
            Ok(())
        })
    }

    fn look<T>(
        &self,
        players: &mut std::collections::BTreeMap<String, Player>,
        account: &str,
        look: impl FnOnce(&mut Player, &Catalogue, DateTime<Utc>) -> T,
    ) -> T {
        let (songs, now) = (self.songs(Provider::Spotify), self.now());
        let player = players.entry(account.to_owned()).or_insert_with(|| Player::new(account, songs, now));
        player.advance(songs, now);
        look(player, songs, now)
    }

    fn entries_of(&self, tracks: &[&str], added_by: &str) -> Vec<Entry> {
        let now = self.now();
        tracks.iter().map(|id| Entry::track(self.random_uuid(), id, now, added_by)).collect()
    }

    fn touch_playlist(
        &self,
        provider: Provider,
        playlist_id: &str,
        change: impl FnOnce(&mut Playlist, &Self),
    ) -> bool {
        let now = self.now();
        self.write(|model| {
            let Some(playlist) = model.side_mut(provider).playlists.get_mut(playlist_id) else {
                return false;
            };
            change(playlist, self);
            playlist.touch(now);
            true
        })
    }
}
