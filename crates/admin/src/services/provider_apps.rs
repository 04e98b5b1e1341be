//! `ProviderAppService`. A client's secret is sealed at once, and never told.

use secrecy::SecretString;
use stagedoor_domain::{Provider as Service, ProviderAppId};
use stagedoor_proto::admin::v1::{
    CreateProviderAppRequest, DeleteProviderAppRequest, DeleteProviderAppResponse, GetProviderAppRequest,
    ListProviderAppsRequest, ListProviderAppsResponse, Provider, ProviderApp, ProviderAppMode,
    UpdateProviderAppRequest,
};
use stagedoor_storage::provider_apps::ProviderAppMode as Tier;
use stagedoor_storage::provider_apps::records::{
    self, NewProviderApp, ProviderAppRecord, Sealing, SecretChange,
};
use stagedoor_storage::{StoreError, TenantTransaction};

use super::provider_addresses::{self as addresses, GivenAddresses};
use crate::call::AdminCall;
use crate::error::AdminError;
use crate::fields::{self, Problems};
use crate::mask::Mask;
use crate::{etag, page, standing, times};

/// What may be changed of a client.
const CHANGEABLE: [&str; 5] = ["client_secret", "mode", "api_base_url", "auth_base_url", "authorize_url"];
/// The longest client id, in bytes.
const LONGEST_ID: usize = 200;
/// The longest secret, in bytes.
const LONGEST_SECRET: usize = 1_000;

/// Sets a client up.
pub async fn create_provider_app(
    call: &AdminCall,
    mut request: CreateProviderAppRequest,
) -> Result<ProviderApp, AdminError> {
    standing::living(call)?;
    let provider = wanted_provider(request.provider)?;
    let mut problems = Problems::default();
    let secret = problems.take(secret(std::mem::take(&mut request.client_secret)));
    let (own, given) = (addresses::own(provider), GivenAddresses::of_create(provider, &request));
    let app = NewProviderApp {
        id: ProviderAppId(call.new_id()),
        provider,
        client_id: problems.take(client_id(&request.client_id)),
        addresses: problems.take(given.read(call.caller().role, &own).map(Some)).unwrap_or(own),
        mode: problems.take(mode(provider, request.mode)).map_or(Tier::Development, |Mode(mode)| mode),
    };
    problems.check()?;
    let sealing = sealing(call, secret.as_ref()).await?;
    let made = call
        .write(call.context(), async |tx| {
            if call.is_new(tx).await? {
                let inserted = records::insert(tx, &app, sealing.as_ref()).await;
                inserted.map_err(|error| match error {
                    StoreError::AlreadyExists(_) => AdminError::exists("provider app", provider.as_str()),
                    error => error.into(),
                })?;
            }
            found(tx, provider).await
        })
        .await?;
    changed(call).await;
    Ok(ProviderApp { has_client_secret: secret.is_some(), ..shown(call, &made) })
}

/// Tells of a client.
pub async fn get_provider_app(
    call: &AdminCall,
    request: GetProviderAppRequest,
) -> Result<ProviderApp, AdminError> {
    let provider = wanted_provider(request.provider)?;
    let read = async |tx: &mut TenantTransaction| found(tx, provider).await;
    Ok(shown(call, &call.store().with_tenant(call.context(), read).await?))
}

/// Lists a tenant's clients.
pub async fn list_provider_apps(
    call: &AdminCall,
    request: ListProviderAppsRequest,
) -> Result<ListProviderAppsResponse, AdminError> {
    let apps = call.store().with_tenant(call.context(), async |tx| records::list(tx).await).await?;
    let paging = (request.page_size, request.page_token.as_str());
    let (apps, next_page_token) = page::of_few(apps, paging, |app| app.provider.as_str().to_owned())?;
    let provider_apps = apps.iter().map(|app| shown(call, app)).collect();
    Ok(ListProviderAppsResponse { provider_apps, next_page_token })
}

/// Changes a client.
pub async fn update_provider_app(
    call: &AdminCall,
    mut request: UpdateProviderAppRequest,
) -> Result<ProviderApp, AdminError> {
    standing::living(call)?;
    let provider = wanted_provider(request.provider)?;
    let mask = Mask::new(request.update_mask.as_ref(), &CHANGEABLE)?;
    let changes_secret = mask.changes("client_secret", !request.client_secret.is_empty());
    let mut problems = Problems::default();
    let secret = problems.take(secret(std::mem::take(&mut request.client_secret)));
    let mode = problems.take(mode(provider, request.mode)).map(|Mode(mode)| mode);
    problems.check()?;
    let sealing = sealing(call, secret.as_ref()).await?;
    let has_secret = secret.is_some();
    let change = match sealing {
        _ if !changes_secret => SecretChange::Keep,
        Some(sealing) => SecretChange::Replace(sealing),
        None => SecretChange::Remove,
    };
    let written = call
        .write(call.context(), async |tx| {
            let mut app = records::lock(tx, provider).await?.ok_or_else(|| unknown(provider))?;
            etag::check(&request.etag, &shown(call, &app).etag)?;
            if mask.changes("mode", mode.is_some()) {
                app.mode = mode.unwrap_or(Tier::Development);
            }
            let given = GivenAddresses::of_update(provider, &request, &mask);
            app.addresses = given.read(call.caller().role, &app.addresses)?;
            records::update(tx, &app, &change).await?;
            found(tx, provider).await
        })
        .await?;
    changed(call).await;
    let shown = shown(call, &written);
    Ok(if changes_secret { ProviderApp { has_client_secret: has_secret, ..shown } } else { shown })
}

