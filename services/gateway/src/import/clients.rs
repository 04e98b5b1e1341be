//! `--client-id`: for one service or for whichever the files are of, an id or the tenant's own.

use std::str::FromStr;

use anyhow::ensure;
use stagedoor_domain::Provider;
use stagedoor_tools::import::GivenClient;

/// The word for the tenant's own client; no service gives out such an id.
const TENANTS: &str = "tenant";

/// One `--client-id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientArgument {
    provider: Option<Provider>,
    client: GivenClient,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Clients {
    any: Option<GivenClient>,
    of_services: Vec<(Provider, GivenClient)>,
}

impl FromStr for ClientArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (provider, id) = match text.split_once('=') {
            None => (None, text),
            Some((name, id)) => {
                let provider = name.parse().map_err(|_| format!("{name:?} is neither spotify nor tidal"))?;
                (Some(provider), id)
            }
        };
        if id.trim().is_empty() {
            return Err("a client id is missing".to_owned());
        }
        let client = if id == TENANTS { GivenClient::Tenants } else { GivenClient::Id(id.to_owned()) };
        Ok(Self { provider, client })
    }
}

impl Clients {
    /// One for all and one for each service at most.
    pub(super) fn new(arguments: &[ClientArgument]) -> anyhow::Result<Self> {
        let mut clients = Self::default();
        for ClientArgument { provider, client } in arguments {
            let twice = match provider {
                Some(provider) => clients.told(*provider).is_some(),
                None => clients.any.is_some(),
            };
            ensure!(!twice, "--client-id is given twice for the same files");
            match provider {
                Some(provider) => clients.of_services.push((*provider, client.clone())),
                None => clients.any = Some(client.clone()),
            }
        }
        Ok(clients)
    }

    /// Refuses an id without its service for files of several services: it is the client of one of them only.
    pub(super) fn check(&self, of_files: &[Provider]) -> anyhow::Result<()> {
        let mut open = of_files.iter().filter(|provider| self.told(**provider).is_none());
        let first = open.next();
        let several = open.any(|other| Some(other) != first);
        ensure!(
            !several || !matches!(self.any, Some(GivenClient::Id(_))),
            "--client-id: the files are of several services, and a client id is of one; say --client-id spotify=… and \
            --client-id tidal=…, or --client-id tenant if all tokens were made for the tenant's own clients"
        );
        Ok(())
    }

    /// What was said for a service's files.
    pub(super) fn of(&self, provider: Provider) -> Option<&GivenClient> {
        self.told(provider).or(self.any.as_ref())
    }

    fn told(&self, provider: Provider) -> Option<&GivenClient> {
        self.of_services.iter().find(|(told, _)| *told == provider).map(|(_, client)| client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(arguments: &[&str]) -> anyhow::Result<Clients> {
        let arguments: Vec<_> = arguments.iter().map(|text| text.parse().unwrap()).collect();
        Clients::new(&arguments)
    }

    fn id(text: &str) -> GivenClient {
        GivenClient::Id(text.to_owned())
    }

    #[test]
    fn a_client_is_of_one_service() {
        let (spotify, tidal) = (Provider::Spotify, Provider::Tidal);
        let both = clients(&["tidal=t", "spotify=tenant"]).unwrap();
        assert_eq!((both.of(tidal), both.of(spotify)), (Some(&id("t")), Some(&GivenClient::Tenants)));
        assert!(both.check(&[tidal, spotify]).is_ok());
        let bare = clients(&["x"]).unwrap();
        assert_eq!(bare.of(tidal), Some(&id("x")));
        assert!(bare.check(&[tidal, tidal]).is_ok() && bare.check(&[tidal, spotify]).is_err());
        let mixed = clients(&["x", "tidal=t"]).unwrap();
        assert_eq!((mixed.of(tidal), mixed.of(spotify)), (Some(&id("t")), Some(&id("x"))));
        assert!(mixed.check(&[tidal, spotify]).is_ok());
        assert!(clients(&["tenant"]).unwrap().check(&[tidal, spotify]).is_ok());
        assert!(clients(&["x", "y"]).is_err() && clients(&["tidal=x", "tidal=y"]).is_err());
        for wrong in ["", "deezer=x", "tidal=", "=x"] {
            assert!(wrong.parse::<ClientArgument>().is_err(), "{wrong}");
        }
    }
}
