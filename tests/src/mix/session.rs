//! What an agent calls in one conversation, by what the person wants of it. Times are tenths of a second.

use super::call::{Agent, Call, Query, Timed};
use super::chance::Chance;
use super::people::{Person, Popularity};

/// A client answers with this many items of a playlist at a time by default.
const PAGE: u16 = 50;
/// Playlists of one page.
const LISTED: usize = 20;

/// What a person wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// A song or two, found and opened.
    LookUp,
    /// An artist and some albums.
    Artist,
    /// A playlist read, added to, checked.
    Upkeep,
    /// What is in my playlists?
    Review,
    /// A new playlist of songs that the model thought of.
    Build,
    /// What is behind this link?
    Link,
    /// A run of the agent that works on a schedule.
    Watch,
}

/// A conversation under way.
#[derive(Debug)]
pub(super) struct Session<'a> {
    pub(super) agent: Agent,
    pub(super) person: &'a Person,
    pub(super) popularity: &'a Popularity,
    pub(super) chance: Chance,
    pub(super) at: u64,
    /// What the conversation was about so far.
    pub(super) topics: Vec<u16>,
    /// How many playlists the person has by now.
    pub(super) playlists: usize,
    pub(super) calls: Vec<Timed>,
}

impl Session<'_> {
    /// Everything that is called for the wish; `earlier` is what a conversation before it was about.
    pub(super) fn run(&mut self, wish: Wish, earlier: &[u16]) {
        if wish != Wish::Watch && self.chance.happens(400) {
            self.call(Call::Accounts);
        }
        match wish {
            Wish::LookUp => self.look_up(earlier),
            Wish::Artist => self.artist(earlier),
            Wish::Upkeep => self.upkeep(earlier),
            Wish::Review => self.review(),
            Wish::Build => self.build(),
            Wish::Link => self.link(),
            Wish::Watch => self.watch(),
        }
    }

    fn look_up(&mut self, earlier: &[u16]) {
        for turn in 0..self.chance.times(450, 5) {
            if turn > 0 {
                self.next_turn();
            }
            let rank = self.topic(earlier);
            self.search_for(rank);
            if self.chance.happens(500) {
                self.read(&Call::Track(rank));
            }
            if self.chance.happens(250) {
                self.read(&Call::Album(rank));
            }
            if self.chance.happens(150) {
                self.read(&Call::Artist(rank));
            }
        }
    }

    fn artist(&mut self, earlier: &[u16]) {
        let rank = self.topic(earlier);
        self.read(&Call::Search(Query::Artist(rank), 0));
        self.read(&Call::Artist(rank));
        for _ in 0..self.chance.times(500, 5) {
            if self.chance.happens(400) {
                self.next_turn();
            }
            let rank = if self.chance.happens(600) { rank } else { self.topic(&[]) };
            self.read(&Call::Album(rank));
            if self.chance.happens(300) {
                self.read(&Call::Track(rank));
            }
        }
    }

    fn upkeep(&mut self, earlier: &[u16]) {
        let playlist = self.find_playlist();
        for _ in 0..self.chance.times(500, 6) {
            self.next_turn();
            let rank = self.topic(earlier);
            self.search_for(rank);
            if self.chance.happens(200) {
                self.read(&Call::Track(rank));
            }
            self.call(Call::Add(playlist, vec![rank]));
            // Models like to see that it worked.
            if self.chance.happens(600) {
                self.read(&Call::Playlist(playlist, 0));
            }
        }
    }

    fn review(&mut self) {
        let playlist = self.find_playlist();
        for _ in 0..self.chance.times(550, 6) {
            self.next_turn();
            // A model reads again what it has read a turn ago, rather than remember a list.
            if self.chance.happens(500) {
                self.read_playlist(playlist);
            } else {
                let another = self.some_playlist();
                self.read_playlist(another);
            }
            if self.chance.happens(250) {
                let rank = self.topic(&[]);
                self.read(&Call::Track(rank));
            }
        }
    }

    fn build(&mut self) {
        let count = self.chance.quantile(&[(0, 6), (500, 12), (1_000, 25)]);
        let ranks: Vec<u16> = (0..count).map(|_| self.popularity.anything(&mut self.chance, 150)).collect();
        for rank in &ranks {
            let form = self.form();
            self.read(&Call::Search(Query::Track { rank: *rank, form, few: true }, 0));
        }
        self.next_turn();
        self.call(Call::Create);
        let playlist = u8::try_from(self.playlists).unwrap_or(u8::MAX);
        self.playlists += 1;
        self.call(Call::Add(playlist, ranks));
        self.read(&Call::Playlist(playlist, 0));
        if self.chance.happens(300) {
            self.next_turn();
            self.read(&Call::Playlist(playlist, 0));
        }
    }

    fn link(&mut self) {
        let rank = self.popularity.anything(&mut self.chance, 100);
        self.topics.push(rank);
        let resolve = if self.chance.happens(800) { Call::Link(rank) } else { Call::Isrc(rank) };
        self.read(&resolve);
        let opened = if self.chance.happens(600) { Call::Album(rank) } else { Call::Artist(rank) };
        self.read(&opened);
        if self.chance.happens(300) {
            let playlist = self.find_playlist();
            self.call(Call::Add(playlist, vec![rank]));
        }
    }

    fn watch(&mut self) {
        self.read(&Call::Playlists(0));
        // The same ones at each run.
        for playlist in 0..self.person.playlists.len().min(2) {
            self.read_playlist(u8::try_from(playlist).unwrap_or_default());
        }
        if self.chance.happens(100) {
            let rank = self.topic(&[]);
            self.search_for(rank);
            self.call(Call::Add(0, vec![rank]));
        }
    }

    /// The list of playlists, and one of them read.
    fn find_playlist(&mut self) -> u8 {
        self.read(&Call::Playlists(0));
        if self.playlists > LISTED && self.chance.happens(500) {
            self.call(Call::Playlists(1));
        }
        let playlist = self.some_playlist();
        self.read_playlist(playlist);
        playlist
    }

    fn some_playlist(&mut self) -> u8 {
        let first = u32::from(self.playlists > 1);
        let most = u32::try_from(self.playlists).unwrap_or(1).max(1);
        u8::try_from(self.chance.times(500 * first, most) - 1).unwrap_or_default()
    }

    fn read_playlist(&mut self, playlist: u8) {
        self.read(&Call::Playlist(playlist, 0));
        let tracks = self.person.playlists.get(usize::from(playlist)).copied().unwrap_or(0);
        for page in 1..=u8::try_from(tracks.saturating_sub(1) / PAGE).unwrap_or(0) {
            if !self.chance.happens(600) {
                break;
            }
            self.call(Call::Playlist(playlist, page));
        }
    }

    fn search_for(&mut self, rank: u16) {
        let query = if self.chance.happens(150) {
            Query::Theme(u16::try_from(self.chance.below(60_000)).unwrap_or_default())
        } else {
            Query::Track { rank, form: self.form(), few: self.chance.happens(250) }
        };
        self.read(&Call::Search(query, 0));
        let mut page = 0;
        while page < 3 && self.chance.happens(150) {
            page += 1;
            self.call(Call::Search(query, page));
        }
    }

    fn form(&mut self) -> u8 {
        self.chance.weighted(&[(60, 0), (15, 1), (15, 2), (10, 3)])
    }

    /// What is talked about next: the same still, something of an earlier conversation, or something new.
    fn topic(&mut self, earlier: &[u16]) -> u16 {
        let rank = if let Some(last) = self.topics.last().copied().filter(|_| self.chance.happens(300)) {
            last
        } else if !earlier.is_empty() && self.chance.happens(600) {
            earlier[usize::try_from(self.chance.below(earlier.len() as u64)).unwrap_or_default()]
        } else {
            self.popularity.interest(&mut self.chance, self.person)
        };
        self.topics.push(rank);
        rank
    }

    /// A call that changes nothing, and one in four times the same again later in the conversation: models do not
    /// remember lists, plans are made anew, a second worker begins from the start.
    fn read(&mut self, call: &Call) {
        let mut at = self.at;
        for _ in 0..self.chance.times(250, 4) {
            self.push(at, call.clone());
            at += self.chance.quantile(&[(0, 5), (250, 100), (500, 400), (750, 1_200), (1_000, 4_800)]);
        }
        self.pause();
    }

    fn call(&mut self, call: Call) {
        self.push(self.at, call);
        self.pause();
    }

    fn push(&mut self, at: u64, call: Call) {
        self.calls.push(Timed { at: u32::try_from(at).unwrap_or(u32::MAX), agent: self.agent, call });
    }

    fn pause(&mut self) {
        self.at += self.chance.quantile(&[(0, 3), (250, 12), (500, 20), (750, 35), (950, 90), (1_000, 200)]);
    }

    /// The person reads, thinks, writes.
    fn next_turn(&mut self) {
        self.at += self.chance.quantile(&[
            (0, 50),
            (250, 200),
            (500, 400),
            (750, 800),
            (950, 2_400),
            (1_000, 6_000),
        ]);
    }
}
