//! The arguments of `playback_control`: an action and what goes with it. What does not go with it is refused, because
//! an agent that says it means something else than what would be done.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use stagedoor_domain::playback::RepeatMode;
use stagedoor_domain::{EntityKind, ItemRef, Provider, PublicError};
use stagedoor_providers::PlaybackCommand;

use crate::arguments::{invalid, item_among};

/// The most tracks of one command.
const MOST: usize = 100;
/// A day: nothing that plays is longer.
const LONGEST: Duration = Duration::from_hours(24);
/// What can be played.
const KINDS: [EntityKind; 4] =
    [EntityKind::Track, EntityKind::Album, EntityKind::Artist, EntityKind::Playlist];

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    Play,
    Pause,
    Next,
    Previous,
    Seek,
    Volume,
    Shuffle,
    Repeat,
    Transfer,
}

/// A command to the player.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ControlArguments {
    action: Action,
    /// play: 1-100 tracks, or one album, artist or playlist; none resumes.
    refs: Option<Vec<String>>,
    /// play: where in the album or playlist to begin, from 0.
    position: Option<u32>,
    /// seek.
    position_ms: Option<u64>,
    /// volume: 0-100.
    volume_percent: Option<u32>,
    shuffle: Option<bool>,
    /// repeat: off, track or context.
    #[schemars(with = "Option<String>")]
    repeat: Option<RepeatMode>,
    /// `id` from `devices`; default the active one.
    device: Option<String>,
    account: Option<String>,
}

impl ControlArguments {
    /// The command, checked.
    pub(super) fn command(&self) -> Result<PlaybackCommand, PublicError> {
        self.nothing_else()?;
        Ok(match self.action {
            Action::Play => match &self.refs {
                Some(refs) => self.play(refs)?,
                None => PlaybackCommand::Resume,
            },
            Action::Pause => PlaybackCommand::Pause,
            Action::Next => PlaybackCommand::Next,
            Action::Previous => PlaybackCommand::Previous,
            Action::Seek => {
                let to = Duration::from_millis(self.needed(self.position_ms, "position_ms")?);
                if to > LONGEST {
                    return Err(invalid("`position_ms` is more than a day."));
                }
                PlaybackCommand::Seek(to)
            }
            Action::Volume => match self.needed(self.volume_percent, "volume_percent")? {
                percent @ 0..=100 => PlaybackCommand::Volume(percent),
                percent => {
                    return Err(invalid(format!(
                        "`volume_percent` is {percent}, but must be from 0 to 100."
                    )));
                }
            },
            Action::Shuffle => PlaybackCommand::Shuffle(self.needed(self.shuffle, "shuffle")?),
            Action::Repeat => PlaybackCommand::Repeat(self.needed(self.repeat, "repeat")?),
            Action::Transfer => {
                self.needed(self.device.as_ref(), "device")?;
                PlaybackCommand::Transfer
            }
        })
    }

    /// The device that it is for, if it names one.
    pub(super) fn device(&self) -> Option<&str> {
        self.device.as_deref()
    }

