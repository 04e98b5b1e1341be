//! Made-up listeners: the same seed gives the same plays.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use stagedoor_domain::music::Provider;
use stagedoor_insights::{Play, PlaySource, PlayedTrack};

const HOUR: i64 = 3_600_000;

/// How a listener is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listener {
    pub(crate) seed: u64,
    pub(crate) plays: usize,
    /// Milliseconds since 1970.
    pub(crate) from: i64,
    pub(crate) until: i64,
    /// Different tracks that may be heard.
    pub(crate) tracks: usize,
}

/// The plays of a listener, in no order. Some are at the same time, some at the very beginning or end of an hour; some have
/// no reference, no length, no album or several spellings of their names.
pub(crate) fn plays(listener: Listener) -> Vec<Play> {
    let mut dice = StdRng::seed_from_u64(listener.seed);
    let tracks: Vec<PlayedTrack> = (0..listener.tracks).map(|number| track(number, &mut dice)).collect();
    let mut plays: Vec<Play> = vec![];
    for _ in 0..listener.plays {
        let mut played_at = dice.random_range(listener.from..listener.until);
        // Half of what is heard is what a listener has on their mind at that time. Of all the rest, a few tracks are heard
        // often, most seldom.
        let number = if dice.random() {
            let month = usize::try_from(played_at / (30 * 24 * HOUR)).unwrap();
            (month * 7_919 + dice.random_range(0..300)) % tracks.len()
        } else {
            index(dice.random::<f64>().powi(3), tracks.len())
        };
        let mut track = tracks[number].clone();
        if dice.random_range(0..20) == 0 {
            track.title.push_str(" (Live)");
            track.artists.iter_mut().for_each(|name| *name = name.to_uppercase());
        }
        match dice.random_range(0..20) {
            0 => played_at -= played_at.rem_euclid(HOUR),
            1 => played_at -= played_at.rem_euclid(HOUR) + 1,
            2 => played_at = plays.last().map_or(played_at, |play| play.played_at),
            _ => {}
        }
        let imported = dice.random_range(0..3) > 0;
        let duration = track.duration_ms.unwrap_or(240_000);
        plays.push(Play {
            played_at: played_at.clamp(listener.from, listener.until - 1),
            provider: Provider::Spotify,
            track,
            ms_played: imported.then(|| dice.random_range(0..=duration)),
            skipped: if imported { Some(dice.random_range(0..6) == 0) } else { None },
            source: if imported { PlaySource::Import } else { PlaySource::Poll },
        });
    }
    plays
}

fn track(number: usize, dice: &mut StdRng) -> PlayedTrack {
    let artist = dice.random_range(0..=number / 8);
    let mut artists = vec![format!("Artist {artist}")];
    if number.is_multiple_of(5) {
        artists.push(format!("Guest {}", number % 17));
    }
    let rare = dice.random_range(0..12);
    PlayedTrack {
        reference: (rare > 0).then(|| format!("spotify:track:{number:022}")),
        title: format!("Song \u{e9} {}", number / 2),
        artists,
        album: (rare != 1).then(|| format!("Album {}", number / 10)),
        genres: if number.is_multiple_of(3) { vec![format!("genre {}", number % 7)] } else { vec![] },
        duration_ms: (rare != 2).then(|| dice.random_range(60_000..400_000)),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a part of a small number"
)]
fn index(part: f64, count: usize) -> usize {
    ((part * count as f64) as usize).min(count - 1)
}
