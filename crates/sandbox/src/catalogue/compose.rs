//! The whole repertoire before any provider takes its part: artists, their releases, and what makes matching
//! hard: reissues with the same ISRCs, live and remix variants, compilations, artists of one name.

use super::AlbumKind;
use super::dice::Dice;
use super::words;

const ARTISTS: usize = 300;
const COMPILATIONS: usize = 8;

/// Everything that was ever released.
#[derive(Debug, Default)]
pub(crate) struct Master {
    pub(super) artists: Vec<MasterArtist>,
    pub(super) albums: Vec<MasterAlbum>,
}

#[derive(Debug)]
pub(super) struct MasterArtist {
    pub(super) name: String,
    pub(super) genre: &'static str,
    pub(super) popularity: u8,
}

#[derive(Debug)]
pub(super) struct MasterAlbum {
    pub(super) title: String,
    pub(super) version: Option<String>,
    pub(super) artists: Vec<usize>,
    pub(super) upc: String,
    pub(super) release_date: String,
    pub(super) kind: AlbumKind,
    pub(super) label: &'static str,
    pub(super) popularity: u8,
    pub(super) tracks: Vec<MasterTrack>,
}

#[derive(Debug, Clone)]
pub(super) struct MasterTrack {
    pub(super) title: String,
    pub(super) version: Option<String>,
    pub(super) artists: Vec<usize>,
    pub(super) isrc: String,
    pub(super) duration_ms: u64,
    pub(super) explicit: bool,
    pub(super) beats_per_minute: u16,
    pub(super) key: usize,
    pub(super) popularity: u8,
}

/// The repertoire that `seed` decides.
pub(crate) fn compose(seed: u64) -> Master {
    let mut composer = Composer { dice: Dice::new(seed), master: Master::default(), recordings: 0 };
    composer.add_artists();
    for artist in 0..ARTISTS {
        composer.add_discography(artist);
    }
    composer.add_compilations();
    composer.add_awkward_album();
    composer.master
}

struct Composer {
    dice: Dice,
    master: Master,
    recordings: u32,
}

impl Composer {
    fn add_artists(&mut self) {
        for position in 0..ARTISTS {
            // Every thirtieth artist goes by the name of an earlier one, as in life.
            let name = if position % 30 == 29 {
                self.master.artists[position / 2].name.clone()
            } else {
                words::artist_name(&mut self.dice)
            };
            let genre = self.dice.pick(words::GENRES);
            let popularity = self.score();
            self.master.artists.push(MasterArtist { name, genre, popularity });
        }
    }

    fn add_discography(&mut self, artist: usize) {
        let albums = 1 + usize::from(self.dice.percent(55));
        for _ in 0..albums {
            let (kind, length) = match self.dice.below(20) {
                0..=13 => (AlbumKind::Album, 8 + self.dice.position(5)),
                14..=16 => (AlbumKind::Ep, 4 + self.dice.position(3)),
                _ => (AlbumKind::Single, 1 + self.dice.position(2)),
            };
            let original = self.original(artist, kind, length);
            let reissued = kind == AlbumKind::Album && self.dice.percent(14);
            let live = kind == AlbumKind::Album && self.dice.percent(8);
            let remixed = self.dice.percent(10);
            let at = self.master.albums.len();
            self.master.albums.push(original);
            if reissued {
                self.add_reissue(at);
            }
            if live {
                self.add_live_album(at);
            }
            if remixed {
                self.add_remix_single(at);
            }
        }
    }

    fn original(&mut self, artist: usize, kind: AlbumKind, length: usize) -> MasterAlbum {
        let title = words::album_title(&mut self.dice);
        let mut tracks = Vec::with_capacity(length);
        for number in 0..length {
            // A title track opens a third of the albums.
            let name = if number == 0 && self.dice.percent(33) {
                title.clone()
            } else {
                words::title(&mut self.dice)
            };
            let mut artists = vec![artist];
            if self.dice.percent(9) {
                let guest = self.dice.position(ARTISTS);
                if guest != artist {
                    artists.push(guest);
                }
            }
            tracks.push(self.recording(name, None, artists));
        }
        self.album(title, None, vec![artist], kind, tracks)
    }

    /// The same recordings, so the same ISRCs, on another release, and two more at the end.
    fn add_reissue(&mut self, original: usize) {
        let (title, artists) = self.title_and_artists(original);
        let mut tracks = self.master.albums[original].tracks.clone();
        let year = 2005 + self.dice.below(20);
        let version = if self.dice.percent(50) {
            "Deluxe Edition".to_owned()
        } else {
            let remastered = format!("{year} Remaster");
            for track in &mut tracks {
                track.version = Some(remastered.clone());
            }
            remastered
        };
        let first = tracks[0].title.clone();
        tracks.push(self.recording(first.clone(), Some("Demo".to_owned()), artists.clone()));
        let venue = words::venue(&mut self.dice);
        tracks.push(self.recording(first, Some(format!("Live at {venue}")), artists.clone()));
        let album = self.album(title, Some(version), artists, AlbumKind::Album, tracks);
        self.master.albums.push(album);
    }

