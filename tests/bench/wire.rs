//! One request as bytes with a place for its id, and answers as bytes: as much HTTP/1.1 as a keep-alive
//! connection to a server of ours needs, so that the load costs little beside the server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

/// Ids are numbers of this many digits, so that they can be exchanged in place.
const ID_DIGITS: usize = 8;
const FIRST_ID: u32 = 10_000_000;

/// How a client speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Era {
    /// MCP 2026-07-28: headers and `_meta` on every request.
    Modern,
    /// MCP 2025-11-25.
    Legacy,
}

/// A `tools/call` whose id can be exchanged.
#[derive(Debug, Clone)]
pub(crate) struct RequestTemplate {
    bytes: Vec<u8>,
    id_at: usize,
}

impl RequestTemplate {
    /// A call of `tool` at `path`.
    pub(crate) fn new(
        era: Era,
        address: SocketAddr,
        path: &str,
        key: &str,
        tool: &str,
        arguments: &Value,
    ) -> Self {
        let mut params = json!({ "name": tool, "arguments": arguments });
        let headers = match era {
            Era::Modern => {
                params["_meta"] = json!({
                    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientInfo": { "name": "stagedoor-bench", "version": "1" },
                    "io.modelcontextprotocol/clientCapabilities": {},
                });
                format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: {tool}\r\n")
            }
            Era::Legacy => "MCP-Protocol-Version: 2025-11-25\r\n".to_owned(),
        };
        let body = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{FIRST_ID},\"method\":\"tools/call\",\"params\":{params}}}"
        );
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: stagedoor-bench/1\r\n\
             Authorization: Bearer {key}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        let id_at = head.len() + "{\"jsonrpc\":\"2.0\",\"id\":".len();
        Self { bytes: [head, body].concat().into_bytes(), id_at }
    }

    /// The request with the `number`th id.
    pub(crate) fn numbered(&mut self, number: u32) -> &[u8] {
        write_id(&mut self.bytes[self.id_at..self.id_at + ID_DIGITS], number);
        &self.bytes
    }

    /// Its length in bytes.
    pub(crate) fn length(&self) -> usize {
        self.bytes.len()
    }
}

fn write_id(place: &mut [u8], number: u32) {
    let mut rest = FIRST_ID + number % (9 * FIRST_ID);
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
}

/// What every answer must be, its id apart.
#[derive(Debug, Clone)]
pub(crate) struct ExpectedAnswer {
    body: Vec<u8>,
    id_at: usize,
}

impl ExpectedAnswer {
    /// All further answers must equal this one, which answers the 0th request.
    pub(crate) fn like(body: &[u8]) -> anyhow::Result<Self> {
        let text = std::str::from_utf8(body).context("the answer is not UTF-8")?;
        let id_at = text.find(&FIRST_ID.to_string()).context("the answer does not have the request's id")?;
        Ok(Self { body: body.to_owned(), id_at })
    }

    /// Its length in bytes.
    pub(crate) fn length(&self) -> usize {
        self.body.len()
    }

    /// Refuses an answer that is not the one to the `number`th request.
    pub(crate) fn check(&self, body: &[u8], number: u32) -> anyhow::Result<()> {
        let mut id = [0; ID_DIGITS];
        write_id(&mut id, number);
        let end = self.id_at + ID_DIGITS;
        let right = body.len() == self.body.len()
            && body[self.id_at..end] == id
            && body[..self.id_at] == self.body[..self.id_at]
            && body[end..] == self.body[end..];
        ensure!(right, "request {number} got another's answer: {}", String::from_utf8_lossy(body));
        Ok(())
    }
}

/// The place of the body in `received`, once it is all there.
pub(crate) fn body_of(received: &[u8]) -> anyhow::Result<Option<Range<usize>>> {
    let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&received[..end]).context("the head is not text")?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "an answer that is no success:\n{}", shown(received));
    let length: usize = head
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .context("the answer has no Content-Length")?
        .1
        .trim()
        .parse()
        .context("Content-Length")?;
    let body = end + 4..end + 4 + length;
    Ok((received.len() >= body.end).then_some(body))
}

fn shown(received: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(&received[..received.len().min(1_000)])
}

/// A keep-alive connection that waits for each answer.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("no connection to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a whole request and answers with the body of a 200.
    pub(crate) fn call(&mut self, request: &[u8]) -> anyhow::Result<&[u8]> {
        self.stream.write_all(request)?;
        self.received.clear();
        let mut piece = [0; 8 * 1024];
        loop {
            match self.stream.read(&mut piece)? {
                0 => bail!("the server closed the connection: {}", shown(&self.received)),
                length => self.received.extend_from_slice(&piece[..length]),
            }
            if let Some(body) = body_of(&self.received)? {
                return Ok(&self.received[body]);
            }
        }
    }
}

/// The body of `GET path`, if the answer is a 200.
pub(crate) fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut connection = Connection::open(address)?;
    Ok(String::from_utf8_lossy(connection.call(request.as_bytes())?).into_owned())
}
