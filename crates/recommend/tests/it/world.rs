//! Small worlds whose tastes can be told by looking.

use stagedoor_recommend::{PersonSignals, Signals, TrackFacts, Trained, TrainingOptions, TrainingSet, train};

/// A track; those with the same hundreds have the same taste, and two of them an artist.
pub(crate) fn track(number: u32) -> TrackFacts {
    TrackFacts {
        reference: format!("tidal:track:{number}"),
        title: format!("Track {number}"),
        artists: vec![format!("Artist {}", number / 2)],
        album: None,
        duration_ms: None,
        beats_per_minute: None,
        scale: None,
    }
}

pub(crate) fn reference(number: u32) -> String {
    track(number).reference
}

pub(crate) fn heard(numbers: impl IntoIterator<Item = u32>) -> PersonSignals {
    let played = Signals { plays: 5, ..Signals::default() };
    numbers.into_iter().map(|number| (track(number), played)).collect()
}

/// 24 people: half of them hear most of tracks 100 to 119, half most of 200 to 219, and 200 to 203 are in addition heard by
/// six of the first half.
pub(crate) fn two_camps() -> Vec<PersonSignals> {
    (0..24)
        .map(|person| {
            let from = if person % 2 == 0 { 100 } else { 200 };
            let own =
                (0..20).filter(move |number| (number * 7 + person) % 5 != 0).map(move |number| from + number);
            let guests = if person % 4 == 0 { 200..204 } else { 0..0 };
            heard(own.chain(guests))
        })
        .collect()
}

pub(crate) fn trained(people: Vec<PersonSignals>) -> Trained {
    let mut set = TrainingSet::new(TrainingOptions::default(), people.len());
    for person in people {
        set.add(person).expect("few people");
    }
    train(set).expect("trains")
}
