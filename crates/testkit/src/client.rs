//! A thin JSON-RPC client that shows everything of an answer, and the bare means to send what no client would.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ERROR_META: &str = "dev.stagedoor/error";
const PATIENCE: Duration = Duration::from_mins(1);

/// How a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// 2026-07-28: everything in each request.
    Modern,
    /// A revision with a handshake, named in the header.
    Legacy(&'static str),
}

/// An MCP client with one key.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    key: Option<String>,
    era: Era,
    capabilities: Value,
    software: Value,
    headers: Vec<(&'static str, String)>,
    next_id: AtomicU64,
}

/// Everything of an HTTP answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Client {
    /// A client of 2026-07-28.
    ///
    /// # Panics
    /// If no HTTP client can be built.
    pub fn new(address: SocketAddr, slug: &str, key: Option<&str>) -> Self {
        stagedoor_bootstrap::tls::install_provider();
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
        Self {
            http: http.expect("an HTTP client without TLS roots can always be built"),
            url: format!("http://{address}/t/{slug}/mcp"),
            key: key.map(str::to_owned),
            era: Era::Modern,
            capabilities: json!({}),
            software: json!({ "name": "testkit", "version": "1" }),
            headers: Vec::new(),
            next_id: AtomicU64::new(1),
        }
    }

    /// The same client speaking otherwise.
    #[must_use]
    pub fn speaking(mut self, era: Era) -> Self {
        self.era = era;
        self
    }

    /// The same client that says it can do more (2026-07-28, `clientCapabilities`).
    #[must_use]
    pub fn declaring(mut self, capabilities: Value) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// The same client that calls itself otherwise (2026-07-28, `clientInfo`).
    #[must_use]
    pub fn named(mut self, name: &str, version: &str) -> Self {
        self.software = json!({ "name": name, "version": version });
        self
    }

    /// The same client with a header on each request.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same client coming from another address, as a trusted proxy says.
    #[must_use]
    pub fn from_address(self, address: &str) -> Self {
        self.with_header("x-forwarded-for", address)
    }

    /// The endpoint.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same client at another gateway.
    #[must_use]
    pub fn at(mut self, address: SocketAddr) -> Self {
        let path = self.url.splitn(4, '/').nth(3).unwrap_or_default();
        self.url = format!("http://{address}/{path}");
        self
    }

    /// The same client at a path below its endpoint, such as `/readonly`.
    #[must_use]
    pub fn below(mut self, path: &str) -> Self {
        self.url.push_str(path);
        self
    }

    /// Calls a tool.
    pub async fn tool(&self, name: &str, arguments: Value) -> Answer {
        self.rpc("tools/call", json!({ "name": name, "arguments": arguments })).await
    }

    /// Calls a tool that must succeed; answers with its structured content.
    ///
    /// # Panics
    /// If it does not.
    pub async fn call(&self, name: &str, arguments: Value) -> Value {
        let answer = self.tool(name, arguments.clone()).await;
        let result = answer.json();
        assert!(answer.status == 200 && result["result"]["isError"] == false, "{name} {arguments}: {result}");
        result["result"]["structuredContent"].clone()
    }

    /// Sends a request of the client's era.
    ///
    /// # Panics
    /// If there is no answer at all.
    pub async fn rpc(&self, method: &str, params: Value) -> Answer {
        match self.try_rpc(method, params).await {
            Ok(answer) => answer,
            Err(error) => panic!("no answer to {method}: {error:?}"),
        }
    }

    /// The same where no answer is one of the things that may happen.
    pub async fn try_rpc(&self, method: &str, params: Value) -> reqwest::Result<Answer> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.send(&self.message(json!(id), method, params)).await
    }

    /// The request `method` as the client's era writes it.
    pub fn message(&self, id: Value, method: &str, mut params: Value) -> Value {
        if self.era == Era::Modern {
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = self.capabilities.clone();
            params["_meta"]["io.modelcontextprotocol/clientInfo"] = self.software.clone();
        }
        let mut message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        message["id"] = id;
        message
    }

    /// Sends a message with the headers that belong to it.
    pub async fn send(&self, message: &Value) -> reqwest::Result<Answer> {
        self.post(message.to_string(), &self.headers_of(message)).await
    }

    /// The headers that the client's era puts on `message`.
    pub fn headers_of(&self, message: &Value) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("accept", "application/json, text/event-stream".to_owned()),
        ];
        let method = message["method"].as_str().unwrap_or_default();
        match self.era {
            Era::Modern => {
                headers.push(("mcp-protocol-version", "2026-07-28".to_owned()));
                headers.push(("mcp-method", method.to_owned()));
                let named_by = match method {
                    "tools/call" | "prompts/get" => "name",
                    "resources/read" => "uri",
                    "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
                    _ => "",
                };
                if let Some(name) = message["params"][named_by].as_str() {
                    headers.push(("mcp-name", name.to_owned()));
                }
            }
            Era::Legacy(_) if method == "initialize" => {}
            Era::Legacy(revision) => headers.push(("mcp-protocol-version", revision.to_owned())),
        }
        headers
    }

    /// Posts any body with exactly these headers, the key and the client's own.
    pub async fn post(
        &self,
        body: impl Into<reqwest::Body>,
        headers: &[(&'static str, String)],
    ) -> reqwest::Result<Answer> {
        let mut request = self.http.post(&self.url).body(body);
        for (name, value) in headers.iter().chain(&self.headers) {
            request = request.header(*name, value);
        }
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, body: response.bytes().await? })
    }
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; the last event's data if it is an event stream.
    ///
    /// # Panics
    /// If it is neither.
    pub fn json(&self) -> Value {
        let text = self.text();
        let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap_or(&text);
        serde_json::from_str(data).unwrap_or_else(|error| panic!("status {}: {error}: {text:?}", self.status))
    }

    /// Every message of an event stream, the answer last; the answer alone if it is none.
    ///
    /// # Panics
    /// If one of them is no JSON.
    pub fn messages(&self) -> Vec<Value> {
        let text = self.text();
        let read =
            |data: &str| serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data:?}"));
        let events: Vec<Value> =
            text.lines().filter_map(|line| line.strip_prefix("data: ")).map(read).collect();
        if events.is_empty() { vec![self.json()] } else { events }
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The JSON-RPC result.
    pub fn result(&self) -> Value {
        self.json()["result"].clone()
    }

    /// The stable code of the failure, wherever the answer has it: problem+json, JSON-RPC error or tool error.
    pub fn code(&self) -> Option<String> {
        let json = self.json();
        let found =
            [&json["result"]["_meta"][ERROR_META]["code"], &json["error"]["data"]["code"], &json["code"]];
        found.into_iter().find_map(|code| code.as_str().map(str::to_owned))
    }

    /// What a person is told of the failure.
    pub fn message(&self) -> String {
        let json = self.json();
        let found =
            [&json["result"]["_meta"][ERROR_META]["message"], &json["error"]["message"], &json["detail"]];
        found.into_iter().find_map(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// `STATUS code`, the form in which tests compare failures; `STATUS ok` without one.
    pub fn verdict(&self) -> String {
        format!("{} {}", self.status, self.code().unwrap_or_else(|| "ok".to_owned()))
    }
}

/// GETs a path.
///
/// # Panics
/// If there is no answer.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    raw(address, request.as_bytes()).await.expect("an HTTP answer")
}

/// Sends bytes and reads until the other side closes.
async fn raw(address: SocketAddr, bytes: &[u8]) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(bytes).await?;
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await?;
    Ok(parse(&received))
}

/// An HTTP/1.1 answer whose body ends with the connection; chunks are left as they are.
fn parse(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(bytes.len());
    let head = String::from_utf8_lossy(&bytes[..end]);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = Bytes::copy_from_slice(bytes.get(end + 4..).unwrap_or_default());
    Answer { status, headers: HeaderMap::new(), body }
}
