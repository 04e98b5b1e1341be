//! What an agent is told where nothing plays: the devices that it can name, since the service does not choose one.

use serde_json::json;
use stagedoor_domain::playback::Device;
use stagedoor_domain::{ErrorCode, PublicError, TenantContext};

use crate::accounts::Account;
use crate::desk::Desk;
use crate::origin::Origin;

/// What to do where there is no device.
pub(super) const OPEN_IT: &str =
    "The person has to open the service's app somewhere; then call devices again.";

/// Where the account can play.
pub(super) async fn devices(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    account: &Account,
) -> Result<Vec<Device>, PublicError> {
    desk.personal(
        ctx,
        origin,
        account,
        |music, access| async move { music.devices(ctx, &access.borrow()).await },
    )
    .await
}

/// The error with the devices in it, if it is about none being active.
pub(super) async fn with_devices(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    account: &Account,
    error: PublicError,
) -> PublicError {
    if error.code != ErrorCode::NoActiveDevice {
        return error;
    }
    match devices(desk, ctx, origin, account).await {
        Ok(devices) => told(error, &devices),
        // What failed first is what the agent has to know; that the devices cannot be had was logged.
        Err(_) => error,
    }
}

fn told(error: PublicError, devices: &[Device]) -> PublicError {
    let usable: Vec<&Device> =
        devices.iter().filter(|device| device.id.is_some() && !device.restricted).collect();
    let names: Vec<String> = usable
        .iter()
        .filter_map(|device| Some(format!("{:?} ({}, id {})", device.name, device.kind, device.id.as_ref()?)))
        .collect();
    let (message, hint) = if names.is_empty() {
        (format!("{} There is no device that takes commands.", error.message), OPEN_IT.to_owned())
    } else {
        let message = format!("{} Devices: {}.", error.message, names.join(", "));
        (message, "Call again with `device`, the id of one of them.".to_owned())
    };
    PublicError { message, ..error }.hint(hint).details(json!({ "devices": usable }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(id: Option<&str>, restricted: bool) -> Device {
        Device {
            id: id.map(str::to_owned),
            name: "Kitchen \"2\"".to_owned(),
            kind: "speaker".to_owned(),
            active: false,
            restricted,
            volume_percent: None,
        }
    }

    #[test]
    fn the_devices_that_take_commands_are_in_the_message() {
        let error = || PublicError::new(ErrorCode::NoActiveDevice, "Spotify plays nowhere now.");
        let devices = [device(Some("one"), false), device(Some("two"), true), device(None, false)];
        let some = told(error(), &devices);
        assert_eq!(
            some.message,
            "Spotify plays nowhere now. Devices: \"Kitchen \\\"2\\\"\" (speaker, id one)."
        );
        assert_eq!(some.details.unwrap()["devices"].as_array().unwrap().len(), 1);
        assert!(some.hint.unwrap().contains("`device`"));
        let none = told(error(), &devices[1..]);
        assert!(none.message.contains("no device that takes commands"));
        assert_eq!(none.hint.as_deref(), Some(OPEN_IT));
    }
}
