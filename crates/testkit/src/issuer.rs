//! An issuer of tokens: publishes its keys on loopback, signs whatever a test wants signed, and can be away. It shares no
//! code with what reads its tokens.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use stagedoor_bootstrap::tasks;
use stagedoor_domain::Clock;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What kind of key an issuer signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA of 2048 bits.
    Rsa,
    /// The curve P-256.
    P256,
    /// Ed25519.
    Ed25519,
}

enum Signing {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

#[derive(Default)]
struct Book {
    keys: BTreeMap<String, Arc<Signing>>,
    /// The ids of those that it publishes.
    published: Vec<String>,
    /// What it answers to everything, where it answers nothing else.
    away: Option<StatusCode>,
    /// What it calls itself in its description, if not by its name.
    alias: Option<String>,
}

struct Shelf {
    book: Mutex<Book>,
    url: String,
    asked: AtomicU64,
}

/// An issuer. Dropping it ends it.
pub struct TestIssuer {
    shelf: Arc<Shelf>,
    clock: Arc<dyn Clock>,
    _serving: DropGuard,
}

impl TestIssuer {
    /// An issuer with one RSA key, `first`, that goes by `clock`.
    ///
    /// # Panics
    /// As everything here, if the machine has no free port or no randomness.
    pub async fn start(clock: &Arc<dyn Clock>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address: SocketAddr = listener.local_addr().expect("a bound socket has an address");
        let shelf = Arc::new(Shelf {
            book: Mutex::default(),
            url: format!("http://{address}"),
            asked: AtomicU64::new(0),
        });
        let router = Router::new()
            .route("/.well-known/oauth-authorization-server", get(describe))
            .route("/keys", get(keys))
            .with_state(Arc::clone(&shelf));
        let stop = CancellationToken::new();
        let until = stop.clone().cancelled_owned();
        tasks::spawn("test issuer", async move {
            // A test fails by what it is not answered.
            let _ = axum::serve(listener, router).with_graceful_shutdown(until).await;
        });
        let issuer = Self { shelf, clock: Arc::clone(clock), _serving: stop.drop_guard() };
        issuer.rotate("first", KeyKind::Rsa);
        issuer
    }

    /// Its name, as tokens have it in `iss`.
    pub fn url(&self) -> &str {
        &self.shelf.url
    }

    /// Where its keys are.
    pub fn jwks_uri(&self) -> String {
        format!("{}/keys", self.shelf.url)
    }

    /// Makes a key and publishes it beside the others.
    pub fn add(&self, kid: &str, kind: KeyKind) {
        let mut book = self.book();
        book.keys.insert(kid.to_owned(), Arc::new(Signing::generate(kind)));
        book.published.push(kid.to_owned());
    }

    /// Makes a key and publishes it alone: whatever was signed before is worth nothing to whoever asks now.
    pub fn rotate(&self, kid: &str, kind: KeyKind) {
        self.book().published.clear();
        self.add(kid, kind);
    }

    /// Makes a key and publishes it nowhere.
    pub fn hide(&self, kid: &str, kind: KeyKind) {
        self.book().keys.insert(kid.to_owned(), Arc::new(Signing::generate(kind)));
    }

    /// Answers everything with this status from now on; `None` answers as ever.
    ///
    /// # Panics
    /// If there is no such status.
    pub fn answer_with(&self, status: Option<u16>) {
        self.book().away = status.map(|status| StatusCode::from_u16(status).expect("a status"));
    }

    /// Calls itself so in its description.
    pub fn pretend(&self, url: &str) {
        self.book().alias = Some(url.to_owned());
    }

    /// How often its keys were asked for.
    pub fn times_asked(&self) -> u64 {
        self.shelf.asked.load(Ordering::SeqCst)
    }

    /// Claims of a token that is good for an hour: for `audience`, of `subject`, with these values of `scope`.
    pub fn claims(&self, audience: &str, subject: &str, scope: &str) -> Value {
        let now = self.clock.now().timestamp();
        json!({
            "iss": self.url(), "aud": audience, "sub": subject, "scope": scope, "client_id": "an-agent",
            "iat": now, "exp": now + 3_600, "jti": "one",
        })
    }

    /// A token with these claims, signed with the newest key that is published.
    ///
    /// # Panics
    /// If it has no key.
    pub fn token(&self, claims: &Value) -> String {
        let kid = self.book().published.last().cloned().expect("a published key");
        self.token_of(&kid, claims)
    }

