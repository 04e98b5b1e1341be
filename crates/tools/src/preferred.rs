//! What a person prefers of what is found: explicit items or none, and items that the service has in a quality of sound.

use serde::Serialize;
use stagedoor_domain::music::{Album, Track};
use stagedoor_domain::{AudioQuality, Preferences, Provider};

/// What makes an answer another one for whoever prefers it. What everybody gets is no part of it, so that everybody has
/// the same answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Preferred {
    #[serde(skip_serializing_if = "is_not")]
    without_explicit: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<AudioQuality>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands in a reference")]
fn is_not(set: &bool) -> bool {
    !set
}

impl Preferred {
    pub(crate) fn of(preferences: &Preferences, services: &[Provider]) -> Self {
        // Tidal alone tells, and of nothing below.
        let told = preferences.audio_quality > AudioQuality::High && services.contains(&Provider::Tidal);
        Self {
            without_explicit: !preferences.search_defaults.include_explicit,
            quality: told.then_some(preferences.audio_quality),
        }
    }

    /// The same without what is not about quality.
    pub(crate) fn of_quality(self) -> Self {
        Self { without_explicit: false, ..self }
    }

    /// Takes out what is not wanted, and says what was taken out and what is not to be had as wanted.
    pub(crate) fn sift(self, tracks: &mut Vec<Track>, albums: &mut Vec<Album>) -> Vec<String> {
        let mut told = Vec::new();
        if self.without_explicit {
            let before = tracks.len() + albums.len();
            tracks.retain(|track| !track.explicit);
            albums.retain(|album| album.explicit != Some(true));
            let left_out = before - tracks.len() - albums.len();
            if left_out > 0 {
                told.push(format!(
                    "Left out because they are explicit, as the person prefers (search_defaults.include_explicit): {}.",
                    items(left_out)
                ));
            }
        }
        if let Some(wanted) = self.quality {
            let lower = |best: Option<AudioQuality>| best.is_some_and(|best| best < wanted);
            let lower = tracks.iter().filter(|track| lower(track.audio_quality)).count()
                + albums.iter().filter(|album| lower(album.audio_quality)).count();
            if lower > 0 {
                told.push(format!(
                    "Not offered in {wanted}, which the person prefers: {}; `audio_quality` says which.",
                    items(lower)
                ));
            }
        }
        told
    }

    /// Puts first what is offered in the quality that is wanted; otherwise the order stays.
    pub(crate) fn offered_first(self, tracks: &mut [Track], albums: &mut [Album]) {
        let Some(wanted) = self.quality else { return };
        let offered = |best: Option<AudioQuality>| best.is_some_and(|best| best >= wanted);
        tracks.sort_by_key(|track| !offered(track.audio_quality));
        albums.sort_by_key(|album| !offered(album.audio_quality));
    }
}

fn items(count: usize) -> String {
    if count == 1 { "1 item".to_owned() } else { format!("{count} items") }
}

#[cfg(test)]
mod tests {
    use stagedoor_domain::preferences::{PreferencesLayer, SearchLayer};

    use super::*;

    fn track(id: &str) -> Track {
        Track {
            reference: format!("tidal:track:{id}").parse().unwrap(),
            title: "So What".to_owned(),
            artists: Vec::new(),
            album: None,
            isrc: None,
            duration_ms: 1,
            explicit: false,
            audio_quality: None,
            track_number: None,
            url: None,
        }
    }

    fn preferred(quality: AudioQuality, include_explicit: bool, services: &[Provider]) -> Preferred {
        let layer = PreferencesLayer {
            audio_quality: Some(quality),
            search_defaults: SearchLayer { limit: None, include_explicit: Some(include_explicit) },
            ..PreferencesLayer::default()
        };
        Preferred::of(&Preferences::of(&layer, &PreferencesLayer::default()), services)
    }

    fn ids(tracks: &[Track]) -> Vec<&str> {
        tracks.iter().map(|track| track.reference.id()).collect()
    }

    #[test]
    fn who_prefers_what_everybody_gets_has_the_same_answer() {
        let everybody = Preferred::default();
        assert_eq!(preferred(AudioQuality::High, true, Provider::ALL), everybody);
        assert_eq!(preferred(AudioQuality::Low, true, Provider::ALL), everybody);
        assert_eq!(
            preferred(AudioQuality::Lossless, true, &[Provider::Spotify]),
            everybody,
            "Spotify does not tell"
        );
        assert_eq!(serde_json::to_string(&everybody).unwrap(), "{}");
        let wanted = preferred(AudioQuality::Lossless, false, Provider::ALL);
        assert_eq!(
            serde_json::to_string(&wanted).unwrap(),
            r#"{"without_explicit":true,"quality":"LOSSLESS"}"#
        );
    }

    #[test]
    fn what_is_explicit_is_left_out_and_told() {
        let mut tracks = vec![track("1"), Track { explicit: true, ..track("2") }, track("3")];
        let mut albums = Vec::new();
        assert!(preferred(AudioQuality::High, true, Provider::ALL).sift(&mut tracks, &mut albums).is_empty());
        let told = preferred(AudioQuality::High, false, Provider::ALL).sift(&mut tracks, &mut albums);
        assert_eq!(ids(&tracks), ["1", "3"]);
        assert!(told[0].contains("explicit") && told[0].ends_with("1 item."), "{told:?}");
    }

    #[test]
    fn what_is_offered_as_wanted_comes_first_and_what_is_not_is_told() {
        let of = |id: &str, best| Track { audio_quality: best, ..track(id) };
        let mut tracks = vec![
            of("low", Some(AudioQuality::High)),
            of("unknown", None),
            of("best", Some(AudioQuality::HiResLossless)),
            of("enough", Some(AudioQuality::Lossless)),
        ];
        let wanted = preferred(AudioQuality::Lossless, true, &[Provider::Tidal]);
        wanted.offered_first(&mut tracks, &mut []);
        assert_eq!(ids(&tracks), ["best", "enough", "low", "unknown"]);
        let told = wanted.sift(&mut tracks, &mut Vec::new());
        assert_eq!(
            told,
            ["Not offered in LOSSLESS, which the person prefers: 1 item; `audio_quality` says which."]
        );
        assert_eq!(tracks.len(), 4, "it is left to the person");
    }
}
