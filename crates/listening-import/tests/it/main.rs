//! Whole data downloads, made here: read to the end, gone on with, damaged, and made to burst.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Cursor, Write as _};

use serde_json::{Value, json};
use stagedoor_listening_import::{Archive, BATCH, Batch, Form, ImportError, Limits};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn archive(files: &[(&str, Vec<u8>)]) -> Cursor<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap()
}

fn entry(second: i64) -> Value {
    let ts = chrono::DateTime::from_timestamp(1_600_000_000 + second, 0).unwrap();
    json!({
        "ts": ts.to_rfc3339_opts(chrono::SecondsFormat::Secs, true), "ms_played": 30_000 + second,
        "spotify_track_uri": format!("spotify:track:{:022}", second % 97),
        "master_metadata_track_name": format!("Song {}", second % 97),
        "master_metadata_album_artist_name": "The Testers", "master_metadata_album_album_name": "Album",
        "skipped": second % 2 == 0,
        // Entries differ as the service's do; equal ones would be packed as only bombs are.
        "platform": format!("{:x}", (second + 7).wrapping_mul(0x1E37_79B9_7F4A_7C15) % 1_000_003),
    })
}

fn entries(seconds: impl Iterator<Item = i64>) -> Vec<u8> {
    serde_json::to_vec(&seconds.map(entry).collect::<Vec<_>>()).unwrap()
}

fn open(file: Cursor<Vec<u8>>) -> Result<Archive<Cursor<Vec<u8>>>, ImportError> {
    Archive::open(file, Limits::default())
}

fn batches(file: Cursor<Vec<u8>>, part: usize, done: u64) -> (Vec<Batch>, Result<(), ImportError>) {
    let mut archive = open(file).unwrap();
    let part = archive.parts()[part].clone();
    let mut found = Vec::new();
    let ended = archive.read(&part, done, |batch| {
        found.push(batch);
        Ok(())
    });
    (found, ended)
}

#[test]
fn parts_come_in_order_and_every_entry_once() {
    let mut odd: Vec<Value> = (0..3).map(entry).collect();
    odd[1]["spotify_track_uri"] = Value::Null;
    odd.extend([json!({"ts": 7}), json!("nonsense"), entry(9)]);
    let file = archive(&[
        ("MyData/StreamingHistory_music_0.json", b"[]".to_vec()),
        ("MyData/ReadMe.pdf", b"x".to_vec()),
        ("MyData/Streaming_History_Audio_2021_1.json", serde_json::to_vec(&odd).unwrap()),
        ("MyData/Streaming_History_Audio_2020_0.json", entries((0..1_700).map(|n| n * 61))),
    ]);
    let forms: Vec<(Form, String)> =
        open(file.clone()).unwrap().parts().iter().map(|part| (part.form, part.name.clone())).collect();
    assert_eq!(
        forms,
        [
            (Form::Extended, "Streaming_History_Audio_2020_0.json".to_owned()),
            (Form::Extended, "Streaming_History_Audio_2021_1.json".to_owned()),
            (Form::Short, "StreamingHistory_music_0.json".to_owned()),
        ]
    );
    let (found, ended) = batches(file.clone(), 0, 0);
    ended.unwrap();
    assert_eq!(found.iter().map(|batch| batch.plays.len()).collect::<Vec<_>>(), [BATCH, BATCH, BATCH, 200]);
    assert_eq!(found.iter().map(|batch| batch.entries).collect::<Vec<_>>(), [500, 1_000, 1_500, 1_700]);
    assert!(
        found
            .iter()
            .flat_map(|batch| &batch.plays)
            .zip(0..)
            .all(|(play, n)| play.ms_played == 30_000 + n * 61)
    );
    let (odd, ended) = batches(file.clone(), 1, 0);
    ended.unwrap();
    assert_eq!((odd[0].plays.len(), odd[0].other, odd[0].malformed, odd[0].entries), (3, 1, 2, 6));
    assert_eq!(batches(file, 2, 0).0, [Batch::default()]);
}

#[test]
fn from_any_batch_on_the_rest_is_the_same() {
    let file = archive(&[("endsong_0.json", entries((0..1_700).map(|n| n * 31)))]);
    let (whole, ended) = batches(file.clone(), 0, 0);
    ended.unwrap();
    for cut in 1..whole.len() {
        let (rest, ended) = batches(file.clone(), 0, whole[cut - 1].entries);
        ended.unwrap();
        assert_eq!(rest, whole[cut..], "after {cut} batches");
    }
}

