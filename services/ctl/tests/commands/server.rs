//! The small server, and command lines that are run against it.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io::{self, Cursor, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use stagedoor_ctl::{Exit, Surroundings, Terminal, run};
use stagedoor_domain::{Clock, SystemClock};
use stagedoor_proto::admin::v1::audit_service_server::{AuditService, AuditServiceServer};
use stagedoor_proto::admin::v1::settings_service_server::{SettingsService, SettingsServiceServer};
use stagedoor_proto::admin::v1::tenant_service_server::{TenantService, TenantServiceServer};
use stagedoor_proto::admin::v1::*;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

pub(crate) const KEY: &str = "sd_admin_the_right_one";

/// What the server has and has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) tenants: BTreeMap<String, Tenant>,
    pub(crate) creates: Vec<CreateTenantRequest>,
    pub(crate) updates: Vec<UpdateTenantRequest>,
    pub(crate) settings: Vec<UpdateSettingsRequest>,
    pub(crate) lists: Vec<ListTenantsRequest>,
    pub(crate) exports: Vec<ExportAuditRequest>,
    /// How many of the next calls are answered with `UNAVAILABLE`.
    pub(crate) away: usize,
    /// Whether exports break off.
    pub(crate) breaks_off: bool,
}

#[derive(Debug, Clone, Default)]
struct Service(Arc<Mutex<Seen>>);

/// A server, and a home of its own for whoever calls it.
pub(crate) struct Fixture {
    pub(crate) address: SocketAddr,
    pub(crate) home: TempDir,
    service: Service,
    _tasks: JoinSet<()>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    pub(crate) output: String,
    pub(crate) messages: String,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        let service = Service::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let router = tonic::transport::Server::builder()
            .add_service(TenantServiceServer::new(service.clone()))
            .add_service(SettingsServiceServer::new(service.clone()))
            .add_service(AuditServiceServer::new(service.clone()));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            router.serve_with_incoming(TcpListenerStream::new(listener)).await.expect("it serves");
        });
        Self { address, home: tempfile::tempdir().expect("a folder"), service, _tasks: tasks }
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.service.seen()
    }

    pub(crate) fn has_tenants(&self, names: &[&str]) {
        for name in names {
            self.seen().tenants.insert((*name).to_owned(), tenant(name));
        }
    }

    /// Runs a command line as the one who has the key.
    pub(crate) async fn ctl(&self, line: &str) -> Ended {
        let environment = [
            ("STAGEDOOR_SERVER", format!("http://{}", self.address)),
            ("STAGEDOOR_ADMIN_KEY", KEY.to_owned()),
        ];
        self.ctl_with(line, &environment, "").await
    }

    /// Runs a command line with nothing but this environment and input.
    pub(crate) async fn ctl_with(&self, line: &str, environment: &[(&str, String)], input: &str) -> Ended {
        let mut variables: HashMap<String, String> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        variables.insert("HOME".to_owned(), self.home.path().display().to_string());
        let (output, messages) = (Shared::default(), Shared::default());
        let mut surroundings = Surroundings {
            environment: Box::new(move |name| variables.get(name).cloned()),
            input: Box::new(Cursor::new(input.to_owned())),
            output: Box::new(output.clone()),
            messages: Box::new(messages.clone()),
            terminal: Terminal::default(),
            clock: Arc::new(SystemClock::new()) as Arc<dyn Clock>,
            entropy: Arc::new(stagedoor_crypto::SystemEntropy),
        };
        let arguments: Vec<OsString> =
            std::iter::once("stagedoorctl").chain(line.split_whitespace()).map(OsString::from).collect();
        let exit = run(arguments, &mut surroundings).await;
        Ended { exit, output: output.text(), messages: messages.text() }
    }
}

pub(crate) fn tenant(name: &str) -> Tenant {
    Tenant {
        tenant: name.to_owned(),
        name: format!("The {name}"),
        plan: "standard".to_owned(),
        state: TenantState::Active.into(),
        etag: "\"1\"".to_owned(),
        ..Tenant::default()
    }
}

#[derive(Debug, Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic before").clone()).expect("text")
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic before").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Service {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().expect("no panic before")
    }

    fn admit<T>(&self, request: &Request<T>) -> Result<MutexGuard<'_, Seen>, Status> {
        let mut seen = self.seen();
        if seen.away > 0 {
            seen.away -= 1;
            return Err(refusal(Code::Unavailable, "SHUTTING_DOWN", "This replica is going."));
        }
        let key = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        if key != Some(&format!("Bearer {KEY}")) {
            return Err(refusal(Code::Unauthenticated, "INVALID_KEY", "The key is not known."));
        }
        Ok(seen)
    }
}

pub(crate) fn refusal(code: Code, reason: &str, message: &str) -> Status {
    Status::with_error_details(
        code,
        message,
        ErrorDetails::with_error_info(reason, "stagedoor", HashMap::new()),
    )
}

