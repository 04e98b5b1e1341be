//! One entry of a part: what it says, or that it says nothing that is understood.

use chrono::{DateTime, Datelike as _, NaiveDateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::{Form, Play};

/// The first year of which plays are believed: the service began in 2006.
const FIRST_YEAR: i32 = 2006;

/// What an entry is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Play(Play),
    Other,
    Malformed,
}

#[derive(Deserialize)]
struct Extended {
    ts: DateTime<Utc>,
    ms_played: i64,
    spotify_track_uri: Option<String>,
    #[serde(rename = "master_metadata_track_name")]
    title: Option<String>,
    #[serde(rename = "master_metadata_album_artist_name")]
    artist: Option<String>,
    #[serde(rename = "master_metadata_album_album_name")]
    album: Option<String>,
    skipped: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Short {
    end_time: String,
    artist_name: String,
    track_name: String,
    ms_played: i64,
}

/// Names of what the service cannot name any more, in the short form.
const UNKNOWN: [&str; 2] = ["Unknown Artist", "Unknown Track"];

pub(crate) fn read(form: Form, entry: Value) -> Entry {
    match form {
        Form::Extended => extended(entry),
        Form::Short => short(entry),
    }
}

fn extended(entry: Value) -> Entry {
    let Ok(read) = serde_json::from_value::<Extended>(entry) else { return Entry::Malformed };
    let Some(reference) = read.spotify_track_uri else { return Entry::Other };
    let (Some(title), Some(artist)) = (read.title, read.artist) else { return Entry::Other };
    if !reference.strip_prefix("spotify:track:").is_some_and(is_id) {
        return Entry::Malformed;
    }
    play(Play {
        ended_at: read.ts,
        ms_played: match u32::try_from(read.ms_played) {
            Ok(ms) => ms,
            Err(_) => return Entry::Malformed,
        },
        reference: Some(reference),
        title,
        artist,
        album: read.album,
        skipped: read.skipped,
    })
}

fn short(entry: Value) -> Entry {
    let Ok(read) = serde_json::from_value::<Short>(entry) else { return Entry::Malformed };
    let ended_at = NaiveDateTime::parse_from_str(&read.end_time, "%Y-%m-%d %H:%M");
    let (Ok(ended_at), Ok(ms_played)) = (ended_at, u32::try_from(read.ms_played)) else {
        return Entry::Malformed;
    };
    if UNKNOWN == [&*read.artist_name, &*read.track_name] {
        return Entry::Other;
    }
    play(Play {
        ended_at: ended_at.and_utc(),
        ms_played,
        reference: None,
        title: read.track_name,
        artist: read.artist_name,
        album: None,
        skipped: None,
    })
}

fn play(play: Play) -> Entry {
    if play.title.is_empty() || play.ended_at.year() < FIRST_YEAR {
        Entry::Malformed
    } else {
        Entry::Play(play)
    }
}

fn is_id(id: &str) -> bool {
    id.len() == 22 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample() -> Value {
        json!({
            "ts": "2023-05-04T21:09:08Z", "username": "ada", "platform": "linux", "ms_played": 181_440,
            "conn_country": "DE", "ip_addr_decrypted": "192.0.2.1", "master_metadata_track_name": "Song",
            "master_metadata_album_artist_name": "The Testers", "master_metadata_album_album_name": "Album",
            "spotify_track_uri": "spotify:track:0000000000000000000001", "episode_name": null,
            "reason_start": "trackdone", "reason_end": "trackdone", "shuffle": false, "skipped": true,
            "offline": false, "offline_timestamp": 1_683_234_366, "incognito_mode": false,
        })
    }

    fn with(field: &str, value: Value) -> Entry {
        let mut entry = sample();
        entry[field] = value;
        read(Form::Extended, entry)
    }

    #[test]
    fn the_extended_form_is_read() {
        let Entry::Play(play) = read(Form::Extended, sample()) else { panic!("a play") };
        assert_eq!(play.ended_at.to_rfc3339(), "2023-05-04T21:09:08+00:00");
        assert_eq!((play.ms_played, play.skipped), (181_440, Some(true)));
        assert_eq!(
            (&*play.title, &*play.artist, play.album.as_deref()),
            ("Song", "The Testers", Some("Album"))
        );
        let Entry::Play(old) = with("skipped", Value::Null) else { panic!("a play") };
        assert_eq!(old.skipped, None, "older entries do not tell");
        assert_eq!(with("spotify_track_uri", Value::Null), Entry::Other, "an episode");
        assert_eq!(with("master_metadata_track_name", Value::Null), Entry::Other, "a track that is gone");
        for (field, value) in [
            ("ts", json!("yesterday")),
            ("ts", json!("1970-01-01T00:00:00Z")),
            ("ts", Value::Null),
            ("ms_played", json!(-1)),
            ("ms_played", json!(5_000_000_000_u64)),
            ("ms_played", json!("181440")),
            ("spotify_track_uri", json!("spotify:track:x")),
            ("spotify_track_uri", json!("https://open.spotify.com/track/0000000000000000000001")),
            ("master_metadata_track_name", json!("")),
            ("skipped", json!("yes")),
        ] {
            assert_eq!(with(field, value.clone()), Entry::Malformed, "{field}: {value}");
        }
        assert_eq!(read(Form::Extended, json!([])), Entry::Malformed);
    }

    #[test]
    fn the_short_form_is_read() {
        let entry = |time: &str, ms: i64| {
            let entry =
                json!({"endTime": time, "artistName": "The Testers", "trackName": "Song", "msPlayed": ms});
            read(Form::Short, entry)
        };
        let Entry::Play(play) = entry("2023-05-04 21:09", 181_440) else { panic!("a play") };
        assert_eq!(play.ended_at.to_rfc3339(), "2023-05-04T21:09:00+00:00");
        assert_eq!((play.reference, play.skipped, play.ms_played), (None, None, 181_440));
        assert_eq!(entry("2023-05-04T21:09", 1), Entry::Malformed);
        assert_eq!(entry("2023-05-04 21:09", -5), Entry::Malformed);
        let unknown = json!({"endTime": "2023-05-04 21:09", "artistName": "Unknown Artist",
            "trackName": "Unknown Track", "msPlayed": 1});
        assert_eq!(read(Form::Short, unknown), Entry::Other);
    }
}
