//! Spotify's player against the sandbox: what plays, every command, and the ways to be refused.

use std::time::Duration;

use stagedoor_domain::playback::RepeatMode;
use stagedoor_domain::{EntityKind, ItemRef, Provider};
use stagedoor_providers::{Access, ForbiddenReason, PlaybackCommand, ProviderError};
use stagedoor_sandbox::Plan;

use crate::every::tracks;
use crate::fixture::{Fixture, app};
use crate::scripted::{Scripted, json};

async fn command(
    fixture: &Fixture,
    command: PlaybackCommand,
    device: Option<&str>,
) -> Result<(), ProviderError> {
    fixture.music().command_playback(&fixture.ctx, &fixture.access(), &command, device).await
}

async fn playing(fixture: &Fixture) -> stagedoor_domain::playback::Playback {
    fixture.music().playback(&fixture.ctx, &fixture.access()).await.unwrap().unwrap()
}

fn play(items: &[ItemRef], position: Option<u32>) -> PlaybackCommand {
    PlaybackCommand::Play { items: items.to_vec(), position }
}

#[tokio::test]
async fn every_command_does_what_it_says() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    let all = tracks(&fixture, 5);
    let devices = music.devices(ctx, access).await.unwrap();
    let (computer, phone) = (devices[0].id.clone().unwrap(), devices[1].id.clone().unwrap());
    assert!(devices.iter().all(|device| !device.active) && devices[0].volume_percent.is_some());

    command(&fixture, play(&all[..4], Some(1)), Some(&computer)).await.unwrap();
    let now = playing(&fixture).await;
    assert!(now.playing && now.device.unwrap().id.as_deref() == Some(&computer));
    assert_eq!(now.track.unwrap().reference, all[1]);
    let next: Vec<_> =
        music.queue(ctx, access).await.unwrap().into_iter().map(|track| track.reference).collect();
    assert_eq!(next, all[2..4]);
    music.queue_add(ctx, access, &all[4], None).await.unwrap();
    assert_eq!(music.queue(ctx, access).await.unwrap()[0].reference, all[4]);

    command(&fixture, PlaybackCommand::Next, None).await.unwrap();
    assert_eq!(playing(&fixture).await.track.unwrap().reference, all[4]);
    command(&fixture, PlaybackCommand::Pause, None).await.unwrap();
    assert!(!playing(&fixture).await.playing);
    command(&fixture, PlaybackCommand::Resume, None).await.unwrap();
    command(&fixture, PlaybackCommand::Seek(Duration::from_millis(1_234)), None).await.unwrap();
    command(&fixture, PlaybackCommand::Volume(7), None).await.unwrap();
    command(&fixture, PlaybackCommand::Shuffle(true), None).await.unwrap();
    command(&fixture, PlaybackCommand::Repeat(RepeatMode::Context), None).await.unwrap();
    let now = playing(&fixture).await;
    assert_eq!((now.playing, now.progress_ms, now.shuffle), (true, Some(1_234), true));
    assert_eq!((now.repeat, now.device.unwrap().volume_percent), (RepeatMode::Context, Some(7)));

    command(&fixture, PlaybackCommand::Transfer, Some(&phone)).await.unwrap();
    let now = playing(&fixture).await;
    assert!(now.playing && now.device.unwrap().id.as_deref() == Some(&phone));
    command(&fixture, PlaybackCommand::Shuffle(false), None).await.unwrap();
    command(&fixture, PlaybackCommand::Previous, None).await.unwrap();
    assert!(all.contains(&playing(&fixture).await.track.unwrap().reference));
}

#[tokio::test]
async fn an_album_plays_from_any_of_its_tracks() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    let device = fixture.sandbox.devices(&fixture.account)[0].id.clone();
    let sample = fixture.sandbox.catalogue(Provider::Spotify).tracks().next().unwrap();
    let album = ItemRef::new(Provider::Spotify, EntityKind::Album, &sample.album_id).unwrap();
    let held = music.album(ctx, access, &album).await.unwrap();
    command(&fixture, play(std::slice::from_ref(&album), Some(1)), Some(&device)).await.unwrap();
    let now = playing(&fixture).await;
    assert_eq!(now.track.unwrap().reference, held.tracks[1].reference);
    assert_eq!(now.context, Some(album.to_string()));
    let artist = ItemRef::new(Provider::Spotify, EntityKind::Artist, &sample.artist_ids[0]).unwrap();
    command(&fixture, play(&[artist], None), None).await.unwrap();
}

#[tokio::test]
async fn without_a_device_there_is_nothing_to_command() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let (music, ctx, access) = (fixture.music(), &fixture.ctx, &fixture.access());
    assert_eq!(music.playback(ctx, access).await.unwrap(), None);
    assert_eq!(music.queue(ctx, access).await.unwrap(), []);
    let track = &tracks(&fixture, 1)[0];
    let outcomes = [
        command(&fixture, PlaybackCommand::Pause, None).await,
        command(&fixture, play(std::slice::from_ref(track), None), None).await,
        command(&fixture, PlaybackCommand::Resume, Some("0123456789abcdef")).await,
        music.queue_add(ctx, access, track, None).await,
    ];
    for outcome in outcomes {
        assert!(matches!(outcome, Err(ProviderError::NoActiveDevice { .. })), "{outcome:?}");
    }
}