#[tonic::async_trait]
impl TenantService for Service {
    async fn create_tenant(&self, request: Request<CreateTenantRequest>) -> Result<Response<Tenant>, Status> {
        let mut seen = self.admit(&request)?;
        let request = request.into_inner();
        if request.tenant.contains('_') {
            let mut details = ErrorDetails::with_error_info("INVALID_ARGUMENTS", "stagedoor", HashMap::new());
            details.add_bad_request_violation("tenant", "lower-case letters, digits and hyphens");
            return Err(Status::with_error_details(Code::InvalidArgument, "The request is wrong.", details));
        }
        let made = Tenant { plan: request.plan.clone(), ..tenant(&request.tenant) };
        if !request.validate_only && seen.tenants.insert(request.tenant.clone(), made.clone()).is_some() {
            return Err(refusal(Code::AlreadyExists, "ALREADY_EXISTS", "There is such a tenant."));
        }
        seen.creates.push(request);
        Ok(Response::new(made))
    }

    async fn get_tenant(&self, request: Request<GetTenantRequest>) -> Result<Response<Tenant>, Status> {
        let seen = self.admit(&request)?;
        let found = seen.tenants.get(&request.get_ref().tenant);
        found
            .cloned()
            .map(Response::new)
            .ok_or_else(|| refusal(Code::NotFound, "OBJECT_UNKNOWN", "There is no such tenant."))
    }

    async fn list_tenants(
        &self,
        request: Request<ListTenantsRequest>,
    ) -> Result<Response<ListTenantsResponse>, Status> {
        let mut seen = self.admit(&request)?;
        let request = request.into_inner();
        let size =
            if request.page_size == 0 { 2 } else { usize::try_from(request.page_size).unwrap_or_default() };
        let rest = seen.tenants.values().filter(|tenant| tenant.tenant > request.page_token);
        let mut tenants: Vec<Tenant> = rest.take(size + 1).cloned().collect();
        let more = tenants.len() > size;
        tenants.truncate(size);
        let next_page_token =
            tenants.last().filter(|_| more).map(|tenant| tenant.tenant.clone()).unwrap_or_default();
        seen.lists.push(request);
        Ok(Response::new(ListTenantsResponse { tenants, next_page_token }))
    }

    async fn update_tenant(&self, request: Request<UpdateTenantRequest>) -> Result<Response<Tenant>, Status> {
        let mut seen = self.admit(&request)?;
        let request = request.into_inner();
        seen.updates.push(request.clone());
        if request.etag == "\"0\"" {
            return Err(refusal(Code::Aborted, "ETAG_MISMATCH", "It was changed since."));
        }
        Ok(Response::new(tenant(&request.tenant)))
    }

    async fn suspend_tenant(
        &self,
        request: Request<SuspendTenantRequest>,
    ) -> Result<Response<Tenant>, Status> {
        drop(self.admit(&request)?);
        Err(refusal(Code::PermissionDenied, "PERMISSION_DENIED", "This key may not do that."))
    }

    async fn resume_tenant(&self, request: Request<ResumeTenantRequest>) -> Result<Response<Tenant>, Status> {
        drop(self.admit(&request)?);
        std::future::pending().await
    }

    async fn delete_tenant(
        &self,
        _: Request<DeleteTenantRequest>,
    ) -> Result<Response<PrivacyRequest>, Status> {
        Err(Status::unimplemented(""))
    }
}

#[tonic::async_trait]
impl SettingsService for Service {
    async fn get_settings(&self, request: Request<GetSettingsRequest>) -> Result<Response<Settings>, Status> {
        drop(self.admit(&request)?);
        let cache_ttl_seconds = BTreeMap::from([("track".to_owned(), 90)]);
        let tenant = request.into_inner().tenant;
        Ok(Response::new(Settings {
            tenant,
            cache_ttl_seconds,
            etag: "\"7\"".to_owned(),
            ..Settings::default()
        }))
    }

    async fn update_settings(
        &self,
        request: Request<UpdateSettingsRequest>,
    ) -> Result<Response<Settings>, Status> {
        let mut seen = self.admit(&request)?;
        let request = request.into_inner();
        seen.settings.push(request.clone());
        Ok(Response::new(request.settings.unwrap_or_default()))
    }
}

type Pieces = Pin<Box<dyn Stream<Item = Result<ExportAuditResponse, Status>> + Send>>;

#[tonic::async_trait]
impl AuditService for Service {
    async fn query_audit(
        &self,
        _: Request<QueryAuditRequest>,
    ) -> Result<Response<QueryAuditResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    type ExportAuditStream = Pieces;

    async fn export_audit(&self, request: Request<ExportAuditRequest>) -> Result<Response<Pieces>, Status> {
        let mut seen = self.admit(&request)?;
        let mut pieces = vec![
            Ok(ExportAuditResponse { data: b"first\n".to_vec() }),
            Ok(ExportAuditResponse { data: b"last\n".to_vec() }),
        ];
        if seen.breaks_off {
            pieces[1] = Err(refusal(Code::Unavailable, "SHUTTING_DOWN", "This replica is going."));
        }
        seen.exports.push(request.into_inner());
        Ok(Response::new(Box::pin(tokio_stream::iter(pieces))))
    }

    async fn list_chains(
        &self,
        _: Request<ListChainsRequest>,
    ) -> Result<Response<ListChainsResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}
