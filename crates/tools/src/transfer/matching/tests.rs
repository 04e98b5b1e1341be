//! Cases as people have them, and what must hold of any two tracks.

use proptest::prelude::*;
use stagedoor_domain::music::{AlbumSummary, ArtistSummary, Track};

use super::cases::{CASES, Is};
use super::*;

fn track(id: &str, title: &str, artists: &[&str], seconds: u64) -> Track {
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

fn is(judgement: &Judgement) -> Is {
    match judgement {
        Judgement::Matched(_) => Is::Matched,
        Judgement::Ambiguous(_) => Is::Ambiguous,
        Judgement::None => Is::Nothing,
    }
}

fn chosen(judgement: Judgement) -> Candidate {
    match judgement {
        Judgement::Matched(candidate) => candidate,
        other => panic!("nothing was chosen: {other:?}"),
    }
}

#[test]
fn what_people_have_is_told_apart() {
    let mut wrong = Vec::new();
    for (title, artists, seconds, found, by, long, expected) in CASES {
        let wanted = Wanted::from(&track("0", title, artists, *seconds));
        let judgement = by_search(&wanted, &[track("1", found, by, *long)]);
        if is(&judgement) != *expected {
            wrong.push(format!("{title} / {found}: {judgement:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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

fn a_title() -> impl Strategy<Value = String> {
    (
        "[A-Za-zÀ-ÿ '&-]{1,20}",
        prop::option::of(prop::sample::select(vec![
            " (Live)",
            " - Remastered 2009",
            " (Radio Edit)",
            " [feat. Somebody]",
            " (Acoustic)",
            " - DJ X Remix",
        ])),
    )
        .prop_map(|(base, version)| format!("{base}{}", version.unwrap_or_default()))
        .prop_filter("it says something", |title| !words(title).is_empty())
}

fn a_track() -> impl Strategy<Value = Track> {
    (a_title(), "[A-Za-zÀ-ÿ ]{1,12}[a-z]", 0_u64..1_000)
        .prop_map(|(title, artist, seconds)| track("1", &title, &[&artist], seconds))
}

proptest! {
    #[test]
    fn a_track_is_surely_itself(track in a_track()) {
        let wanted = Wanted::from(&track);
        let candidate = chosen(by_search(&wanted, std::slice::from_ref(&track)));
        prop_assert!(candidate.confidence >= Confidence(94), "{candidate:?}");
    }

    #[test]
    fn capitals_and_accents_decide_nothing(track in a_track()) {
        let wanted = Wanted::from(&track);
        let loud = Track { title: track.title.to_uppercase(), ..track.clone() };
        let plain = Track { title: words(&track.title).join(" "), ..track };
        let confidence = |track: &Track| Scored::new(&wanted, track).confidence;
        prop_assert_eq!(confidence(&loud), Scored::new(&wanted, &Track { title: wanted.title.clone(), ..loud.clone() }).confidence);
        prop_assert!(confidence(&plain) <= Confidence::FULL);
    }

    #[test]
    fn whatever_is_found_the_judgement_is_of_it(wanted in a_track(), found in prop::collection::vec(a_track(), 0..6)) {
        let references: Vec<_> = found.iter().map(|track| track.reference.clone()).collect();
        match by_search(&Wanted::from(&wanted), &found) {
            Judgement::Matched(candidate) => {
                prop_assert!(candidate.confidence >= SURE);
                prop_assert!(references.contains(&candidate.reference));
            }
            Judgement::Ambiguous(candidates) => {
                prop_assert!(!candidates.is_empty() && candidates.len() <= SHOWN);
                prop_assert!(candidates.iter().all(|candidate| candidate.confidence >= POSSIBLE));
            }
            Judgement::None => {}
        }
    }

    #[test]
    fn another_artist_is_never_taken_without_asking(track in a_track()) {
        let other = Track {
            artists: vec![ArtistSummary { reference: "tidal:artist:9".parse().unwrap(), name: "0123456789".to_owned() }],
            ..track.clone()
        };
        prop_assert_eq!(by_search(&Wanted::from(&track), &[other]), Judgement::None);
    }

    #[test]
    fn a_live_one_is_never_taken_for_a_studio_one(base in "[A-Za-z]{3,12}", seconds in 100_u64..400) {
        let studio = track("1", &base, &["Someone"], seconds);
        let live = track("2", &format!("{base} (Live)"), &["Someone"], seconds);
        prop_assert_ne!(is(&by_search(&Wanted::from(&studio), std::slice::from_ref(&live))), Is::Matched);
        prop_assert_ne!(is(&by_search(&Wanted::from(&live), &[studio])), Is::Matched);
    }

    #[test]
    fn any_text_can_be_taken_apart(title in ".{0,60}") {
        let parsed = Title::of(&title);
        prop_assert!(!parsed.base.contains('(') && !parsed.base.contains("  "));
    }
}
