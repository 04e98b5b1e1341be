//! `playback_state`, `devices`, `playback_control`, `queue_add`: what plays where. Nothing of it is ever cached. How a
//! command is read is in `command`, what is told where nothing plays in `nowhere`.

mod command;
mod nowhere;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_domain::music::Track;
use stagedoor_domain::playback::{Device, Playback};
use stagedoor_domain::{EntityKind, ItemRef, Provider, PublicError, TenantContext};

use crate::accounts::Account;
use crate::arguments::item_at;
use crate::desk::Desk;
use crate::origin::Origin;
use crate::reuse::Produced;
use crate::trail::of_account;
pub(crate) use command::ControlArguments;

/// The service that has a player, where a call names no account.
const SERVICE: Provider = Provider::Spotify;

/// Whose player.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StateArguments {
    /// Show what plays next, too.
    queue: Option<bool>,
    account: Option<String>,
}

/// Whose devices.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DevicesArguments {
    account: Option<String>,
}

/// What to play next.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueueArguments {
    #[serde(rename = "ref")]
    reference: String,
    /// `id` from devices; default the active one.
    device: Option<String>,
    account: Option<String>,
}

/// What plays.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StateOutput {
    provider: Provider,
    /// Left out if nothing plays and nothing did lately.
    #[serde(skip_serializing_if = "Option::is_none")]
    playback: Option<Playback>,
    /// What plays next, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<Vec<Track>>,
}

/// Where it can play.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DevicesOutput {
    provider: Provider,
    devices: Vec<Device>,
    /// What to do where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'static str>,
}

/// What was done.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ControlOutput {
    provider: Provider,
    /// The action that the service took.
    done: &'static str,
}

/// What was put into the queue.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct QueueOutput {
    /// The track.
    #[serde(rename = "ref")]
    reference: ItemRef,
    queued: bool,
}

pub(crate) async fn state(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: StateArguments,
) -> Produced {
    let account = &player(desk, ctx, origin, None, arguments.account.as_deref()).await?;
    let playback =
        desk.personal(ctx, origin, account, |music, access| async move {
            music.playback(ctx, &access.borrow()).await
        })
        .await?;
    let queue = match arguments.queue {
        Some(true) => Some(
            desk.personal(ctx, origin, account, |music, access| async move {
                music.queue(ctx, &access.borrow()).await
            })
            .await?,
        ),
        _ => None,
    };
    desk.fresh(&StateOutput { provider: account.provider, playback, queue })
}

pub(crate) async fn devices(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: DevicesArguments,
) -> Produced {
    let account = &player(desk, ctx, origin, None, arguments.account.as_deref()).await?;
    let devices = nowhere::devices(desk, ctx, origin, account).await?;
    let next = devices.is_empty().then_some(nowhere::OPEN_IT);
    desk.fresh(&DevicesOutput { provider: account.provider, devices, next })
}

pub(crate) async fn control(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: ControlArguments,
) -> Produced {
    let command = &arguments.command()?;
    let (device, action) = (arguments.device(), arguments.action());
    let service = command::service(command);
    let account = &player(desk, ctx, origin, service, arguments.account()).await?;
    origin.about(of_account(account.id));
    let commanded = desk
        .personal(ctx, origin, account, |music, access| async move {
            music.command_playback(ctx, &access.borrow(), command, device).await
        })
        .await;
    match commanded {
        Ok(()) => desk.fresh(&ControlOutput { provider: account.provider, done: action }),
        Err(error) => Err(nowhere::with_devices(desk, ctx, origin, account, error).await),
    }
}

pub(crate) async fn queue_add(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: QueueArguments,
) -> Produced {
    let device = arguments.device.as_deref();
    let track = &item_at("ref", &arguments.reference, EntityKind::Track, None)?;
    let account = &player(desk, ctx, origin, Some(track.provider()), arguments.account.as_deref()).await?;
    put_next(desk, ctx, origin, account, (track, device)).await?;
    desk.fresh(&QueueOutput { reference: track.clone(), queued: true })
}

/// Puts a track into the player's queue for another use-case.
pub(crate) async fn put_next(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    account: &Account,
    (track, device): (&ItemRef, Option<&str>),
) -> Result<(), PublicError> {
    let queued = desk
        .personal(ctx, origin, account, |music, access| async move {
            music.queue_add(ctx, &access.borrow(), track, device).await
        })
        .await;
    match queued {
        Ok(()) => Ok(()),
        Err(error) => Err(nowhere::with_devices(desk, ctx, origin, account, error).await),
    }
}

/// The account whose player is meant: one of the items' service, the one that is named, or the one there is.
async fn player(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    service: Option<Provider>,
    account: Option<&str>,
) -> Result<Account, PublicError> {
    let service = service.or(account.is_none().then_some(SERVICE));
    desk.account(ctx, origin, service, account).await
}
