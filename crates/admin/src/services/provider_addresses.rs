//! Where music services are reached: at their own addresses, unless the platform's operator says otherwise. Nobody else may:
//! whoever chooses what the gateway calls can make it call anything that it reaches.

use stagedoor_domain::Provider;
use stagedoor_proto::admin::v1::{CreateProviderAppRequest, UpdateProviderAppRequest};
use stagedoor_storage::admin_keys::AdminRole;
use stagedoor_storage::provider_apps::records::Addresses;
use url::Url;

use crate::error::AdminError;
use crate::fields::Problems;
use crate::mask::Mask;

/// The addresses of a request; `None` is not to be changed, and an empty one is the provider's own.
#[derive(Debug)]
pub(super) struct GivenAddresses<'r> {
    own: Addresses,
    api: Option<&'r str>,
    auth: Option<&'r str>,
    authorize: Option<&'r str>,
}

/// A provider's own addresses.
pub(super) fn own(provider: Provider) -> Addresses {
    let (api, auth) = match provider {
        Provider::Spotify => ("https://api.spotify.com/v1", "https://accounts.spotify.com"),
        Provider::Tidal => ("https://openapi.tidal.com/v2", "https://auth.tidal.com"),
    };
    Addresses { api_base_url: api.to_owned(), auth_base_url: auth.to_owned(), authorize_url: None }
}

impl<'r> GivenAddresses<'r> {
    /// Those of a new client.
    pub(super) fn of_create(provider: Provider, request: &'r CreateProviderAppRequest) -> Self {
        Self {
            own: own(provider),
            api: Some(&request.api_base_url),
            auth: Some(&request.auth_base_url),
            authorize: Some(&request.authorize_url),
        }
    }

    /// Those that an update changes.
    pub(super) fn of_update(provider: Provider, request: &'r UpdateProviderAppRequest, mask: &Mask) -> Self {
        let changed =
            |field, given: &'r String| mask.changes(field, !given.is_empty()).then_some(given.as_str());
        Self {
            own: own(provider),
            api: changed("api_base_url", &request.api_base_url),
            auth: changed("auth_base_url", &request.auth_base_url),
            authorize: changed("authorize_url", &request.authorize_url),
        }
    }

    /// The addresses as they shall be, if `role` may say so.
    pub(super) fn read(self, role: AdminRole, present: &Addresses) -> Result<Addresses, AdminError> {
        let mut problems = Problems::default();
        let mut one = |field: &str, given: Option<&str>, own: Option<&str>, present: Option<&str>| match given
        {
            None => present.map(str::to_owned),
            Some("") => own.map(str::to_owned),
            Some(given) if present == Some(given) || own == Some(given) => Some(given.to_owned()),
            Some(given) => match allowed(role, given) {
                Ok(()) => Some(given.to_owned()),
                Err(description) => {
                    problems.note(field, description);
                    None
                }
            },
        };
        let own = &self.own;
        let (api, auth) = (&present.api_base_url, &present.auth_base_url);
        let addresses = Addresses {
            api_base_url: one("api_base_url", self.api, Some(&own.api_base_url), Some(api))
                .unwrap_or_default(),
            auth_base_url: one("auth_base_url", self.auth, Some(&own.auth_base_url), Some(auth))
                .unwrap_or_default(),
            authorize_url: one("authorize_url", self.authorize, None, present.authorize_url.as_deref()),
        };
        problems.check().map(|()| addresses)
    }
}

fn allowed(role: AdminRole, given: &str) -> Result<(), &'static str> {
    if role != AdminRole::PlatformOperator {
        return Err("Only a platform operator sets another address than the provider's own; leave it empty.");
    }
    let url =
        Url::parse(given).map_err(|_| "It is no address; wanted: such as https://api.example.com/v1.")?;
    if !matches!(url.scheme(), "https" | "http") || url.host().is_none() {
        return Err("It must be an https or http address.");
    }
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err("It must have no name, password, query or fragment.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(api: &str) -> CreateProviderAppRequest {
        CreateProviderAppRequest { api_base_url: api.to_owned(), ..CreateProviderAppRequest::default() }
    }

    fn read(role: AdminRole, api: &str) -> Result<Addresses, AdminError> {
        let request = given(api);
        GivenAddresses::of_create(Provider::Spotify, &request).read(role, &own(Provider::Spotify))
    }

    #[test]
    fn only_an_operator_says_where_the_gateway_calls() {
        for address in ["http://169.254.169.254/latest", "https://internal.example.com/v1"] {
            let error = read(AdminRole::TenantAdmin, address).unwrap_err();
            assert_eq!(error.violations[0].field, "api_base_url");
            assert_eq!(read(AdminRole::PlatformOperator, address).unwrap().api_base_url, address);
        }
        for role in [AdminRole::TenantAdmin, AdminRole::PlatformOperator] {
            assert_eq!(read(role, "").unwrap(), own(Provider::Spotify));
            assert_eq!(read(role, "https://api.spotify.com/v1").unwrap(), own(Provider::Spotify));
        }
    }

    #[test]
    fn an_address_is_an_address_and_nothing_more() {
        let wrong = [
            "api.example.com",
            "file:///etc/passwd",
            "https://a:b@example.com",
            "https://example.com/?a",
            "https://example.com/#a",
        ];
        for address in wrong {
            assert!(read(AdminRole::PlatformOperator, address).is_err(), "{address}");
        }
    }

    #[test]
    fn a_tenant_admin_may_leave_what_an_operator_set_and_go_back_from_it() {
        let present = Addresses { api_base_url: "http://127.0.0.1:9/v1".to_owned(), ..own(Provider::Tidal) };
        let update = |api: Option<&'static str>| GivenAddresses {
            own: own(Provider::Tidal),
            api,
            auth: None,
            authorize: None,
        };
        let role = AdminRole::TenantAdmin;
        assert_eq!(update(None).read(role, &present).unwrap(), present);
        assert_eq!(update(Some("http://127.0.0.1:9/v1")).read(role, &present).unwrap(), present);
        assert_eq!(update(Some("")).read(role, &present).unwrap(), own(Provider::Tidal));
        assert!(update(Some("http://127.0.0.1:8/v1")).read(role, &present).is_err());
    }
}
