//! The player in Spotify's JSON: what plays, devices, the queue, what was played.

use serde::Deserialize;
use stagedoor_domain::Provider;
use stagedoor_domain::music::Track;
use stagedoor_domain::playback::{Device, Playback, Played, RepeatMode};
use stagedoor_domain::{EntityKind, ItemRef};

use super::TrackObject;
use crate::text;

/// `CurrentlyPlayingContextObject`.
#[derive(Deserialize)]
pub(in crate::spotify) struct PlaybackObject {
    device: Option<DeviceObject>,
    repeat_state: Option<String>,
    shuffle_state: Option<bool>,
    context: Option<ContextObject>,
    progress_ms: Option<u64>,
    /// Must be there; without it the answer is something else.
    is_playing: bool,
    item: Option<TrackObject>,
}

/// `ContextObject`.
#[derive(Deserialize)]
struct ContextObject {
    uri: Option<String>,
}

/// `DeviceObject`.
#[derive(Deserialize)]
pub(in crate::spotify) struct DeviceObject {
    id: Option<String>,
    is_active: Option<bool>,
    is_restricted: Option<bool>,
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    volume_percent: Option<u32>,
    supports_volume: Option<bool>,
}

/// `QueueObject`, without what plays now.
#[derive(Deserialize)]
pub(in crate::spotify) struct QueueObject {
    queue: Vec<Option<TrackObject>>,
}

/// `PlayHistoryObject`.
#[derive(Deserialize)]
pub(in crate::spotify) struct PlayedObject {
    track: Option<TrackObject>,
    played_at: Option<String>,
    context: Option<ContextObject>,
}

impl PlaybackObject {
    /// What plays. A mode of repeating that is not known counts as off.
    pub(in crate::spotify) fn into_playback(self) -> Playback {
        Playback {
            playing: self.is_playing,
            track: self.item.and_then(TrackObject::into_track),
            progress_ms: self.progress_ms,
            device: self.device.and_then(DeviceObject::into_device),
            context: self.context.and_then(ContextObject::into_reference),
            shuffle: self.shuffle_state.unwrap_or_default(),
            repeat: self.repeat_state.and_then(|mode| mode.parse().ok()).unwrap_or(RepeatMode::Off),
        }
    }
}

impl ContextObject {
    /// The album, artist or playlist that it is; `None` for a show or a person's own collection. The older form of a
    /// playlist's URI names its owner first.
    fn into_reference(self) -> Option<String> {
        let uri = self.uri?;
        let mut parts = uri.rsplit(':');
        let (id, kind) = (parts.next()?, parts.next()?.parse().ok()?);
        let is_own = uri.starts_with("spotify:") && kind != EntityKind::Mix;
        text::reference(Provider::Spotify, kind, id).filter(|_| is_own).as_ref().map(ItemRef::to_string)
    }
}

impl DeviceObject {
    /// The device, if it has a name.
    pub(in crate::spotify) fn into_device(self) -> Option<Device> {
        let volume = self.volume_percent.filter(|_| self.supports_volume.unwrap_or(true));
        Some(Device {
            id: self.id.as_deref().and_then(text::key),
            name: text::name(&self.name?)?,
            kind: self
                .kind
                .and_then(|kind| text::word(&kind))
                .map_or_else(unknown, |kind| kind.to_lowercase()),
            active: self.is_active.unwrap_or_default(),
            restricted: self.is_restricted.unwrap_or_default(),
            volume_percent: volume.map(|percent| percent.min(100)),
        })
    }
}

impl QueueObject {
    pub(in crate::spotify) fn into_tracks(self) -> Vec<Track> {
        self.queue.into_iter().flatten().filter_map(TrackObject::into_track).collect()
    }
}

impl PlayedObject {
    pub(in crate::spotify) fn into_played(self) -> Option<Played> {
        Some(Played {
            track: self.track?.into_track()?,
            played_at: text::word(&self.played_at?)?,
            context: self.context.and_then(ContextObject::into_reference),
        })
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn playback(json: serde_json::Value) -> Playback {
        serde_json::from_value::<PlaybackObject>(json).unwrap().into_playback()
    }

    #[test]
    fn what_plays_may_be_nearly_unknown() {
        let nothing = playback(json!({ "is_playing": false }));
        assert!(!nothing.playing && nothing.track.is_none() && nothing.device.is_none());
        let odd = playback(json!({
            "is_playing": true, "repeat_state": "sometimes", "shuffle_state": null, "progress_ms": null,
            "item": {"id": "e", "name": "Talk", "type": "episode"}, "context": {"uri": "spotify:show:s"},
            "device": {"id": null, "name": "Kitchen\u{202E}", "type": "Speaker", "volume_percent": 130},
        }));
        let device = odd.device.unwrap();
        assert_eq!((device.name.as_str(), device.kind.as_str(), device.id), ("Kitchen", "speaker", None));
        assert_eq!(
            (device.volume_percent, odd.repeat, odd.track, odd.context),
            (Some(100), RepeatMode::Off, None, None)
        );
    }

    #[test]
    fn a_context_is_a_reference_or_nothing() {
        let reference = |uri: &str| ContextObject { uri: Some(uri.to_owned()) }.into_reference();
        for (uri, expected) in [
            ("spotify:album:a1", Some("spotify:album:a1")),
            ("spotify:user:ada:playlist:p1", Some("spotify:playlist:p1")),
            ("spotify:user:ada:collection", None),
            ("spotify:mix:m1", None),
            ("tidal:album:a1", None),
            ("https://open.spotify.com/album/a1", None),
            ("spotify:album:../me", None),
            ("", None),
        ] {
            assert_eq!(reference(uri).as_deref(), expected, "{uri}");
        }
    }

    #[test]
    fn a_volume_that_cannot_be_set_is_none() {
        let device: DeviceObject = serde_json::from_value(json!({
            "name": "Phone", "supports_volume": false, "volume_percent": 40, "is_active": true
        }))
        .unwrap();
        let device = device.into_device().unwrap();
        assert_eq!((device.volume_percent, device.active, device.kind.as_str()), (None, true, "unknown"));
    }
}
