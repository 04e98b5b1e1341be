//! Cases as people have them.

use stagedoor_domain::music::{AlbumSummary, ArtistSummary, Track};

use super::cases::{AMBIGUOUS, MATCHED, NOTHING};
use super::*;

pub(super) fn track(id: &str, title: &str, artists: &[&str], seconds: u64) -> Track {
    Track {
        reference: format!("tidal:track:{id}").parse().unwrap(),
        title: title.to_owned(),
        artists: artists
            .iter()
            .map(|name| ArtistSummary {
                reference: format!("tidal:artist:{}", words(name).join("").len()).parse().unwrap(),
                name: (*name).to_owned(),
            })
            .collect(),
        album: None,
        isrc: None,
        duration_ms: seconds * 1_000,
        explicit: false,
        audio_quality: None,
        track_number: None,
        url: None,
    }
}

fn on_album(album: &str, track: Track) -> Track {
    let reference = "tidal:album:1".parse().unwrap();
    Track { album: Some(AlbumSummary { reference, title: album.to_owned() }), ..track }
}

fn with_isrc(isrc: &str, track: Track) -> Track {
    Track { isrc: Some(isrc.to_owned()), ..track }
}

pub(super) fn chosen(judgement: Judgement) -> Candidate {
    match judgement {
        Judgement::Matched(candidate) => candidate,
        other => panic!("nothing was chosen: {other:?}"),
    }
}

/// The tracks of a line, and what is said of it.
fn case(line: &str) -> (Wanted, Track, &str) {
    let (tracks, said) = line.split_once(" ! ").unwrap_or((line, ""));
    let (wanted, found) = tracks.split_once(" => ").unwrap();
    let read = |text: &str| {
        let [title, artists, seconds] = text.splitn(3, " | ").collect::<Vec<_>>()[..] else {
            panic!("{text}")
        };
        track("1", title, &artists.split("; ").collect::<Vec<_>>(), seconds.parse().unwrap())
    };
    (Wanted::from(&read(wanted)), read(found), said)
}