    fn add_live_album(&mut self, original: usize) {
        let (title, artists) = self.title_and_artists(original);
        let version = format!("Live at {}", words::venue(&mut self.dice));
        let titles: Vec<String> =
            self.master.albums[original].tracks.iter().map(|track| track.title.clone()).collect();
        let tracks = titles
            .into_iter()
            .map(|title| self.recording(title, Some(version.clone()), artists.clone()))
            .collect();
        let album = self.album(title, Some(version), artists, AlbumKind::Album, tracks);
        self.master.albums.push(album);
    }

    fn add_remix_single(&mut self, original: usize) {
        let (_, mut artists) = self.title_and_artists(original);
        let title = self.master.albums[original].tracks[0].title.clone();
        let remixer = self.dice.position(ARTISTS);
        let version = format!("{} Remix", self.master.artists[remixer].name);
        if !artists.contains(&remixer) {
            artists.push(remixer);
        }
        let tracks = vec![
            self.recording(title.clone(), Some(version.clone()), artists.clone()),
            self.recording(title.clone(), Some("Extended Mix".to_owned()), artists.clone()),
        ];
        let album = self.album(title, Some(version), artists, AlbumKind::Single, tracks);
        self.master.albums.push(album);
    }

    fn add_compilations(&mut self) {
        let various = self.master.artists.len();
        self.master.artists.push(MasterArtist {
            name: "Various Artists".to_owned(),
            genre: "various",
            popularity: 5,
        });
        let sources = self.master.albums.len();
        for volume in 1..=COMPILATIONS {
            let tracks = (0..15)
                .map(|_| {
                    let album = self.dice.position(sources);
                    let track = self.dice.position(self.master.albums[album].tracks.len());
                    self.master.albums[album].tracks[track].clone()
                })
                .collect();
            let title = format!("Stage Door Sessions, Vol. {volume}");
            let album = self.album(title, None, vec![various], AlbumKind::Compilation, tracks);
            self.master.albums.push(album);
        }
    }

    fn add_awkward_album(&mut self) {
        let artist = self.master.artists.len();
        self.master.artists.push(MasterArtist {
            name: "Fine Print".to_owned(),
            genre: "art pop",
            popularity: 12,
        });
        let tracks = words::AWKWARD_TITLES
            .iter()
            .map(|title| self.recording((*title).to_owned(), None, vec![artist]))
            .collect();
        let album = self.album("Terms & Conditions".to_owned(), None, vec![artist], AlbumKind::Album, tracks);
        self.master.albums.push(album);
    }

    fn title_and_artists(&self, album: usize) -> (String, Vec<usize>) {
        (self.master.albums[album].title.clone(), self.master.albums[album].artists.clone())
    }

    fn album(
        &mut self,
        title: String,
        version: Option<String>,
        artists: Vec<usize>,
        kind: AlbumKind,
        tracks: Vec<MasterTrack>,
    ) -> MasterAlbum {
        let year = 1962 + self.dice.below(64);
        let (month, day) = (1 + self.dice.below(12), 1 + self.dice.below(28));
        let release_date = match self.dice.below(20) {
            0 => format!("{year}"),
            1 => format!("{year}-{month:02}"),
            _ => format!("{year}-{month:02}-{day:02}"),
        };
        let label = self.dice.pick(words::LABELS);
        let popularity = self.score();
        let upc = upc(self.master.albums.len() as u64);
        MasterAlbum { title, version, artists, upc, release_date, kind, label, popularity, tracks }
    }

    fn recording(&mut self, title: String, version: Option<String>, artists: Vec<usize>) -> MasterTrack {
        self.recordings += 1;
        let country = self.dice.pick(&["GB", "US", "SE", "DE", "FR", "JP", "BR", "QM"]);
        let isrc =
            format!("{country}SD{}{:02}{:05}", self.dice.below(10), self.dice.below(26), self.recordings);
        MasterTrack {
            title,
            version,
            artists,
            isrc,
            duration_ms: 95_000 + self.dice.below(290_000),
            explicit: self.dice.percent(8),
            beats_per_minute: 60 + u16::try_from(self.dice.below(120)).unwrap_or(0),
            key: self.dice.position(12),
            popularity: self.score(),
        }
    }

    fn score(&mut self) -> u8 {
        u8::try_from(self.dice.below(70) + self.dice.below(31)).unwrap_or(50)
    }
}

/// A UPC-A below a prefix of ours.
fn upc(number: u64) -> String {
    let digits = format!("198{number:08}");
    let check = check_digit(&digits);
    format!("{digits}{check}")
}

/// The check digit of eleven digits (GS1 General Specifications §7.9).
fn check_digit(digits: &str) -> u32 {
    let weighted: u32 = digits
        .bytes()
        .enumerate()
        .map(|(at, digit)| u32::from(digit - b'0') * if at % 2 == 0 { 3 } else { 1 })
        .sum();
    (10 - weighted % 10) % 10
}

#[cfg(test)]
mod tests {
    use super::{check_digit, upc};

    #[test]
    fn a_upc_ends_in_its_check_digit() {
        // The code 036000291452 is the usual textbook example.
        assert_eq!(check_digit("03600029145"), 2);
        assert_eq!(upc(7).len(), 12);
    }
}
