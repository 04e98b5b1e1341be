//! What is in an answer, what never is, and what is said of it.

use std::collections::HashMap;

use stagedoor_recommend::{
    Basis, Candidate, CandidateSource, Feedback, Model, Mood, MoodFit, Reason, Request, Scale, Signals,
    TrackFacts, Trained, recommend,
};

use crate::world::{heard, reference, track, trained, two_camps};

fn number(track: &TrackFacts) -> u32 {
    track.reference.rsplit(':').next().and_then(|number| number.parse().ok()).expect("a number")
}

fn candidate(number: u32, origin: u32, source: CandidateSource) -> Candidate {
    Candidate { track: track(number), origin: reference(origin), source }
}

#[test]
fn people_are_recommended_what_their_like_hear() {
    let Trained { model, people } = trained(two_camps());
    for (person, taste) in people.iter().enumerate() {
        let request = Request { person: Some(taste), count: 3, ..Request::default() };
        let answer = recommend(&model, &request);
        assert_eq!(answer.basis, Basis::Habits);
        assert_eq!(answer.items.len(), 3, "person {person}");
        let own = if person % 2 == 0 { 100..120 } else { 200..220 };
        assert!(own.contains(&number(&answer.items[0].track)), "person {person}: {:?}", answer.items[0]);
    }
}

#[test]
fn what_is_known_disliked_excluded_or_a_seed_is_never_in_an_answer() {
    let people = two_camps();
    let Trained { model, people: tastes } = trained(people.clone());
    let since = [
        (reference(205), Signals { feedback: Some(Feedback::Dislike), ..Signals::default() }),
        (reference(777), Signals { plays: 1, ..Signals::default() }),
    ];
    let candidates = [777, 778, 779, 205].map(|number| candidate(number, 210, CandidateSource::Similar));
    let request = Request {
        person: Some(&tastes[1]),
        since: &since,
        seeds: &[reference(210)],
        candidates: &candidates,
        excluded: &[reference(206), reference(778)],
        count: 200,
        ..Request::default()
    };
    let answer = recommend(&model, &request);
    let numbers: Vec<u32> = answer.items.iter().map(|item| number(&item.track)).collect();
    let known: Vec<u32> = people[1].iter().map(|(track, _)| number(track)).collect();
    assert!(numbers.contains(&779));
    assert!(numbers.iter().all(|number| !known.contains(number)));
    assert!([205, 206, 210, 777, 778].iter().all(|number| !numbers.contains(number)), "{numbers:?}");
}

#[test]
fn an_artist_has_at_most_two_tracks_in_an_answer() {
    let one_artist = |number: u32| TrackFacts { artists: vec!["The Same".to_owned()], ..track(number) };
    let candidates: Vec<Candidate> = (0..30)
        .map(|number| Candidate {
            track: if number % 2 == 0 { one_artist(number) } else { track(number * 10) },
            origin: reference(5_000),
            source: CandidateSource::Radio,
        })
        .collect();
    let request =
        Request { seeds: &[reference(5_000)], candidates: &candidates, count: 30, ..Request::default() };
    let answer = recommend(&Model::empty(), &request);
    let mut artists: HashMap<&str, usize> = HashMap::new();
    for item in &answer.items {
        *artists.entry(item.track.artists[0].as_str()).or_default() += 1;
    }
    assert_eq!(artists["The Same"], 2);
    assert_eq!(answer.items.len(), 17);
}

#[test]
fn every_reason_names_a_seed_or_something_the_person_likes() {
    let people = two_camps();
    let Trained { model, people: tastes } = trained(people.clone());
    let candidates =
        [candidate(901, 104, CandidateSource::Similar), candidate(902, 201, CandidateSource::Radio)];
    let request = Request {
        person: Some(&tastes[0]),
        seeds: &[reference(201), reference(999_999)],
        candidates: &candidates,
        count: 40,
        ..Request::default()
    };
    let answer = recommend(&model, &request);
    assert_eq!(answer.basis, Basis::SeedsAndHabits);
    assert_eq!(answer.unknown_seeds, [reference(999_999)]);
    let likes: Vec<String> = people[0].iter().map(|(track, _)| track.reference.clone()).collect();
    for item in &answer.items {
        match &item.reason {
            Reason::Taste { like } => assert!(likes.contains(like)),
            Reason::Seed { like } => assert_eq!(*like, reference(201)),
            Reason::SamePeople { like } => assert!(likes.contains(like) || *like == reference(201)),
            Reason::ProviderSimilar { like } => {
                assert_eq!((number(&item.track), like.clone()), (901, reference(104)));
            }
            Reason::ProviderRadio { like } => {
                assert_eq!((number(&item.track), like.clone()), (902, reference(201)));
            }
            Reason::Popular { .. } => panic!("{item:?} rests on nothing of the person's"),
        }
    }
    let provided = |wanted: u32| answer.items.iter().any(|item| number(&item.track) == wanted);
    assert!(provided(901) && provided(902));
}

