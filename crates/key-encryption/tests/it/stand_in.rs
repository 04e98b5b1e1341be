//! A stand-in for Vault's and OpenBao's HTTP API: transit, Kubernetes log-in, token renewal. It encrypts in earnest, checks
//! each request as Vault would, and words its answers as Vault does (API documentation, and the words that its source has
//! for what goes wrong).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stagedoor_crypto::SystemEntropy;
use stagedoor_domain::Entropy as _;
use stagedoor_key_encryption::{TransitError, TransitKeys, TransitLogin, TransitOptions};
use tokio::net::TcpListener;

use crate::support::StillClock;
use crate::tls::{Certificates, TlsListener};

pub(crate) const ROLE: &str = "stagedoor";
pub(crate) const ACCOUNT: &str = "header.payload.signature";

pub(crate) struct StandIn {
    pub(crate) folder: tempfile::TempDir,
    address: String,
    shared: Arc<Mutex<Vault>>,
    _serving: tokio::task::JoinSet<()>,
}

/// What a test may look at and change.
pub(crate) struct Vault {
    pub(crate) keys: BTreeMap<String, TransitKey>,
    pub(crate) tokens: BTreeSet<String>,
    pub(crate) namespace: Option<&'static str>,
    /// Answered instead of everything, as a sealed or standby node does.
    pub(crate) status: Option<u16>,
    pub(crate) hangs: bool,
    pub(crate) ignores_associated_data: bool,
    /// Operations that the policy does not allow.
    pub(crate) denied: BTreeSet<&'static str>,
    pub(crate) lease_seconds: u64,
    pub(crate) renewable: bool,
    pub(crate) requests: Vec<String>,
}

pub(crate) struct TransitKey {
    pub(crate) kind: &'static str,
    pub(crate) derived: bool,
    pub(crate) versions: Vec<[u8; 32]>,
    pub(crate) min_decryption_version: usize,
}

impl TransitKey {
    pub(crate) fn new(kind: &'static str) -> Self {
        let mut key = Self { kind, derived: false, versions: Vec::new(), min_decryption_version: 1 };
        key.rotate();
        key
    }

    pub(crate) fn rotate(&mut self) {
        let mut version = [0; 32];
        SystemEntropy.fill(&mut version);
        self.versions.push(version);
    }
}

impl StandIn {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        Self::serving(address, listener)
    }

    /// Behind TLS, with a certificate of an authority of its own.
    pub(crate) async fn start_tls() -> (Self, Certificates) {
        let (listener, certificates) = TlsListener::bind().await;
        let address = format!("https://{}", listener.local_addr().unwrap());
        (Self::serving(address, listener), certificates)
    }

    fn serving<L: Listener>(address: String, listener: L) -> Self
    where
        L::Addr: std::fmt::Debug,
    {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let shared = Arc::new(Mutex::new(Vault {
            keys: BTreeMap::from([("stagedoor".to_owned(), TransitKey::new("aes256-gcm96"))]),
            tokens: BTreeSet::from(["hvs.first".to_owned()]),
            namespace: None,
            status: None,
            hangs: false,
            ignores_associated_data: false,
            denied: BTreeSet::new(),
            lease_seconds: 3_600,
            renewable: true,
            requests: Vec::new(),
        }));
        let app = Router::new().fallback(serve).with_state(Arc::clone(&shared));
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
        let stand_in = Self { folder, address, shared, _serving: serving };
        stand_in.write_token("hvs.first");
        std::fs::write(stand_in.folder.path().join("account"), ACCOUNT).unwrap();
        stand_in
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, Vault> {
        self.shared.lock().unwrap()
    }

    pub(crate) fn write_token(&self, token: &str) {
        std::fs::write(self.token_file(), format!("{token}\n")).unwrap();
    }

    pub(crate) fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    /// Its address, by another name of this machine.
    pub(crate) fn at(&self, host: &str) -> String {
        self.address.replace("127.0.0.1", host)
    }

    pub(crate) fn options(&self) -> TransitOptions {
        TransitOptions {
            address: self.address.parse().unwrap(),
            mount: "transit".to_owned(),
            key: "stagedoor".to_owned(),
            namespace: None,
            ca_file: None,
            login: TransitLogin::TokenFile(self.token_file()),
            timeout: Duration::from_secs(20),
            wraps: true,
        }
    }

    pub(crate) fn kubernetes(&self) -> TransitOptions {
        let login = TransitLogin::Kubernetes {
            mount: "kubernetes".to_owned(),
            role: ROLE.to_owned(),
            token_file: self.folder.path().join("account"),
        };
        TransitOptions { login, ..self.options() }
    }

    pub(crate) async fn keys(&self, clock: &Arc<StillClock>) -> Result<TransitKeys, TransitError> {
        self.keys_with(self.options(), clock).await
    }

    pub(crate) async fn keys_with(
        &self,
        options: TransitOptions,
        clock: &Arc<StillClock>,
    ) -> Result<TransitKeys, TransitError> {
        TransitKeys::open(options, clock.clone(), &SystemEntropy).await
    }

    /// The requests since the last time, as `METHOD path`.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state().requests)
    }
}