#[test]
fn what_ends_in_one_minute_is_in_one_batch() {
    let short: Vec<Value> = (0..900)
        .map(|n: usize| {
            let minute = n.saturating_sub(480) / 40 + n.min(480) / 60;
            json!({"endTime": format!("2024-01-01 12:{minute:02}"), "artistName": "A", "trackName": format!("T{n}"),
                "msPlayed": n})
        })
        .collect();
    let file = archive(&[("StreamingHistory0.json", serde_json::to_vec(&short).unwrap())]);
    let (found, ended) = batches(file, 0, 0);
    ended.unwrap();
    assert!(found.len() > 1);
    for pair in found.windows(2) {
        let (last, first) = (pair[0].plays.last().unwrap(), pair[1].plays.first().unwrap());
        assert!(last.ended_at < first.ended_at, "{last:?} {first:?}");
    }
}

#[test]
fn an_error_of_the_caller_stops_it() {
    let file = archive(&[("endsong_0.json", entries(0..1_700))]);
    let mut archive = open(file).unwrap();
    let part = archive.parts()[0].clone();
    let mut seen = 0;
    let ended: Result<(), ImportError> = archive.read(&part, 0, |_| {
        seen += 1;
        if seen == 2 { Err(ImportError::NothingInIt) } else { Ok(()) }
    });
    assert!(matches!(ended, Err(ImportError::NothingInIt)), "{ended:?}");
    assert_eq!(seen, 2);
}

#[test]
fn what_is_damaged_is_said_and_what_was_before_it_is_read() {
    let whole = entries((0..1_200).map(|n| n * 61));
    let cut = whole[..whole.len() * 3 / 4].to_vec();
    let (found, ended) = batches(archive(&[("endsong_0.json", cut)]), 0, 0);
    assert_eq!(found.len(), 1, "one batch is whole");
    let Err(ImportError::Damaged { part, entries, .. }) = ended else { panic!("{ended:?}") };
    assert!(part == "endsong_0.json" && (850..950).contains(&entries), "{part} {entries}");
    let (_, ended) = batches(archive(&[("endsong_0.json", b"{}".to_vec())]), 0, 0);
    assert!(matches!(ended, Err(ImportError::Damaged { entries: 0, .. })), "{ended:?}");
    let mut bytes = archive(&[("endsong_0.json", whole)]).into_inner();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    let (_, ended) = batches(Cursor::new(bytes), 0, 0);
    assert!(ended.is_err(), "a flipped bit shows in the checksum at the latest");
    assert!(matches!(open(Cursor::new(b"no zip".to_vec())), Err(ImportError::Zip(_))));
    assert!(matches!(open(archive(&[("Playlist1.json", b"[]".to_vec())])), Err(ImportError::NothingInIt)));
}

#[test]
fn a_bomb_does_not_go_off() {
    let zeros = archive(&[("endsong_0.json", vec![b' '; 30 << 20])]);
    let refused = open(zeros).unwrap_err();
    assert!(matches!(refused, ImportError::TooBig { what: "the ratio of a part", .. }), "{refused}");
    let small = Limits { total: 10_000, files: 3, ..Limits::default() };
    let big = archive(&[("endsong_0.json", entries(0..200))]);
    let refused = Archive::open(big, small).unwrap_err();
    assert!(matches!(refused, ImportError::TooBig { what: "the length of all parts", .. }), "{refused}");
    let many: Vec<(String, Vec<u8>)> = (0..4).map(|n| (format!("{n}.txt"), Vec::new())).collect();
    let many: Vec<(&str, Vec<u8>)> = many.iter().map(|(name, bytes)| (&**name, bytes.clone())).collect();
    assert!(matches!(Archive::open(archive(&many), small).unwrap_err(), ImportError::TooBig { .. }));
    // One entry that never ends.
    let mut noise = 1_u64;
    let long: String = (0..100_000)
        .map(|_| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'a' + u8::try_from(noise >> 60).unwrap())
        })
        .collect();
    let file = archive(&[("endsong_0.json", format!("[{{\"ts\":\"{long}\"}}]").into_bytes())]);
    let (_, ended) = batches(file, 0, 0);
    let Err(ImportError::Damaged { problem, .. }) = ended else { panic!("{ended:?}") };
    assert!(problem.contains("longer than"), "{problem}");
}
