//! Bytes that are not a model are refused, and a model read again is the same one.

use std::sync::LazyLock;

use proptest::prelude::*;
use stagedoor_recommend::{Model, ModelError, PersonIndex, Request, recommend};

use crate::world::{trained, two_camps};

#[test]
fn a_model_read_again_answers_the_same() {
    let model = trained(two_camps());
    let bytes = model.to_bytes().expect("bytes");
    let again = Model::from_bytes(&bytes).expect("reads");
    assert_eq!(again.to_bytes().expect("bytes"), bytes);
    let request = Request { person: Some(PersonIndex(3)), count: 10, ..Request::default() };
    assert_eq!(recommend(&again, &request), recommend(&model, &request));
}

#[test]
fn another_version_and_other_files_are_told_apart_from_damage() {
    let mut bytes = trained(two_camps()).to_bytes().expect("bytes");
    assert_eq!(Model::from_bytes(&[]).err(), Some(ModelError::Version));
    assert_eq!(Model::from_bytes(b"PK\x03\x04 something else").err(), Some(ModelError::Version));
    bytes[4] += 1;
    assert_eq!(Model::from_bytes(&bytes).err(), Some(ModelError::Version));
}

static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| trained(two_camps()).to_bytes().expect("bytes"));

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