#[tokio::test]
async fn commands_are_for_those_who_pay_and_grant_it() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let device = fixture.sandbox.devices(&fixture.account)[0].id.clone();
    fixture.sandbox.set_plan(Provider::Spotify, &fixture.account, Plan::Free);
    let error = command(&fixture, PlaybackCommand::Pause, Some(&device)).await.unwrap_err();
    assert!(matches!(error, ProviderError::Forbidden { reason: ForbiddenReason::Plan, .. }), "{error:?}");
    assert!(error.public().message.contains("paid plan"), "{:?}", error.public());

    let token = fixture.token_with(&[]);
    let access = &Access { token: &token, ..fixture.access() };
    let (music, ctx) = (fixture.music(), &fixture.ctx);
    let cases = [
        (music.playback(ctx, access).await.map(drop), "user-read-playback-state."),
        (music.devices(ctx, access).await.map(drop), "user-read-playback-state."),
        (
            music.queue(ctx, access).await.map(drop),
            "user-read-currently-playing or user-read-playback-state.",
        ),
        (
            music.command_playback(ctx, access, &PlaybackCommand::Next, None).await,
            "user-modify-playback-state.",
        ),
    ];
    for (outcome, scope) in cases {
        let public = outcome.unwrap_err().public();
        assert!(public.message.contains(&format!("did not grant {scope}")), "{scope}: {public:?}");
    }
}

#[tokio::test]
async fn what_the_player_refuses_is_told_in_its_words() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let devices = fixture.sandbox.devices(&fixture.account);
    let track = tracks(&fixture, 1);
    command(&fixture, play(&track, None), Some(&devices[0].id)).await.unwrap();
    let again = command(&fixture, PlaybackCommand::Resume, None).await.unwrap_err();
    assert!(again.public().message.contains("Restriction violated"), "{:?}", again.public());
    let volume = command(&fixture, PlaybackCommand::Volume(5), Some(&devices[1].id)).await.unwrap_err();
    assert!(volume.public().message.contains("volume"), "{:?}", volume.public());
}

#[tokio::test]
async fn what_makes_no_sense_is_not_sent() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let reference = |kind| ItemRef::new(Provider::Spotify, kind, "abc").unwrap();
    let (track, album, artist) =
        (reference(EntityKind::Track), reference(EntityKind::Album), reference(EntityKind::Artist));
    for wrong in [
        play(&[], None),
        play(&vec![track.clone(); 101], None),
        play(&[track.clone(), album.clone()], None),
        play(&[album.clone(), album], None),
        play(&[artist], Some(3)),
        play(&[reference(EntityKind::Mix)], None),
        play(&["tidal:album:1".parse().unwrap()], None),
        play(&["tidal:track:1".parse().unwrap()], None),
        PlaybackCommand::Volume(101),
        PlaybackCommand::Transfer,
    ] {
        let error = command(&fixture, wrong.clone(), None).await.unwrap_err();
        assert!(matches!(error, ProviderError::UnsupportedByProvider { .. }), "{wrong:?}: {error:?}");
    }
    assert_eq!(fixture.request_count(), 0);
}

#[tokio::test]
async fn a_command_without_content_says_so() {
    let nothing = || b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_vec();
    let gone = json(
        "404 Not Found",
        "",
        r#"{"error":{"status":404,"message":"Player command failed: No active device found","reason":"NO_ACTIVE_DEVICE"}}"#,
    );
    let server = Scripted::start(vec![nothing(), nothing(), gone]).await;
    let fixture = Fixture::start(Provider::Spotify).await;
    let app = app(Provider::Spotify, server.root.clone(), server.root.clone());
    let access = Access { app: &app, ..fixture.access() };
    let (music, ctx) = (fixture.music(), &fixture.ctx);
    music.command_playback(ctx, &access, &PlaybackCommand::Resume, Some("d 1")).await.unwrap();
    assert_eq!(music.playback(ctx, &access).await.unwrap(), None);
    let error = music.command_playback(ctx, &access, &PlaybackCommand::Next, None).await.unwrap_err();
    assert!(matches!(error, ProviderError::NoActiveDevice { .. }), "{error:?}");
    let requests = server.requests();
    assert!(requests[0].starts_with("PUT /me/player/play?device_id=d+1 HTTP/1.1"), "{}", requests[0]);
    for request in [&requests[0], &requests[2]] {
        assert!(
            request.to_lowercase().contains("content-length: 0"),
            "servers answer 411 without it: {request}"
        );
    }
    assert!(!requests[1].to_lowercase().contains("content-length"), "{}", requests[1]);
}
