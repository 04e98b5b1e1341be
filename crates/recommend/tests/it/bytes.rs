//! Bytes that are not a model are refused, and a model read again is the same one.

use std::sync::LazyLock;

use proptest::prelude::*;
use stagedoor_recommend::{Basis, Model, ModelError, PersonTaste, Request, Trained, recommend};

use crate::world::{trained, two_camps};

#[test]
fn a_model_and_a_person_read_again_answer_the_same() {
    let Trained { model, people } = trained(two_camps());
    let bytes = model.to_bytes().expect("bytes");
    let again = Model::from_bytes(&bytes).expect("reads");
    assert_eq!(again.to_bytes().expect("bytes"), bytes);
    let person = people[3].to_bytes().expect("bytes");
    let person = PersonTaste::from_bytes(&person, &again).expect("reads");
    assert_eq!(person, people[3]);
    let answer = |model: &Model, person: &PersonTaste| {
        recommend(model, &Request { person: Some(person), count: 10, ..Request::default() })
    };
    let found = answer(&again, &person);
    assert_eq!(found.items.len(), 10);
    assert_eq!(found, answer(&model, &people[3]));
}

#[test]
fn a_person_of_another_model_is_refused() {
    let person = trained(two_camps()).people.remove(0);
    let fewer: Vec<_> = two_camps().into_iter().skip(1).collect();
    let other = trained(fewer).model;
    let bytes = person.to_bytes().expect("bytes");
    assert_eq!(PersonTaste::from_bytes(&bytes, &other).err(), Some(ModelError::OtherModel));
    assert_eq!(Model::from_bytes(&bytes).err(), Some(ModelError::Version));
    let answer = recommend(&other, &Request { person: Some(&person), count: 3, ..Request::default() });
    assert_eq!(answer.basis, Basis::Popularity);
}

#[test]
fn another_version_and_other_files_are_told_apart_from_damage() {
    let mut bytes = trained(two_camps()).model.to_bytes().expect("bytes");
    assert_eq!(Model::from_bytes(&[]).err(), Some(ModelError::Version));
    assert_eq!(Model::from_bytes(b"PK\x03\x04 something else").err(), Some(ModelError::Version));
    bytes[4] += 1;
    assert_eq!(Model::from_bytes(&bytes).err(), Some(ModelError::Version));
}

static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| trained(two_camps()).model.to_bytes().expect("bytes"));

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_changed_or_shortened_model_is_refused(at in any::<prop::sample::Index>(), flip in 1_u8.., cut in any::<bool>()) {
        let mut bytes = WHOLE.clone();
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= flip;
        }
        prop_assert!(Model::from_bytes(&bytes).is_err());
    }
}
