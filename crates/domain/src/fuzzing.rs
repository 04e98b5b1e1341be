//! What must hold for any text that reaches the parsers of this crate: the bodies of the fuzz targets, which the property
//! tests call too.

use crate::reference::{ItemRef, Reference};
use crate::text::{clean, composed, first_control, folded, has_invisible};
use crate::{ErrorCode, PublicError};

/// A reference that is read is the same when it is written and read again, and its id cannot leave a URL's path.
///
/// # Panics
/// If that does not hold for `text`.
pub fn reference(text: &str) {
    match text.parse::<Reference>() {
        Ok(found) => {
            assert_eq!(found.to_string().parse(), Ok(found.clone()), "{text:?}");
            if let Reference::Item(item) = found {
                let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
                assert!((1..=64).contains(&item.id().len()) && item.id().bytes().all(allowed), "{text:?}");
                assert_eq!(text.parse::<ItemRef>(), Ok(item), "{text:?}");
            }
        }
        Err(error) => {
            assert!(error.to_string().len() <= PublicError::LONGEST_MESSAGE, "{text:?}");
            assert!(text.parse::<ItemRef>().is_err(), "{text:?}");
        }
    }
}

/// A text that was made safe stays as it is when that is done again; an error never repeats a long text.
///
/// # Panics
/// If that does not hold for `text`.
pub fn text(text: &str) {
    let mended = composed(text);
    assert_eq!(composed(&mended), mended, "{text:?}");
    assert!(!has_invisible(&mended), "{text:?}");
    let cleaned = clean(text, 80);
    assert_eq!(clean(&cleaned, 80), cleaned, "{text:?}");
    assert!(cleaned.chars().count() <= 80 && !has_invisible(&cleaned), "{text:?}");
    assert!(first_control(&cleaned).is_none(), "{text:?}");
    assert_eq!(folded(&folded(text)), folded(text), "{text:?}");
    let error = PublicError::new(ErrorCode::InvalidArguments, text);
    assert!(error.message.len() <= PublicError::LONGEST_MESSAGE, "{text:?}");
    assert!(text.len() > PublicError::LONGEST_MESSAGE || error.message == text, "{text:?}");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// Letters that compose, letters that show nothing, controls, and others.
    fn strange() -> impl Strategy<Value = String> {
        let pieces = prop_oneof![
            "[a-zA-Z:/ .%-]{1,8}",
            prop::sample::select(vec![
                "e\u{301}",
                "\u{301}",
                "\u{1100}\u{1161}",
                "\u{115f}",
                "\u{200b}",
                "\u{202e}",
                "\u{2000}",
                "\0",
                "\n",
                "\u{85}",
                "\u{e0041}",
                "İ",
                "ß",
                "Σ",
                "\u{fb01}",
                "👩\u{200d}🎤",
                "\u{feff}",
                "\u{34f}",
            ])
            .prop_map(str::to_owned),
            any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
    }

    /// What looks like a reference, right or nearly so.
    fn referring() -> impl Strategy<Value = String> {
        let before = prop::sample::select(vec![
            "spotify:",
            "tidal:",
            "TIDAL:Track:",
            "spotify:track:",
            "isrc:",
            "upc:",
            "ean:",
            "",
            "https://open.spotify.com/",
            "http://tidal.com/browse/",
            "open.spotify.com/intl-de/",
            "https://listen.tidal.com/",
            "https://tidal.com@evil.example/",
            " ",
        ]);
        let kind = prop::sample::select(vec!["track", "album", "artist", "playlist", "mix", "", "browse"]);
        let between = prop::sample::select(vec![":", "/", "", "//", "/../"]);
        let id = prop_oneof!["[0-9A-Za-z_-]{0,70}", "[A-Z]{2}-?[A-Z0-9]{3}-?[0-9]{7}", strange()];
        (before, kind, between, id)
            .prop_map(|(before, kind, between, id)| format!("{before}{kind}{between}{id}"))
    }

    /// What `fuzz/seeds` has for a target: made by hand, or once broke something.
    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let folder = format!("{}/../../fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
        let seeds: Vec<_> = std::fs::read_dir(folder).unwrap().map(|seed| seed.unwrap().path()).collect();
        assert!(!seeds.is_empty(), "{target}");
        seeds.into_iter().map(|seed| std::fs::read(seed).unwrap()).collect()
    }

    #[test]
    fn every_seed_holds() {
        let text = |seed: Vec<u8>| String::from_utf8(seed).unwrap();
        seeds("references").into_iter().map(text).for_each(|seed| super::reference(&seed));
        seeds("texts").into_iter().map(text).for_each(|seed| super::text(&seed));
    }

    proptest! {
        #[test]
        fn any_text_is_a_reference_or_a_refusal(text in prop_oneof![referring(), strange()]) {
            super::reference(&text);
        }

        #[test]
        fn what_was_made_safe_stays_as_it_is(text in strange()) {
            super::text(&text);
            super::text(&text.repeat(60));
        }
    }
}
