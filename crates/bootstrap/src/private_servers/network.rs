//! Free loopback ports, and random passwords for servers that live on them.

use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::PrivateServerError;

/// How often a server may lose the race for a port before that is an error.
pub(super) const PORT_ATTEMPTS: u32 = 5;

/// A loopback port that was free a moment ago; a server that finds it taken tries the next one.
pub(super) fn free_port() -> Result<u16, PrivateServerError> {
    let find = || -> std::io::Result<u16> {
        Ok(TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?.local_addr()?.port())
    };
    find().map_err(PrivateServerError::io("find a free loopback port"))
}

/// 192 random bits as hexadecimal digits, from the system: it protects a server that only this machine can reach.
pub(super) fn random_password() -> Result<String, PrivateServerError> {
    let mut bytes = [0_u8; 24];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(PrivateServerError::io("read random bytes"))?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
