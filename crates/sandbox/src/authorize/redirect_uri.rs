//! Which addresses an application may have people sent back to.

use stagedoor_domain::Provider;
use url::{Host, Url};

use crate::sandbox::Sandbox;

/// Why an address is not registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedirectUriError {
    /// No such application.
    #[error("there is no such application; register it first")]
    UnknownApp,
    /// Not an absolute address, or one with a fragment (RFC 6749 §3.1.2).
    #[error("a redirect address is absolute and has no fragment")]
    NotAnAddress,
    /// Neither `https` nor `http` on an explicit loopback address.
    #[error("a redirect address is https, or http on 127.0.0.1 or [::1]; localhost is not allowed")]
    NotSecure,
}

impl Sandbox {
    /// Lets an application have people sent back to `redirect_uri`, which requests must then name character by
    /// character. Once is enough; the state file keeps it. As at Spotify, `localhost` is refused.
    ///
    /// # Errors
    /// When the application is unknown or the address is not allowed.
    pub fn register_redirect_uri(
        &self,
        provider: Provider,
        client_id: &str,
        redirect_uri: &str,
    ) -> Result<(), RedirectUriError> {
        check(redirect_uri)?;
        self.write(|model| {
            let app = model.side_mut(provider).apps.get_mut(client_id).ok_or(RedirectUriError::UnknownApp)?;
            if !app.redirect_uris.iter().any(|held| held == redirect_uri) {
                app.redirect_uris.push(redirect_uri.to_owned());
            }
            Ok(())
        })
    }
}

fn check(redirect_uri: &str) -> Result<(), RedirectUriError> {
    let url = Url::parse(redirect_uri).map_err(|_| RedirectUriError::NotAnAddress)?;
    if url.fragment().is_some() {
        return Err(RedirectUriError::NotAnAddress);
    }
    let allowed = match (url.scheme(), url.host()) {
        ("https", Some(Host::Domain(name))) => name != "localhost",
        ("https", Some(_)) => true,
        ("http", Some(Host::Ipv4(address))) => address.is_loopback(),
        ("http", Some(Host::Ipv6(address))) => address.is_loopback(),
        _ => false,
    };
    if allowed { Ok(()) } else { Err(RedirectUriError::NotSecure) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tls_and_explicit_loopback_addresses_are_allowed() {
        for allowed in ["https://door.example/callback?x=1", "http://127.0.0.1:8080/cb", "http://[::1]/cb"] {
            assert_eq!(check(allowed), Ok(()), "{allowed}");
        }
        for (refused, why) in [
            ("http://localhost:8080/cb", RedirectUriError::NotSecure),
            ("https://localhost/cb", RedirectUriError::NotSecure),
            ("http://door.example/cb", RedirectUriError::NotSecure),
            ("http://10.0.0.1/cb", RedirectUriError::NotSecure),
            ("javascript:alert(1)", RedirectUriError::NotSecure),
            ("https://door.example/cb#x", RedirectUriError::NotAnAddress),
            ("/cb", RedirectUriError::NotAnAddress),
        ] {
            assert_eq!(check(refused), Err(why), "{refused}");
        }
    }
}
