//! One call of the mix and how it is written: `TENTHS AGENT CALL`, such as `18342 c17.0 search t84.1>2`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use stagedoor_domain::Provider;

/// A population of the mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Population {
    /// A tenant with many people, all at Spotify.
    Consumer,
    /// A tenant with fewer, half of them at Tidal.
    Company,
    /// People who run it for themselves: each is a tenant, half of them at Tidal.
    Home,
}

/// One agent of a person: a client with a key of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Agent {
    /// Whom the person belongs to.
    pub population: Population,
    /// The person's number within it.
    pub person: u16,
    /// 0 and 1 are for conversations, 2 runs on a schedule.
    pub number: u8,
}

/// What is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Query {
    /// A track by its rank, in one of the ways in which agents write it.
    Track {
        /// Its popularity rank, from 0.
        rank: u16,
        /// 0 `Artist Title`, 1 `Title Artist`, 2 `Title`, 3 `title by artist`.
        form: u8,
        /// Whether five results are asked for instead of the default.
        few: bool,
    },
    /// The artist of a track.
    Artist(u16),
    /// Words that nobody else uses.
    Theme(u16),
}

/// What is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Call {
    /// `accounts_list`.
    Accounts,
    /// `search`, and which page of it, from 0.
    Search(Query, u8),
    /// `track_get` of a rank.
    Track(u16),
    /// `album_get` of the album of a rank.
    Album(u16),
    /// `artist_get` of the artist of a rank.
    Artist(u16),
    /// `resolve` of the ISRC of a rank.
    Isrc(u16),
    /// `resolve` of the link of a rank.
    Link(u16),
    /// `playlists_list`, and which page.
    Playlists(u8),
    /// `playlist_get` of one of the person's playlists, and which page.
    Playlist(u8, u8),
    /// `playlist_create`; the person's next number.
    Create,
    /// `playlist_add` of ranks to one of the person's playlists.
    Add(u8, Vec<u16>),
}

/// A call at its time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Timed {
    /// Since the start, in tenths of a second.
    pub at: u32,
    /// Who calls.
    pub agent: Agent,
    /// What.
    pub call: Call,
}

/// A line that is no call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no call of a mix: {0:?}")]
pub struct InvalidCall(String);

impl Population {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Consumer, Self::Company, Self::Home];

    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Company => "company",
            Self::Home => "home",
        }
    }

    const fn letter(self) -> char {
        match self {
            Self::Consumer => 'c',
            Self::Company => 'o',
            Self::Home => 'h',
        }
    }
}

impl Agent {
    /// The person's tenant, by its name in URLs.
    pub fn tenant(self) -> String {
        match self.population {
            Population::Consumer | Population::Company => self.population.as_str().to_owned(),
            Population::Home => format!("home-{}", self.person),
        }
    }

    /// The service that the person uses.
    pub const fn provider(self) -> Provider {
        match self.population {
            Population::Consumer => Provider::Spotify,
            Population::Company | Population::Home if self.person.is_multiple_of(2) => Provider::Spotify,
            Population::Company | Population::Home => Provider::Tidal,
        }
    }
}

impl Timed {
    /// Since the start.
    pub fn since_start(&self) -> Duration {
        Duration::from_millis(u64::from(self.at) * 100)
    }
}