#[test]
fn without_anything_known_it_says_that_it_is_popularity() {
    let model = trained(two_camps()).model;
    let answer = recommend(&model, &Request { count: 5, ..Request::default() });
    assert_eq!(answer.basis, Basis::Popularity);
    let counts: Vec<u32> = answer
        .items
        .iter()
        .map(|item| match item.reason {
            Reason::Popular { people } => people,
            ref other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(counts.len(), 5);
    assert!(counts.iter().all(|people| *people >= 3));
    let seeds = [reference(999_999)];
    let unknown = recommend(&model, &Request { seeds: &seeds, count: 5, ..Request::default() });
    assert_eq!((unknown.basis, unknown.unknown_seeds.len()), (Basis::Popularity, 1));
    let nothing = recommend(&Model::empty(), &Request { count: 5, ..Request::default() });
    assert_eq!((nothing.basis, nothing.items.len()), (Basis::Popularity, 0));
}

#[test]
fn what_came_since_the_training_counts() {
    let model = trained(two_camps()).model;
    let liked = Signals { rating: Some(5), ..Signals::default() };
    let since: Vec<(String, Signals)> = (200..206).map(|number| (reference(number), liked)).collect();
    let answer = recommend(&model, &Request { since: &since, count: 4, ..Request::default() });
    assert_eq!(answer.basis, Basis::Habits);
    assert!(answer.items.iter().all(|item| (206..220).contains(&number(&item.track))), "{answer:?}");
}

#[test]
fn moods_leave_out_what_is_known_to_differ_and_say_what_is_not_known() {
    let with = |number: u32, beats: Option<u16>, scale: Option<Scale>| Candidate {
        track: TrackFacts { beats_per_minute: beats, scale, ..track(number) },
        origin: reference(1),
        source: CandidateSource::Similar,
    };
    let candidates = [
        with(10, None, None),
        with(20, Some(150), Some(Scale::Minor)),
        with(30, Some(80), None),
        with(40, Some(80), Some(Scale::Minor)),
        with(50, Some(140), Some(Scale::Major)),
    ];
    let asked = |mood: Mood| {
        let request = Request {
            seeds: &[reference(1)],
            mood: Some(mood),
            candidates: &candidates,
            count: 10,
            ..Request::default()
        };
        let items = recommend(&Model::empty(), &request).items;
        items.iter().map(|item| (number(&item.track), item.mood.expect("asked for"))).collect::<Vec<_>>()
    };
    let (fits, unknown) = (MoodFit::Fits, MoodFit::Unknown);
    assert_eq!(asked(Mood::Calm), [(30, fits), (40, fits), (10, unknown)]);
    assert_eq!(asked(Mood::Energetic), [(20, fits), (50, fits), (10, unknown)]);
    assert_eq!(asked(Mood::Cheerful), [(50, fits), (10, unknown)]);
    assert_eq!(asked(Mood::Melancholic), [(40, fits), (10, unknown), (30, unknown)]);
}

#[test]
fn a_disliked_track_makes_its_like_less_likely() {
    let model = trained(two_camps()).model;
    let liked = Signals { rating: Some(5), ..Signals::default() };
    let disliked = Signals { rating: Some(1), ..Signals::default() };
    let mixed: Vec<(String, Signals)> =
        [101, 102, 210, 211].map(|number| (reference(number), liked)).to_vec();
    let share = |since: &[(String, Signals)]| {
        let answer = recommend(&model, &Request { since, count: 10, ..Request::default() });
        answer.items.iter().filter(|item| number(&item.track) >= 200).count()
    };
    let before = share(&mixed);
    let with_dislikes: Vec<(String, Signals)> =
        mixed.iter().cloned().chain([215, 216, 217].map(|number| (reference(number), disliked))).collect();
    assert!(share(&with_dislikes) < before, "{} of {before}", share(&with_dislikes));
}

#[test]
fn a_person_nobody_is_like_gets_an_answer_too() {
    let mut people = two_camps();
    people.push(heard(700..720));
    let Trained { model, people: tastes } = trained(people);
    let request = Request { person: Some(&tastes[24]), count: 5, ..Request::default() };
    let answer = recommend(&model, &request);
    assert_eq!((answer.basis, answer.items.len()), (Basis::Popularity, 5));
}

#[test]
fn popularity_fills_up_and_says_so() {
    let model = trained(two_camps()).model;
    let candidates = [candidate(901, 7, CandidateSource::Similar)];
    let request = Request { seeds: &[reference(7)], candidates: &candidates, count: 6, ..Request::default() };
    let answer = recommend(&model, &request);
    assert_eq!((answer.basis, answer.items.len()), (Basis::Seeds, 6));
    assert_eq!(answer.items[0].reason, Reason::ProviderSimilar { like: reference(7) });
    assert!(answer.items[1..].iter().all(|item| matches!(item.reason, Reason::Popular { .. })));
}
