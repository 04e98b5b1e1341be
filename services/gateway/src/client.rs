//! Where a request really comes from: the peer, or what a trusted proxy says of it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::ConnectInfo;
use http::header::USER_AGENT;
use http::{Extensions, HeaderMap};
use ipnet::IpNet;

/// The client of one request.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its address.
    pub address: IpAddr,
    /// Its `User-Agent`, at most 256 bytes.
    pub user_agent: Option<Arc<str>>,
}

/// Which peers may say whom they forward for.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// Trusts the peers in these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into())
    }

    /// The client behind the peer: the last address in `X-Forwarded-For` that is not itself a trusted proxy.
    /// Anything before it was written by someone we do not trust.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        let forwarded: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        let mut client = peer;
        for hop in forwarded.iter().rev() {
            let Some(address) = parse_hop(hop.trim()) else { break };
            client = address;
            if !self.trusts(address) {
                break;
            }
        }
        client
    }

    /// Whether `address` is a trusted proxy's.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.or_else(bracketed).map(|address: IpAddr| address.to_canonical())
}

/// The peer of a connection, as the server put it into the request.
pub fn peer(extensions: &Extensions) -> IpAddr {
    let info = extensions.get::<ConnectInfo<SocketAddr>>();
    info.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |info| info.0.ip())
}

/// The client of a request.
pub fn of(proxies: &TrustedProxies, extensions: &Extensions, headers: &HeaderMap) -> Client {
    behind(proxies, peer(extensions), headers)
}

/// The client of a request that came from `peer`.
pub fn behind(proxies: &TrustedProxies, peer: IpAddr, headers: &HeaderMap) -> Client {
    let address = proxies.client(peer, headers);
    let user_agent = headers.get(USER_AGENT).map(|value| {
        let bytes = value.as_bytes();
        String::from_utf8_lossy(&bytes[..bytes.len().min(256)]).as_ref().into()
    });
    Client { address, user_agent }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_trusted_peers_may_speak_for_others() {
        assert_eq!(client("203.0.113.9", &["1.1.1.1"]), "203.0.113.9");
        assert_eq!(client("10.0.0.2", &["1.1.1.1"]), "1.1.1.1");
        assert_eq!(client("::ffff:10.0.0.2", &["1.1.1.1"]), "1.1.1.1");
    }

    #[test]
    fn what_the_client_itself_wrote_into_the_header_does_not_count() {
        assert_eq!(client("10.0.0.2", &["9.9.9.9, 198.51.100.7, 10.0.0.3"]), "198.51.100.7");
        assert_eq!(client("10.0.0.2", &["9.9.9.9", "198.51.100.7:4711"]), "198.51.100.7");
        assert_eq!(client("10.0.0.2", &["9.9.9.9, nonsense"]), "10.0.0.2");
    }
}
