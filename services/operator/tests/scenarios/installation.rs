//! A stand-in of an installation: the admin API's services that the operator calls, served over gRPC on loopback, with etags,
//! request ids that are remembered, and secrets that are told once.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, Utc};
use prost::Message;
use stagedoor_domain::Clock;
use stagedoor_proto::admin::v1::*;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Identity, ServerTlsConfig};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The admin key that it takes at first.
pub(crate) const ADMIN_KEY: &str = "sd_admin_the_right_one";

/// What the installation has and has seen.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) admin_key: String,
    pub(crate) tenants: BTreeMap<String, Tenant>,
    pub(crate) settings: BTreeMap<String, serde_json::Value>,
    pub(crate) apps: BTreeMap<(String, i32), ProviderApp>,
    /// The secrets of clients, which nobody is told.
    pub(crate) app_secrets: BTreeMap<(String, i32), String>,
    pub(crate) keys: BTreeMap<String, (String, AgentKey)>,
    pub(crate) users: Vec<User>,
    /// Ids of requests, with what they asked for and what they made.
    pub(crate) requests: HashMap<String, (Vec<u8>, String)>,
    /// The names of all calls that were let in.
    pub(crate) calls: Vec<&'static str>,
    /// Whether nobody is let in for now.
    pub(crate) away: bool,
    /// For how long whoever asks then is told to wait.
    pub(crate) wait: Option<Duration>,
    /// The answer of the next call of that name is lost on its way.
    pub(crate) lose_answer: Option<&'static str>,
    /// The next call of that name finds that someone else was quicker.
    pub(crate) conflict: Option<&'static str>,
    /// Accounts are linked: clients cannot be removed.
    pub(crate) linked: bool,
    pub(crate) versions: u64,
}

/// The stand-in. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Installation {
    pub(crate) seen: Arc<Mutex<Seen>>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// The stand-in, served.
pub(crate) struct Served {
    pub(crate) installation: Installation,
    pub(crate) address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Served {
    pub(crate) async fn start(clock: Arc<dyn Clock>) -> Self {
        let seen = Seen { admin_key: ADMIN_KEY.to_owned(), ..Seen::default() };
        Self::serve(Installation { seen: Arc::new(Mutex::new(seen)), clock }, None).await
    }

    /// The same installation at another address; over TLS with a certificate and its key, in PEM.
    pub(crate) async fn serve(installation: Installation, identity: Option<Identity>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = tonic::transport::Server::builder();
        if let Some(identity) = identity {
            server = server.tls_config(ServerTlsConfig::new().identity(identity)).unwrap();
        }
        let router = server
            .add_service(caller_service_server::CallerServiceServer::new(installation.clone()))
            .add_service(tenant_service_server::TenantServiceServer::new(installation.clone()))
            .add_service(settings_service_server::SettingsServiceServer::new(installation.clone()))
            .add_service(provider_app_service_server::ProviderAppServiceServer::new(installation.clone()))
            .add_service(agent_key_service_server::AgentKeyServiceServer::new(installation.clone()))
            .add_service(user_service_server::UserServiceServer::new(installation.clone()));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            router.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
        });
        Self { installation, address, _tasks: tasks }
    }
}

impl Installation {
    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Lets a call in.
    pub(crate) fn admit<T>(
        &self,
        name: &'static str,
        request: Request<T>,
    ) -> Result<(T, MutexGuard<'_, Seen>), Status> {
        let mut seen = self.seen();
        if seen.away {
            let mut details = ErrorDetails::with_error_info("STORE_UNAVAILABLE", "stagedoor", HashMap::new());
            details.set_retry_info(seen.wait);
            return Err(Status::with_error_details(
                Code::Unavailable,
                "The database is out of reach.",
                details,
            ));
        }
        let key = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        if key != Some(&format!("Bearer {}", seen.admin_key)) {
            return Err(refusal(Code::Unauthenticated, "UNAUTHENTICATED", "No valid key."));
        }
        seen.calls.push(name);
        if seen.conflict == Some(name) {
            seen.conflict = None;
            return Err(refusal(
                Code::Aborted,
                "ETAG_MISMATCH",
                "etag: The object was changed since you saw it.",
            ));
        }
        Ok((request.into_inner(), seen))
    }

    /// Sends an answer off; it may be lost on its way.
    pub(crate) fn answer<T>(
        mut seen: MutexGuard<'_, Seen>,
        name: &'static str,
        answer: T,
    ) -> Result<Response<T>, Status> {
        if seen.lose_answer == Some(name) {
            seen.lose_answer = None;
            return Err(Status::unavailable("connection reset"));
        }
        Ok(Response::new(answer))
    }
}

impl Seen {
    pub(crate) fn etag(&mut self) -> String {
        self.versions += 1;
        format!("e{}", self.versions)
    }

    /// What the same request made before, if it came before.
    pub(crate) fn before(&self, id: &str, request: &impl Message) -> Result<Option<String>, Status> {
        match self.requests.get(id) {
            Some((body, made)) if *body == request.encode_to_vec() => Ok(Some(made.clone())),
            Some(_) => Err(refusal(
                Code::Aborted,
                "IDEMPOTENCY_MISMATCH",
                "The request_id was used for something else.",
            )),
            None => Ok(None),
        }
    }

    pub(crate) fn remember(&mut self, id: &str, request: &impl Message, made: &str) {
        self.requests.insert(id.to_owned(), (request.encode_to_vec(), made.to_owned()));
    }

    pub(crate) fn tenant(&mut self, slug: &str) -> Result<&mut Tenant, Status> {
        self.tenants
            .get_mut(slug)
            .ok_or_else(|| refusal(Code::NotFound, "OBJECT_UNKNOWN", "There is no such tenant."))
    }

    pub(crate) fn count(&self, call: &str) -> usize {
        self.calls.iter().filter(|name| **name == call).count()
    }

    /// The keys of agents that work.
    pub(crate) fn active(&self) -> Vec<AgentKey> {
        let active = self.keys.values().filter(|(_, key)| key.state() == KeyState::Active);
        active.map(|(_, key)| key.clone()).collect()
    }
}

/// Fails if the caller has seen another version.
pub(crate) fn check_etag(seen: &str, present: &str) -> Result<(), Status> {
    if seen.is_empty() || seen == present {
        return Ok(());
    }
    Err(refusal(Code::Aborted, "ETAG_MISMATCH", "etag: The object was changed since you saw it."))
}

pub(crate) fn refusal(code: Code, reason: &str, message: &str) -> Status {
    Status::with_error_details(
        code,
        message,
        ErrorDetails::with_error_info(reason, "stagedoor", HashMap::new()),
    )
}

pub(crate) fn stamp(time: DateTime<Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.timestamp(), nanos: 0 }
}

/// Whether a mask names a field.
pub(crate) fn names(mask: Option<&prost_types::FieldMask>, field: &str) -> bool {
    mask.is_some_and(|mask| mask.paths.iter().any(|path| path == field))
}