async fn serve(
    State(shared): State<Arc<Mutex<Vault>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if shared.lock().unwrap().hangs {
        std::future::pending::<()>().await;
    }
    let mut vault = shared.lock().unwrap();
    vault.requests.push(format!("{method} {uri}"));
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("x-vault-request").as_deref(), Some("true"), "an agent may insist on this header");
    if let Some(status) = vault.status {
        return standby(status);
    }
    let path = uri.path().strip_prefix("/v1/").unwrap();
    if header("x-vault-namespace").as_deref() != vault.namespace {
        return no_route(path).into_response();
    }
    let body: Value = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    let outcome = if (&method, path) == (&Method::POST, "auth/kubernetes/login") {
        assert_eq!(header("x-vault-token"), None, "a log-in needs no token");
        vault.log_in(&body)
    } else {
        let token = header("x-vault-token").unwrap_or_default();
        if !vault.tokens.contains(&token) {
            return errors(403, &["permission denied"]).into_response();
        }
        vault.with_token(&method, path, &token, &body)
    };
    match outcome {
        Ok(data) => axum::Json(data).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

impl Vault {
    fn with_token(
        &mut self,
        method: &Method,
        path: &str,
        token: &str,
        body: &Value,
    ) -> Result<Value, Refused> {
        let parts: Vec<&str> = path.split('/').collect();
        match (method.as_str(), &parts[..]) {
            ("POST", ["auth", "token", "renew-self"]) => Ok(self.granted(token)),
            ("GET", ["transit", "keys", name]) => self.allowed("read").and_then(|()| self.read(name)),
            ("POST", ["transit", "encrypt", name]) => {
                self.allowed("encrypt").and_then(|()| self.encrypt(name, body))
            }
            ("POST", ["transit", "decrypt", name]) => {
                self.allowed("decrypt").and_then(|()| self.decrypt(name, body))
            }
            _ => Err(no_route(path)),
        }
    }

    fn allowed(&self, operation: &str) -> Result<(), Refused> {
        let denied = self.denied.contains(operation);
        if denied { Err(errors(403, &["1 error occurred:\n\t* permission denied\n\n"])) } else { Ok(()) }
    }

    fn log_in(&mut self, body: &Value) -> Result<Value, Refused> {
        only(body, &["jwt", "role"]);
        if body["role"] != ROLE {
            return Err(errors(400, &[&format!("invalid role name {}", body["role"])]));
        }
        if body["jwt"] != ACCOUNT {
            return Err(errors(403, &["permission denied"]));
        }
        let token = format!("hvs.login-{}", self.tokens.len());
        self.tokens.insert(token.clone());
        Ok(self.granted(&token))
    }

    fn granted(&self, token: &str) -> Value {
        let auth = json!({
            "client_token": token, "accessor": "0e9e354a-520f-df04-6867-ee81cae3d42d", "policies": ["default"],
            "metadata": {"role": ROLE}, "lease_duration": self.lease_seconds, "renewable": self.renewable,
        });
        json!({"auth": auth, "request_id": "1", "lease_id": "", "data": null, "wrap_info": null, "warnings": null})
    }

    fn read(&self, name: &str) -> Result<Value, Refused> {
        let key = self.keys.get(name).ok_or_else(|| errors(404, &[]))?;
        let times: serde_json::Map<String, Value> = (key.min_decryption_version..=key.versions.len())
            .map(|v| (v.to_string(), json!(1_442_851_412)))
            .collect();
        Ok(json!({"data": {
            "type": key.kind, "deletion_allowed": false, "derived": key.derived, "exportable": false, "keys": times,
            "latest_version": key.versions.len(), "min_available_version": 0,
            "min_decryption_version": key.min_decryption_version, "min_encryption_version": 0, "name": name,
            "supports_encryption": true, "supports_decryption": true,
        }}))
    }

    fn encrypt(&self, name: &str, body: &Value) -> Result<Value, Refused> {
        only(body, &["associated_data", "plaintext"]);
        // A policy that says `update` and not `create`: no key is made by asking.
        let key = self.keys.get(name).ok_or_else(|| errors(403, &["permission denied"]))?;
        let (mut text, data) = (bytes(&body["plaintext"])?, self.associated_data(body)?);
        let mut nonce = [0; NONCE_LEN];
        SystemEntropy.fill(&mut nonce);
        let version = key.versions.len();
        let cipher = cipher(&key.versions[version - 1]);
        let sealing = Nonce::assume_unique_for_key(nonce);
        cipher.seal_in_place_append_tag(sealing, Aad::from(data), &mut text).unwrap();
        let ciphertext = format!("vault:v{version}:{}", STANDARD.encode([&nonce[..], &text].concat()));
        Ok(json!({"data": {"ciphertext": ciphertext, "key_version": version}}))
    }

    fn decrypt(&self, name: &str, body: &Value) -> Result<Value, Refused> {
        only(body, &["associated_data", "ciphertext"]);
        let key = self.keys.get(name).ok_or_else(|| errors(400, &["encryption key not found"]))?;
        let data = self.associated_data(body)?;
        let text = body["ciphertext"].as_str().unwrap();
        let text =
            text.strip_prefix("vault:v").ok_or_else(|| errors(400, &["invalid ciphertext: no prefix"]))?;
        let (version, text) = text
            .split_once(':')
            .ok_or_else(|| errors(400, &["invalid ciphertext: wrong number of fields"]))?;
        let version: usize = version
            .parse()
            .map_err(|_| errors(400, &["invalid ciphertext: version number could not be decoded"]))?;
        if version > key.versions.len() {
            return Err(errors(400, &["invalid ciphertext: version is too new"]));
        }
        if version < key.min_decryption_version {
            let words = "ciphertext or signature version is disallowed by policy (too old)";
            return Err(errors(400, &[words]));
        }
        let sealed = STANDARD
            .decode(text)
            .map_err(|_| errors(400, &["invalid ciphertext: could not decode base64"]))?;
        let (nonce, sealed) =
            sealed.split_at_checked(NONCE_LEN).ok_or_else(|| errors(400, &["invalid ciphertext length"]))?;
        let (nonce, mut sealed) = (Nonce::try_assume_unique_for_key(nonce).unwrap(), sealed.to_vec());
        let opened = cipher(&key.versions[version - 1]).open_in_place(nonce, Aad::from(data), &mut sealed);
        let opened = opened.map_err(|_| errors(400, &["cipher: message authentication failed"]))?;
        Ok(json!({"data": {"plaintext": STANDARD.encode(opened)}}))
    }

    fn associated_data(&self, body: &Value) -> Result<Vec<u8>, Refused> {
        let data = bytes(&body["associated_data"])?;
        assert!(!data.is_empty(), "a wrap that is bound to nothing");
        Ok(if self.ignores_associated_data { Vec::new() } else { data })
    }
}

fn cipher(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap())
}

/// A client that sends what the endpoint does not know has misread the documentation.
fn only(body: &Value, known: &[&str]) {
    let sent: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(sent, known);
}

fn bytes(value: &Value) -> Result<Vec<u8>, Refused> {
    let text = value.as_str().unwrap_or_default();
    STANDARD.decode(text).map_err(|_| errors(400, &["illegal base64 data at input byte 0"]))
}

fn no_route(path: &str) -> Refused {
    errors(404, &[&format!("no handler for route \"{path}\". route entry not found.")])
}

fn standby(status: u16) -> Response {
    if status == 307 {
        return (StatusCode::TEMPORARY_REDIRECT, [("location", "http://127.0.0.1:9/v1/")]).into_response();
    }
    errors(status, if status == 503 { &["Vault is sealed"] } else { &[] }).into_response()
}

fn errors(status: u16, errors: &[&str]) -> Refused {
    Refused(status, errors.iter().map(|&words| words.to_owned()).collect())
}

/// An answer as Vault gives it where it does not do what is asked.
#[derive(Debug)]
struct Refused(u16, Vec<String>);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (StatusCode::from_u16(self.0).unwrap(), axum::Json(json!({"errors": self.1}))).into_response()
    }
}