/// Removes a client that no account is linked through.
pub async fn delete_provider_app(
    call: &AdminCall,
    request: DeleteProviderAppRequest,
) -> Result<DeleteProviderAppResponse, AdminError> {
    let provider = wanted_provider(request.provider)?;
    call.write(call.context(), async |tx| {
        let app = records::lock(tx, provider).await?.ok_or_else(|| unknown(provider))?;
        etag::check(&request.etag, &shown(call, &app).etag)?;
        records::remove(tx, &app).await.map_err(|error| match error {
            StoreError::Impossible(_) => AdminError::not_in_state(
                format!("Accounts are linked through the tenant's client at {}.", provider.title()),
                "Unlink them first.",
            ),
            error => error.into(),
        })
    })
    .await?;
    changed(call).await;
    Ok(DeleteProviderAppResponse {})
}

/// The provider that a request must name.
pub(crate) fn wanted_provider(given: i32) -> Result<Service, AdminError> {
    match fields::known::<Provider>("provider", given)? {
        Some(Provider::Spotify) => Ok(Service::Spotify),
        Some(Provider::Tidal) => Ok(Service::Tidal),
        Some(Provider::Unspecified) | None => {
            Err(AdminError::field("provider", "It is missing; a request must set it."))
        }
    }
}

/// A provider as callers see it.
pub(crate) fn shown_provider(provider: Service) -> Provider {
    match provider {
        Service::Spotify => Provider::Spotify,
        Service::Tidal => Provider::Tidal,
    }
}

/// A tenant without a client at that provider.
pub(crate) fn unknown(provider: Service) -> AdminError {
    AdminError::unknown("provider app", provider.as_str())
}

/// This replica knows of the change now, the others within a second.
async fn changed(call: &AdminCall) {
    if !call.validate_only() {
        call.rooms().dispatcher.desk().tenant_changed(call.context().tenant_id()).await;
    }
}

async fn found(tx: &mut TenantTransaction, provider: Service) -> Result<ProviderAppRecord, AdminError> {
    records::get(tx, provider).await?.ok_or_else(|| unknown(provider))
}

/// The secret with the key that seals it. A key that the tenant has not yet is made, which a call that only checks does not.
async fn sealing<'a>(
    call: &'a AdminCall,
    secret: Option<&'a SecretString>,
) -> Result<Option<Sealing<'a>>, AdminError> {
    match secret {
        Some(secret) if !call.validate_only() => {
            Ok(Some(Sealing::prepare(&call.rooms().provisioning, call.context(), secret).await?))
        }
        _ => Ok(None),
    }
}

fn client_id(given: &str) -> Result<String, AdminError> {
    let fits = !given.is_empty() && given.len() <= LONGEST_ID;
    if fits && given.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(given.to_owned());
    }
    let wanted = format!("It must be 1 to {LONGEST_ID} printable ASCII characters without blanks.");
    Err(AdminError::field("client_id", wanted))
}

/// What is wrong with a secret is told without it.
fn secret(given: String) -> Result<Option<SecretString>, AdminError> {
    if given.is_empty() {
        return Ok(None);
    }
    let fits = given.len() <= LONGEST_SECRET && given.bytes().all(|byte| byte.is_ascii_graphic());
    let secret = SecretString::from(given);
    if fits {
        return Ok(Some(secret));
    }
    let wanted = format!("It must be at most {LONGEST_SECRET} printable ASCII characters without blanks.");
    Err(AdminError::field("client_secret", wanted))
}

struct Mode(Tier);

fn mode(provider: Service, given: i32) -> Result<Option<Mode>, AdminError> {
    match fields::known::<ProviderAppMode>("mode", given)? {
        None | Some(ProviderAppMode::Unspecified) => Ok(None),
        Some(ProviderAppMode::Development) => Ok(Some(Mode(Tier::Development))),
        Some(ProviderAppMode::Extended) if provider == Service::Spotify => Ok(Some(Mode(Tier::Extended))),
        Some(ProviderAppMode::Extended) => {
            Err(AdminError::field("mode", "Only Spotify has an extended quota mode."))
        }
    }
}

fn shown(call: &AdminCall, app: &ProviderAppRecord) -> ProviderApp {
    let mode = match app.mode {
        Tier::Development => ProviderAppMode::Development,
        Tier::Extended => ProviderAppMode::Extended,
    };
    let (rooms, slug) = (call.rooms(), &call.context().tenant().slug);
    let own = addresses::own(app.provider);
    let unless_own =
        |address: &str, own: &str| if address == own { String::new() } else { address.to_owned() };
    let mut shown = ProviderApp {
        provider: shown_provider(app.provider).into(),
        client_id: app.client_id.clone(),
        has_client_secret: app.has_client_secret,
        mode: mode.into(),
        api_base_url: unless_own(&app.addresses.api_base_url, &own.api_base_url),
        auth_base_url: unless_own(&app.addresses.auth_base_url, &own.auth_base_url),
        authorize_url: app.addresses.authorize_url.clone().unwrap_or_default(),
        redirect_uri: rooms.redirect_uri(slug, app.provider),
        etag: String::new(),
        update_time: Some(times::timestamp(app.updated_at)),
    };
    // Of its secret nothing is shown but that it is there: its revision tells one from another.
    let version = ProviderApp { update_time: None, etag: app.revision.to_string(), ..shown.clone() };
    shown.etag = etag::of(&version);
    shown
}
