//! What must hold of any two tracks.

use proptest::prelude::*;
use stagedoor_domain::music::{ArtistSummary, Track};

use super::tests::{chosen, track};
use super::*;

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
        let judged = by_search(&Wanted::from(&studio), std::slice::from_ref(&live));
        prop_assert!(!matches!(judged, Judgement::Matched(_)));
        let judged = by_search(&Wanted::from(&live), &[studio]);
        prop_assert!(!matches!(judged, Judgement::Matched(_)));
    }

    #[test]
    fn any_text_can_be_taken_apart(title in ".{0,60}") {
        let parsed = Title::of(&title);
        prop_assert!(!parsed.base.contains('(') && !parsed.base.contains("  "));
    }
}