    /// The same, signed with that key.
    pub fn token_of(&self, kid: &str, claims: &Value) -> String {
        let algorithm = self.key(kid).algorithm();
        let header = json!({ "alg": algorithm, "kid": kid, "typ": "at+jwt" });
        self.sign(kid, &header.to_string(), &claims.to_string())
    }

    /// A token of these very texts, signed with that key as its kind signs, whatever the header says; with PS256 if the
    /// header says so of an RSA key.
    pub fn sign(&self, kid: &str, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = self.key(kid).sign(message.as_bytes(), header.contains("\"PS256\""));
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A token of these very texts with an HMAC-SHA-256 under `secret` for a signature.
    pub fn sign_with_secret(header: &str, claims: &str, secret: &[u8]) -> String {
        let message = format!("{}.{}", encode(header), encode(claims));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// The public half of a key as its DER text (PKCS #1 for RSA): what a careless verifier takes for a shared secret.
    pub fn public_der(&self, kid: &str) -> Vec<u8> {
        self.key(kid).public_der()
    }

    /// The key as it is published.
    pub fn jwk(&self, kid: &str) -> Value {
        self.key(kid).jwk(kid)
    }

    fn key(&self, kid: &str) -> Arc<Signing> {
        Arc::clone(self.book().keys.get(kid).expect("a key of that id"))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.shelf.book()
    }
}

impl Shelf {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for TestIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestIssuer").field("url", &self.shelf.url).finish_non_exhaustive()
    }
}

/// `GET /.well-known/oauth-authorization-server` (RFC 8414).
async fn describe(State(shelf): State<Arc<Shelf>>) -> Response {
    let book = shelf.book();
    if let Some(status) = book.away {
        return status.into_response();
    }
    let issuer = book.alias.clone().unwrap_or_else(|| shelf.url.clone());
    let document = json!({
        "issuer": issuer, "jwks_uri": format!("{}/keys", shelf.url), "response_types_supported": ["code"],
    });
    document.to_string().into_response()
}

/// `GET /keys` (RFC 7517 §5).
async fn keys(State(shelf): State<Arc<Shelf>>) -> Response {
    shelf.asked.fetch_add(1, Ordering::SeqCst);
    let book = shelf.book();
    if let Some(status) = book.away {
        return status.into_response();
    }
    let keys: Vec<Value> = book.published.iter().map(|kid| book.keys[kid].jwk(kid)).collect();
    json!({ "keys": keys }).to_string().into_response()
}

impl Signing {
    fn generate(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Rsa => Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("randomness")),
            KeyKind::P256 => {
                Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("randomness"))
            }
            KeyKind::Ed25519 => Self::Ed25519(Ed25519KeyPair::generate().expect("randomness")),
        }
    }

    const fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    fn sign(&self, message: &[u8], padded: bool) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                let padding = if padded { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                key.sign(padding, &random, message, &mut signature).expect("a signature");
                signature
            }
            Self::P256(key) => key.sign(&random, message).expect("a signature").as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    fn public_der(&self) -> Vec<u8> {
        match self {
            Self::Rsa(key) => key.public_key().as_ref().to_vec(),
            Self::P256(key) => key.public_key().as_der().expect("a public key").as_ref().to_vec(),
            Self::Ed25519(key) => key.public_key().as_der().expect("a public key").as_ref().to_vec(),
        }
    }

    fn jwk(&self, kid: &str) -> Value {
        let octets = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            // SEQUENCE { INTEGER n, INTEGER e } (RFC 8017 A.1.1): 2048 bits and 65537 have always these lengths.
            Self::Rsa(key) => {
                let public = key.public_key();
                let der: &[u8] = public.as_ref();
                json!({"kty": "RSA", "use": "sig", "kid": kid, "n": octets(&der[9..265]), "e": "AQAB"})
            }
            // 0x04 | x | y (SEC 1 §2.3.3).
            Self::P256(key) => {
                let public = key.public_key();
                let point: &[u8] = public.as_ref();
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": octets(&point[1..33]), "y": octets(&point[33..])})
            }
            Self::Ed25519(key) => {
                let public = key.public_key();
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": octets(public.as_ref())})
            }
        }
    }
}

fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}