fn wrong(cases: &str, is_right: impl Fn(&Judgement, &str) -> bool) -> String {
    let judged = cases.lines().filter(|line| !line.is_empty()).filter_map(|line| {
        let (wanted, found, said) = case(line);
        let judgement = by_search(&wanted, &[found]);
        (!is_right(&judgement, said)).then(|| format!("{line}: {judgement:?}"))
    });
    judged.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_same_written_by_two_services_is_matched() {
    assert_eq!(wrong(MATCHED, |judgement, _| matches!(judgement, Judgement::Matched(_))), "");
}

#[test]
fn what_may_be_another_recording_is_asked_about_with_the_reason() {
    let is_right = |judgement: &Judgement, said: &str| matches!(judgement, Judgement::Ambiguous(candidates) if candidates[0].reason.contains(said));
    assert_eq!(wrong(AMBIGUOUS, is_right), "");
}

#[test]
fn another_song_is_not_shown() {
    assert_eq!(wrong(NOTHING, |judgement, _| *judgement == Judgement::None), "");
}

/// Neither a place nor a code makes anything of these the same.
#[test]
fn no_code_and_no_place_makes_another_recording_the_same() {
    let told_by_code = [
        "together with others",
        "performers",
        "guests",
        "12 s apart",
        "perhaps another take",
        "Live in Berlin)",
    ];
    for line in AMBIGUOUS.lines().chain(NOTHING.lines()).filter(|line| !line.is_empty()) {
        let (wanted, found, said) = case(line);
        let by_place = by_place(&wanted, &found);
        assert!(!matches!(by_place, Judgement::Matched(_)), "{line}: {by_place:?}");
        let by_isrc = by_isrc(&wanted, &[found]);
        let told = told_by_code.iter().any(|told| said.contains(told) || line.contains(told));
        assert_eq!(matches!(by_isrc, Judgement::Matched(_)), told, "{line}: {by_isrc:?}");
    }
}

#[test]
fn a_code_of_another_track_does_not_win() {
    for (wanted, found, reason) in [
        (("Airbag", "Radiohead", 284), ("Paranoid Android (Live)", "Radiohead", 500), "another title"),
        (("Intro", "A", 60), ("Intro", "Zebra Crossing", 400), "another artist (Zebra Crossing)"),
        (("Airbag", "Radiohead", 284), ("Airbag (Live)", "Radiohead", 284), "another version (live)"),
        (("Airbag", "Radiohead", 284), ("Airbag", "Radiohead", 300), "16 s apart"),
    ] {
        let made = |id: &str, (title, by, seconds): (&str, &str, u64)| track(id, title, &[by], seconds);
        let wanted_track = made("0", wanted);
        let judgement = by_isrc(&Wanted::from(&wanted_track), &[made("1", found)]);
        let Judgement::Ambiguous(candidates) = judgement else { panic!("{judgement:?}") };
        assert!(candidates[0].reason.starts_with("same ISRC, but "), "{candidates:?}");
        assert!(candidates[0].reason.contains(reason), "{candidates:?}");
        let both = [made("1", found), made("2", wanted)];
        assert_eq!(chosen(by_isrc(&Wanted::from(&wanted_track), &both)).reference.id(), "2");
    }
}

#[test]
fn what_the_album_says_of_its_tracks_counts() {
    let wanted = Wanted::from(&on_album("Pablo Honey", track("0", "Creep", &["Radiohead"], 238)));
    for (album, reason) in [
        ("Live at the Astoria", "live"),
        ("A Tribute to Radiohead", "cover"),
        ("Radiohead Karaoke Hits", "karaoke"),
    ] {
        let judgement = by_search(&wanted, &[on_album(album, track("1", "Creep", &["Radiohead"], 238))]);
        let Judgement::Ambiguous(candidates) = judgement else { panic!("{album}: {judgement:?}") };
        assert!(candidates[0].reason.contains(reason), "{candidates:?}");
    }
    let live = Wanted::from(&track("0", "Creep - Live", &["Radiohead"], 238));
    chosen(by_search(
        &live,
        &[on_album("Live at the Astoria", track("1", "Creep (Live)", &["Radiohead"], 238))],
    ));
}

#[test]
fn the_clean_one_is_not_taken_for_the_explicit_one() {
    let clean = track("1", "HUMBLE.", &["Kendrick Lamar"], 177);
    let wanted = Wanted { explicit: true, ..Wanted::from(&clean) };
    let Judgement::Ambiguous(candidates) = by_search(&wanted, &[clean]) else { panic!("it is another edit") };
    assert_eq!(candidates[0].reason, "not the explicit one");
}

#[test]
fn a_reissue_with_the_same_isrc_is_taken_from_the_fitting_album() {
    let wanted =
        on_album("OK Computer", with_isrc("GBAYE9701274", track("0", "Airbag", &["Radiohead"], 284)));
    let found = [
        on_album("The Best Of", with_isrc("GBAYE9701274", track("1", "Airbag", &["Radiohead"], 284))),
        on_album("OK Computer", with_isrc("GBAYE9701274", track("2", "Airbag", &["Radiohead"], 284))),
    ];
    let candidate = chosen(by_isrc(&Wanted::from(&wanted), &found));
    assert_eq!(candidate.reference.id(), "2");
    assert_eq!((candidate.confidence, candidate.reason.as_str()), (Confidence::FULL, "same ISRC"));
}

#[test]
fn a_code_that_was_given_out_twice_is_asked_about() {
    let wanted = with_isrc("QZES71982312", track("0", "Airbag", &["Radiohead"], 284));
    let found = [with_isrc("QZES71982312", track("1", "Schlaflied", &["Kinderchor"], 90))];
    let Judgement::Ambiguous(candidates) = by_isrc(&Wanted::from(&wanted), &found) else {
        panic!("it is another song")
    };
    assert!(candidates[0].reason.contains("another title"), "{candidates:?}");
    assert_eq!(by_isrc(&Wanted::from(&wanted), &[]), Judgement::None);
}

#[test]
fn the_place_on_the_album_counts_only_for_the_same_song() {
    let wanted = Wanted::from(&track("0", "Airbag - Remastered", &["Radiohead"], 284));
    let candidate = chosen(by_place(&wanted, &track("1", "Airbag", &["Radiohead"], 287)));
    assert!(candidate.confidence >= Confidence(95));
    assert_eq!(by_place(&wanted, &track("1", "Paranoid Android", &["Radiohead"], 384)), Judgement::None);
}

#[test]
fn of_several_the_right_version_is_chosen() {
    let found = [
        track("live", "Creep (Live)", &["Radiohead"], 250),
        track("studio", "Creep", &["Radiohead"], 238),
        track("cover", "Creep", &["Scala & Kolacny Brothers"], 238),
    ];
    let studio = chosen(by_search(&Wanted::from(&track("0", "Creep", &["Radiohead"], 239)), &found));
    assert_eq!(studio.reference.id(), "studio");
    let live = chosen(by_search(&Wanted::from(&track("0", "Creep - Live", &["Radiohead"], 250)), &found));
    assert_eq!(live.reference.id(), "live");
}

#[test]
fn two_takes_that_fit_alike_are_asked_about_and_two_releases_are_not() {
    let wanted = Wanted::from(&on_album("B", track("0", "Creep - Live", &["Radiohead"], 250)));
    let takes = [
        track("1", "Creep (Live in Berlin)", &["Radiohead"], 250),
        track("2", "Creep (Live in Paris)", &["Radiohead"], 251),
    ];
    let Judgement::Ambiguous(candidates) = by_search(&wanted, &takes) else { panic!("either may be it") };
    assert_eq!(candidates.len(), 2);
    let releases = [
        on_album("A", track("1", "Creep - Live", &["Radiohead"], 250)),
        on_album("B", track("2", "Creep - Live", &["Radiohead"], 251)),
    ];
    assert_eq!(chosen(by_search(&wanted, &releases)).reference.id(), "2", "the same album is preferred");
}

#[test]
fn an_explicit_one_is_preferred_to_the_clean_one() {
    let wanted = Wanted { explicit: true, ..Wanted::from(&track("0", "Humble", &["Kendrick Lamar"], 177)) };
    let clean = track("clean", "HUMBLE.", &["Kendrick Lamar"], 177);
    let explicit = Track { explicit: true, ..track("explicit", "HUMBLE.", &["Kendrick Lamar"], 177) };
    assert_eq!(chosen(by_search(&wanted, &[clean, explicit])).reference.id(), "explicit");
}

#[test]
fn at_most_five_are_shown_the_likeliest_first() {
    let found: Vec<Track> = (0..9)
        .map(|number| track(&number.to_string(), "Creep (Live)", &["Radiohead"], 240 + number))
        .collect();
    let wanted = Wanted::from(&track("0", "Creep", &["Radiohead"], 238));
    let Judgement::Ambiguous(candidates) = by_search(&wanted, &found) else { panic!("all are live") };
    assert_eq!(candidates.len(), SHOWN);
    assert!(candidates.is_sorted_by(|one, next| one.confidence >= next.confidence));
}
