//! The same people make the same bytes, whoever is left out leaves nothing, and nothing of one person alone gets in.

use stagedoor_recommend::{
    Feedback, ModelError, Signals, Taste, Trained, TrainingOptions, TrainingSet, train,
};

use crate::world::{heard, reference, track, trained, two_camps};

#[test]
fn the_same_people_make_the_same_bytes() {
    let bytes = trained(two_camps()).model.to_bytes().expect("bytes");
    assert_eq!(bytes, trained(two_camps()).model.to_bytes().expect("bytes"));
}

#[test]
fn who_is_left_out_leaves_nothing() {
    let everybody = two_camps();
    let mut with_another = everybody.clone();
    with_another.insert(7, heard((100..110).chain(900..920)));
    let of_all = trained(with_another.clone()).model.to_bytes().expect("bytes");
    with_another.remove(7);
    let without = trained(with_another).model.to_bytes().expect("bytes");
    assert_eq!(without, trained(everybody).model.to_bytes().expect("bytes"));
    assert_ne!(without, of_all);
}

#[test]
fn a_track_of_fewer_than_three_people_is_not_in_the_model() {
    let mut people = two_camps();
    people[0].extend(heard([501, 502]));
    people[1].extend(heard([501, 502]));
    people[2].extend(heard([502]));
    let model = trained(people).model;
    assert!(model.track(&reference(501)).is_none());
    assert!(model.track(&reference(502)).is_some());
    let bytes = model.to_bytes().expect("bytes");
    let rare = reference(501);
    assert!(!bytes.windows(rare.len()).any(|window| window == rare.as_bytes()));
}

#[test]
fn too_few_people_for_factors_make_a_model_without() {
    let few = two_camps().into_iter().step_by(2).take(5).collect();
    let model = trained(few).model;
    assert!(!model.has_factors());
    assert!(model.tracks() > 0);
    assert!(trained(two_camps()).model.has_factors());
}

#[test]
fn people_who_like_exactly_the_same_do_not_break_the_numbers() {
    let model = trained(vec![heard([1]); 40]).model;
    assert_eq!((model.people(), model.tracks()), (40, 1));
    let model = trained(vec![heard(1..40); 40]).model;
    assert_eq!(model.tracks(), 39);
}

#[test]
fn the_bounds_hold() {
    let options = TrainingOptions {
        most_people: 24,
        most_tracks: 10,
        most_liked: 24 * 4,
        ..TrainingOptions::default()
    };
    let mut set = TrainingSet::new(options, 24);
    for person in two_camps() {
        set.add(person).expect("within the bound");
    }
    assert_eq!(set.add(heard([1])), Err(ModelError::TooManyPeople(24)));
    let Trained { model, people } = train(set).expect("trains");
    assert!(model.tracks() <= 10);
    assert!(people.iter().all(|person| person.favourites(&model, 100).len() <= 4));
}

#[test]
fn signals_weigh_as_documented() {
    let none = Signals::default();
    assert_eq!(none.taste(), Taste::Known);
    assert_eq!(Signals { plays: 1, ..none }.taste(), Taste::Liked(1.0));
    assert_eq!(Signals { plays: 3, skips: 3, ..none }.taste(), Taste::Liked(1.0));
    assert_eq!(Signals { skips: 9, ..none }.taste(), Taste::Known);
    assert_eq!(Signals { plays: u32::MAX, skips: u32::MAX, ..none }.taste(), Taste::Liked(6.0));
    assert_eq!(Signals { plays: 63, rating: Some(5), saved: true, ..none }.taste(), Taste::Liked(10.0));
    assert_eq!(Signals { plays: 63, rating: Some(2), ..none }.taste(), Taste::Disliked);
    assert_eq!(
        Signals { rating: Some(5), feedback: Some(Feedback::Dislike), ..none }.taste(),
        Taste::Disliked
    );
    assert_eq!(Signals { feedback: Some(Feedback::Like), playlists: 9, ..none }.taste(), Taste::Liked(6.0));
    assert_eq!(Signals { plays: 1, feedback: Some(Feedback::Skip), ..none }.taste(), Taste::Liked(0.5));
}

#[test]
fn what_one_person_tells_of_a_track_completes_what_another_told() {
    let mut people = two_camps();
    let mut told = track(100);
    told.beats_per_minute = Some(90);
    people.push(vec![(told, Signals { plays: 1, ..Signals::default() })]);
    let model = trained(people).model;
    assert_eq!(model.track(&reference(100)).and_then(|track| track.beats_per_minute), Some(90));
}