    /// The account that it is for, if it names one.
    pub(super) fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// The action as the arguments name it.
    pub(super) const fn action(&self) -> &'static str {
        match self.action {
            Action::Play => "play",
            Action::Pause => "pause",
            Action::Next => "next",
            Action::Previous => "previous",
            Action::Seek => "seek",
            Action::Volume => "volume",
            Action::Shuffle => "shuffle",
            Action::Repeat => "repeat",
            Action::Transfer => "transfer",
        }
    }

    fn play(&self, refs: &[String]) -> Result<PlaybackCommand, PublicError> {
        if refs.is_empty() || refs.len() > MOST {
            return Err(invalid(format!("`refs` has {} entries, but must have 1 to {MOST}.", refs.len())));
        }
        let mut items: Vec<ItemRef> = Vec::with_capacity(refs.len());
        for (index, text) in refs.iter().enumerate() {
            let service = items.first().map(ItemRef::provider);
            let kinds = if refs.len() > 1 { &KINDS[..1] } else { &KINDS[..] };
            items.push(item_among(&format!("refs[{index}]"), text, kinds, service)?);
        }
        if self.position.is_some() && !matches!(items[0].kind(), EntityKind::Album | EntityKind::Playlist) {
            return Err(invalid("`position` goes with one album or playlist in `refs`."));
        }
        Ok(PlaybackCommand::Play { items, position: self.position })
    }

    fn needed<T>(&self, value: Option<T>, name: &str) -> Result<T, PublicError> {
        value.ok_or_else(|| invalid(format!("Action {} needs `{name}`.", self.action())))
    }

    fn nothing_else(&self) -> Result<(), PublicError> {
        let given = [
            ("refs", self.refs.is_some(), Action::Play),
            ("position", self.position.is_some(), Action::Play),
            ("position_ms", self.position_ms.is_some(), Action::Seek),
            ("volume_percent", self.volume_percent.is_some(), Action::Volume),
            ("shuffle", self.shuffle.is_some(), Action::Shuffle),
            ("repeat", self.repeat.is_some(), Action::Repeat),
        ];
        match given.iter().find(|(_, given, of)| *given && *of != self.action) {
            Some((name, ..)) => Err(invalid(format!("`{name}` does not go with action {}.", self.action()))),
            None if self.position.is_some() && self.refs.is_none() => {
                Err(invalid("`position` goes with one album or playlist in `refs`."))
            }
            None => Ok(()),
        }
    }
}

/// The service of what is to be played, if anything is named.
pub(super) fn service(command: &PlaybackCommand) -> Option<Provider> {
    match command {
        PlaybackCommand::Play { items, .. } => items.first().map(ItemRef::provider),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(arguments: Value) -> Result<PlaybackCommand, String> {
        let arguments: ControlArguments =
            serde_json::from_value(arguments).map_err(|error| error.to_string())?;
        arguments.command().map_err(|error| error.message)
    }

    #[test]
    fn each_action_takes_what_goes_with_it() {
        assert_eq!(read(json!({ "action": "play" })), Ok(PlaybackCommand::Resume));
        assert_eq!(
            read(json!({ "action": "seek", "position_ms": 1_500 })),
            Ok(PlaybackCommand::Seek(Duration::from_millis(1_500)))
        );
        assert_eq!(
            read(json!({ "action": "repeat", "repeat": "context" })),
            Ok(PlaybackCommand::Repeat(RepeatMode::Context))
        );
        assert_eq!(read(json!({ "action": "transfer", "device": "x" })), Ok(PlaybackCommand::Transfer));
        let album = read(json!({ "action": "play", "refs": ["spotify:album:1"], "position": 3 })).unwrap();
        assert_eq!(service(&album), Some(Provider::Spotify));
        assert!(matches!(album, PlaybackCommand::Play { position: Some(3), .. }));
    }

    #[test]
    fn what_would_mean_something_else_is_refused() {
        for (arguments, told) in [
            (
                json!({ "action": "pause", "volume_percent": 5 }),
                "`volume_percent` does not go with action pause",
            ),
            (json!({ "action": "volume" }), "Action volume needs `volume_percent`"),
            (json!({ "action": "volume", "volume_percent": 101 }), "from 0 to 100"),
            (json!({ "action": "transfer" }), "Action transfer needs `device`"),
            (json!({ "action": "seek", "position_ms": 86_400_001 }), "more than a day"),
            (json!({ "action": "play", "refs": [] }), "1 to 100"),
            (json!({ "action": "play", "position": 1 }), "`position` goes with"),
            (json!({ "action": "play", "refs": ["spotify:track:1"], "position": 1 }), "`position` goes with"),
            (json!({ "action": "play", "refs": ["spotify:track:1", "spotify:album:1"] }), "refs[1]"),
            (json!({ "action": "play", "refs": ["spotify:track:1", "tidal:track:1"] }), "Spotify is meant"),
            (json!({ "action": "play", "refs": ["tidal:mix:1"] }), "another kind"),
            (json!({ "action": "stop" }), "unknown variant"),
        ] {
            let refused = read(arguments.clone()).unwrap_err();
            assert!(refused.contains(told), "{arguments}: {refused}");
        }
    }
}
