//! Which addresses an issuer may have. Whoever registers one chooses where this gateway sends requests, so names are
//! resolved here, and what leads into a private network is not asked (SSRF).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr as _;
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// The networks that may be asked.
#[derive(Debug, Clone)]
pub(super) struct Egress {
    allowed: Arc<[IpNet]>,
    plain_http: bool,
}

impl Egress {
    /// The public internet and the networks in `allowed`.
    pub(super) fn new(allowed: &[IpNet], plain_http: bool) -> Self {
        Self { allowed: allowed.into(), plain_http }
    }

    /// Every address: of an issuer that the configuration names, whose author may ask anything anyway.
    pub(super) fn anywhere(plain_http: bool) -> Self {
        let all = [IpNet::from_str("0.0.0.0/0"), IpNet::from_str("::/0")];
        Self { allowed: all.into_iter().flatten().collect(), plain_http }
    }

    /// Whether `url` is an address that may be asked, as far as can be told without resolving a name.
    pub(super) fn admits(&self, url: &Url) -> bool {
        let secure = url.scheme() == "https" || (self.plain_http && url.scheme() == "http");
        let bare = url.username().is_empty() && url.password().is_none();
        let host = match url.host() {
            Some(Host::Ipv4(address)) => self.reaches(address.into()),
            Some(Host::Ipv6(address)) => self.reaches(address.into()),
            Some(Host::Domain(name)) => !name.is_empty(),
            None => false,
        };
        secure && bare && host
    }

    fn reaches(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address) || self.allowed.iter().any(|network| network.contains(&address))
    }
}

impl Resolve for Egress {
    fn resolve(&self, name: Name) -> Resolving {
        let egress = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<SocketAddr> = found.filter(|address| egress.reaches(address.ip())).collect();
            if addresses.is_empty() {
                let refused = io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    "the name leads to no address that issuers may have (oauth.allowed_networks)",
                );
                return Err(refused.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the public internet: globally reachable by the registries of IANA (RFC 6890), and no
/// translation or tunnel to an address that is not.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let reserved = a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b));
    !(reserved
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // 2000::/3 is what is assigned for the internet; 2001::/23, 2001:db8::/32, 2002::/16 and 3fff::/20 of it are
    // protocols, documentation and tunnels.
    a & 0xe000 == 0x2000
        && !(a == 0x2001 && b < 0x0200)
        && !(a == 0x2001 && b == 0x0db8)
        && a != 0x2002
        && !(a == 0x3fff && b < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_local_and_reserved_networks_are_not_public() {
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::1",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!Egress::new(&[], true).reaches(private.parse().unwrap()), "{private}");
        }
        for public in
            ["1.1.1.1", "100.128.0.1", "172.32.0.1", "198.20.0.1", "2606:4700::1111", "2a00:1450::1"]
        {
            assert!(Egress::new(&[], false).reaches(public.parse().unwrap()), "{public}");
        }
        let inside = Egress::new(&["10.20.0.0/16".parse().unwrap()], false);
        assert!(
            inside.reaches("10.20.3.4".parse().unwrap()) && !inside.reaches("10.21.3.4".parse().unwrap())
        );
        assert!(inside.reaches("::ffff:10.20.3.4".parse().unwrap()), "the same address in another form");
    }

    #[test]
    fn addresses_are_judged_before_anything_is_asked() {
        let admits = |plain_http: bool, url: &str| Egress::new(&[], plain_http).admits(&url.parse().unwrap());
        for good in ["https://login.example.com/a", "https://1.1.1.1/", "https://[2606:4700::1111]/"] {
            assert!(admits(false, good), "{good}");
        }
        for bad in [
            "http://login.example.com/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://user@login.example.com/",
            "ftp://login.example.com/",
            "file:///etc/passwd",
            "data:,a",
        ] {
            assert!(!admits(false, bad), "{bad}");
        }
        assert!(admits(true, "http://login.example.com/") && !admits(true, "http://127.0.0.1/"));
    }

    #[tokio::test]
    async fn names_that_lead_inside_are_not_resolved() {
        let resolve =
            async |egress: Egress| egress.resolve("localhost".parse().unwrap()).await.map(Iterator::count);
        let error = resolve(Egress::new(&[], true)).await.unwrap_err();
        assert!(error.to_string().contains("oauth.allowed_networks"), "{error}");
        let loopback = ["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        assert!(resolve(Egress::new(&loopback, true)).await.unwrap() > 0);
    }
}