impl Call {
    /// The class whose rules its answer is kept by; `None` if it is not kept.
    pub const fn class(&self) -> Option<&'static str> {
        match self {
            Self::Search(..) => Some("search"),
            Self::Track(_) | Self::Isrc(_) | Self::Link(_) => Some("track"),
            Self::Album(_) | Self::Artist(_) => Some("metadata"),
            Self::Playlists(_) | Self::Playlist(..) => Some("playlist"),
            Self::Accounts | Self::Create | Self::Add(..) => None,
        }
    }

    /// The page that it asks for, from 0.
    pub const fn page(&self) -> u8 {
        match self {
            Self::Search(_, page) | Self::Playlists(page) | Self::Playlist(_, page) => *page,
            _ => 0,
        }
    }

    /// The call whose answer has the cursor of this one's page.
    #[must_use]
    pub fn page_before(&self) -> Self {
        match self {
            Self::Search(query, page) => Self::Search(*query, page.saturating_sub(1)),
            Self::Playlists(page) => Self::Playlists(page.saturating_sub(1)),
            Self::Playlist(playlist, page) => Self::Playlist(*playlist, page.saturating_sub(1)),
            other => other.clone(),
        }
    }
}

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}.{}", self.population.letter(), self.person, self.number)
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Track { rank, form, few: false } => write!(f, "t{rank}.{form}"),
            Self::Track { rank, form, few: true } => write!(f, "f{rank}.{form}"),
            Self::Artist(rank) => write!(f, "a{rank}"),
            Self::Theme(number) => write!(f, "u{number}"),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accounts => f.write_str("accounts")?,
            Self::Search(query, _) => write!(f, "search {query}")?,
            Self::Track(rank) => write!(f, "track {rank}")?,
            Self::Album(rank) => write!(f, "album {rank}")?,
            Self::Artist(rank) => write!(f, "artist {rank}")?,
            Self::Isrc(rank) => write!(f, "isrc {rank}")?,
            Self::Link(rank) => write!(f, "link {rank}")?,
            Self::Playlists(_) => f.write_str("playlists")?,
            Self::Playlist(playlist, _) => write!(f, "playlist {playlist}")?,
            Self::Create => f.write_str("create")?,
            Self::Add(playlist, ranks) => {
                let ranks: Vec<String> = ranks.iter().map(u16::to_string).collect();
                write!(f, "add {playlist}:{}", ranks.join(","))?;
            }
        }
        match self.page() {
            0 => Ok(()),
            page => write!(f, ">{page}"),
        }
    }
}

impl fmt::Display for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.at, self.agent, self.call)
    }
}

impl FromStr for Timed {
    type Err = InvalidCall;

    fn from_str(line: &str) -> Result<Self, InvalidCall> {
        let parts: Vec<&str> = line.split(' ').collect();
        let (verb, object) = match parts.as_slice() {
            [_, _, verb] => (*verb, ""),
            [_, _, verb, object] => (*verb, *object),
            _ => return Err(InvalidCall(line.to_owned())),
        };
        let read =
            || Some(Self { at: parts[0].parse().ok()?, agent: agent(parts[1])?, call: call(verb, object)? });
        read().ok_or_else(|| InvalidCall(line.to_owned()))
    }
}

fn agent(text: &str) -> Option<Agent> {
    let population = Population::ALL.into_iter().find(|known| text.starts_with(known.letter()))?;
    let (person, number) = text[1..].split_once('.')?;
    Some(Agent { population, person: person.parse().ok()?, number: number.parse().ok()? })
}

fn call(verb: &str, object: &str) -> Option<Call> {
    let (verb, object, page) = match (verb.split_once('>'), object.split_once('>')) {
        (Some((verb, page)), None) => (verb, object, page.parse().ok()?),
        (None, Some((object, page))) => (verb, object, page.parse().ok()?),
        (None, None) => (verb, object, 0),
        (Some(_), Some(_)) => return None,
    };
    let rank = || object.parse::<u16>().ok();
    Some(match verb {
        "accounts" => Call::Accounts,
        "search" => Call::Search(query(object)?, page),
        "track" => Call::Track(rank()?),
        "album" => Call::Album(rank()?),
        "artist" => Call::Artist(rank()?),
        "isrc" => Call::Isrc(rank()?),
        "link" => Call::Link(rank()?),
        "playlists" => Call::Playlists(page),
        "playlist" => Call::Playlist(object.parse().ok()?, page),
        "create" => Call::Create,
        "add" => {
            let (playlist, ranks) = object.split_once(':')?;
            let ranks: Result<Vec<u16>, _> = ranks.split(',').map(str::parse).collect();
            Call::Add(playlist.parse().ok()?, ranks.ok()?)
        }
        _ => return None,
    })
}

fn query(text: &str) -> Option<Query> {
    let rest = text.get(1..)?;
    Some(match text.as_bytes()[0] {
        kind @ (b't' | b'f') => {
            let (rank, form) = rest.split_once('.')?;
            Query::Track { rank: rank.parse().ok()?, form: form.parse().ok()?, few: kind == b'f' }
        }
        b'a' => Query::Artist(rest.parse().ok()?),
        b'u' => Query::Theme(rest.parse().ok()?),
        _ => return None,
    })
}
