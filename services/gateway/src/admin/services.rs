//! Every RPC of the admin API and the use case behind it: the table of contents of this port. Each call goes on when its
//! caller leaves, so that none is half done.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use stagedoor_admin::services::{
    admin_keys, agent_keys, audit, caller, issuers, keeper, keys, linked_accounts, privacy, provider_apps,
    settings, tenants, usage, users,
};
use stagedoor_admin::{AdminCall, AdminCaller, AdminError, method};
use stagedoor_audit::AuditClient;
use stagedoor_proto::admin::v1;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::AdminApi;
use super::status;
use crate::client::Client;

/// A stream of answers.
type Pieces<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The services, as gRPC has them.
#[derive(Debug, Clone)]
pub(super) struct Services(pub(super) Arc<AdminApi>);

macro_rules! service {
    ($trait:path, $service:literal:
        $($rpc:ident = $name:literal ($request:ident) -> $answer:ident, $work:path;)+
        $(; stream $streaming:ident as $stream:ident = $stream_name:literal ($stream_request:ident) -> $pieces:ty, $stream_work:path;)?
    ) => {
        #[tonic::async_trait]
        impl $trait for Services {
            $(
                async fn $rpc(&self, request: Request<v1::$request>) -> Result<Response<v1::$answer>, Status> {
                    let (caller, client, request) = opened(request)?;
                    let rooms = Arc::clone(&self.0.rooms);
                    self.apart(async move {
                        let method = method(concat!($service, "/", $name));
                        let call = AdminCall::begin(&rooms, method, &caller, client, &request).await?;
                        let outcome = Box::pin($work(&call, request)).await;
                        call.finish(outcome).await
                    })
                    .await
                }
            )+
            $(
                type $stream = $pieces;

                async fn $streaming(
                    &self,
                    request: Request<v1::$stream_request>,
                ) -> Result<Response<Self::$stream>, Status> {
                    let (caller, client, request) = opened(request)?;
                    let method = method(concat!($service, "/", $stream_name));
                    let call = AdminCall::begin(&self.0.rooms, method, &caller, client, &request).await;
                    let call = call.map_err(|error| status::of(&error))?;
                    let answer = Box::pin($stream_work(call, request)).await;
                    let answer = answer.map_err(|error| status::of(&error))?;
                    Ok(Response::new(Box::pin(answer.map(|piece| piece.map_err(|error| status::of(&error))))))
                }
            )?
        }
    };
}

service! {
    v1::admin_key_service_server::AdminKeyService, "AdminKeyService":
    create_admin_key = "CreateAdminKey" (CreateAdminKeyRequest) -> CreateAdminKeyResponse, admin_keys::create_admin_key;
    list_admin_keys = "ListAdminKeys" (ListAdminKeysRequest) -> ListAdminKeysResponse, admin_keys::list_admin_keys;
    revoke_admin_key = "RevokeAdminKey" (RevokeAdminKeyRequest) -> AdminKey, admin_keys::revoke_admin_key;
    create_tenant_admin_key = "CreateTenantAdminKey" (CreateTenantAdminKeyRequest) -> CreateAdminKeyResponse, admin_keys::create_tenant_admin_key;
    list_tenant_admin_keys = "ListTenantAdminKeys" (ListTenantAdminKeysRequest) -> ListAdminKeysResponse, admin_keys::list_tenant_admin_keys;
    revoke_tenant_admin_key = "RevokeTenantAdminKey" (RevokeTenantAdminKeyRequest) -> AdminKey, admin_keys::revoke_tenant_admin_key;
}

service! {
    v1::agent_key_service_server::AgentKeyService, "AgentKeyService":
    create_agent_key = "CreateAgentKey" (CreateAgentKeyRequest) -> CreateAgentKeyResponse, agent_keys::create_agent_key;
    get_agent_key = "GetAgentKey" (GetAgentKeyRequest) -> AgentKey, agent_keys::get_agent_key;
    list_agent_keys = "ListAgentKeys" (ListAgentKeysRequest) -> ListAgentKeysResponse, agent_keys::list_agent_keys;
    update_agent_key = "UpdateAgentKey" (UpdateAgentKeyRequest) -> AgentKey, agent_keys::update_agent_key;
    rotate_agent_key = "RotateAgentKey" (RotateAgentKeyRequest) -> RotateAgentKeyResponse, agent_keys::rotate_agent_key;
    revoke_agent_key = "RevokeAgentKey" (RevokeAgentKeyRequest) -> AgentKey, agent_keys::revoke_agent_key;
}

service! {
    v1::audit_service_server::AuditService, "AuditService":
    query_audit = "QueryAudit" (QueryAuditRequest) -> QueryAuditResponse, audit::query_audit;
    list_chains = "ListChains" (ListChainsRequest) -> ListChainsResponse, audit::list_chains;
    ; stream export_audit as ExportAuditStream = "ExportAudit" (ExportAuditRequest) -> Pieces<v1::ExportAuditResponse>,
        audit::export_audit;
}

service! {
    v1::caller_service_server::CallerService, "CallerService":
    get_caller = "GetCaller" (GetCallerRequest) -> Caller, caller::get_caller;
}

service! {
    v1::issuer_service_server::IssuerService, "IssuerService":
    create_issuer = "CreateIssuer" (CreateIssuerRequest) -> Issuer, issuers::create_issuer;
    get_issuer = "GetIssuer" (GetIssuerRequest) -> Issuer, issuers::get_issuer;
    list_issuers = "ListIssuers" (ListIssuersRequest) -> ListIssuersResponse, issuers::list_issuers;
    update_issuer = "UpdateIssuer" (UpdateIssuerRequest) -> Issuer, issuers::update_issuer;
    delete_issuer = "DeleteIssuer" (DeleteIssuerRequest) -> DeleteIssuerResponse, issuers::delete_issuer;
}

service! {
    v1::keeper_service_server::KeeperService, "KeeperService":
    list_runs = "ListRuns" (ListRunsRequest) -> ListRunsResponse, keeper::list_runs;
    list_backups = "ListBackups" (ListBackupsRequest) -> ListBackupsResponse, keeper::list_backups;
}

service! {
    v1::key_service_server::KeyService, "KeyService":
    list_data_keys = "ListDataKeys" (ListDataKeysRequest) -> ListDataKeysResponse, keys::list_data_keys;
    list_rotations = "ListRotations" (ListRotationsRequest) -> ListRotationsResponse, keys::list_rotations;
    list_replicas = "ListReplicas" (ListReplicasRequest) -> ListReplicasResponse, keys::list_replicas;
}

service! {
    v1::linked_account_service_server::LinkedAccountService, "LinkedAccountService":
    list_linked_accounts = "ListLinkedAccounts" (ListLinkedAccountsRequest) -> ListLinkedAccountsResponse, linked_accounts::list_linked_accounts;
    get_linked_account = "GetLinkedAccount" (GetLinkedAccountRequest) -> LinkedAccount, linked_accounts::get_linked_account;
    begin_link = "BeginLink" (BeginLinkRequest) -> BeginLinkResponse, linked_accounts::begin_link;
    unlink_account = "UnlinkAccount" (UnlinkAccountRequest) -> UnlinkAccountResponse, linked_accounts::unlink_account;
}

service! {
    v1::privacy_service_server::PrivacyService, "PrivacyService":
    create_privacy_request = "CreatePrivacyRequest" (CreatePrivacyRequestRequest) -> CreatePrivacyRequestResponse, privacy::create_privacy_request;
    get_privacy_request = "GetPrivacyRequest" (GetPrivacyRequestRequest) -> PrivacyRequest, privacy::get_privacy_request;
    list_privacy_requests = "ListPrivacyRequests" (ListPrivacyRequestsRequest) -> ListPrivacyRequestsResponse, privacy::list_privacy_requests;
    list_open_privacy_requests = "ListOpenPrivacyRequests" (ListOpenPrivacyRequestsRequest) -> ListOpenPrivacyRequestsResponse, privacy::list_open_privacy_requests;
}

service! {
    v1::provider_app_service_server::ProviderAppService, "ProviderAppService":
    create_provider_app = "CreateProviderApp" (CreateProviderAppRequest) -> ProviderApp, provider_apps::create_provider_app;
    get_provider_app = "GetProviderApp" (GetProviderAppRequest) -> ProviderApp, provider_apps::get_provider_app;
    list_provider_apps = "ListProviderApps" (ListProviderAppsRequest) -> ListProviderAppsResponse, provider_apps::list_provider_apps;
    update_provider_app = "UpdateProviderApp" (UpdateProviderAppRequest) -> ProviderApp, provider_apps::update_provider_app;
    delete_provider_app = "DeleteProviderApp" (DeleteProviderAppRequest) -> DeleteProviderAppResponse, provider_apps::delete_provider_app;
}

service! {
    v1::settings_service_server::SettingsService, "SettingsService":
    get_settings = "GetSettings" (GetSettingsRequest) -> Settings, settings::get_settings;
    update_settings = "UpdateSettings" (UpdateSettingsRequest) -> Settings, settings::update_settings;
}

service! {
    v1::tenant_service_server::TenantService, "TenantService":
    create_tenant = "CreateTenant" (CreateTenantRequest) -> Tenant, tenants::create_tenant;
    get_tenant = "GetTenant" (GetTenantRequest) -> Tenant, tenants::get_tenant;
    list_tenants = "ListTenants" (ListTenantsRequest) -> ListTenantsResponse, tenants::list_tenants;
    update_tenant = "UpdateTenant" (UpdateTenantRequest) -> Tenant, tenants::update_tenant;
    suspend_tenant = "SuspendTenant" (SuspendTenantRequest) -> Tenant, tenants::suspend_tenant;
    resume_tenant = "ResumeTenant" (ResumeTenantRequest) -> Tenant, tenants::resume_tenant;
    delete_tenant = "DeleteTenant" (DeleteTenantRequest) -> PrivacyRequest, tenants::delete_tenant;
}

service! {
    v1::usage_service_server::UsageService, "UsageService":
    query_usage = "QueryUsage" (QueryUsageRequest) -> QueryUsageResponse, usage::query_usage;
    list_daily_figures = "ListDailyFigures" (ListDailyFiguresRequest) -> ListDailyFiguresResponse, usage::list_daily_figures;
    summarize_usage = "SummarizeUsage" (SummarizeUsageRequest) -> SummarizeUsageResponse, usage::summarize_usage;
}

service! {
    v1::user_service_server::UserService, "UserService":
    create_user = "CreateUser" (CreateUserRequest) -> User, users::create_user;
    get_user = "GetUser" (GetUserRequest) -> User, users::get_user;
    list_users = "ListUsers" (ListUsersRequest) -> ListUsersResponse, users::list_users;
    update_user = "UpdateUser" (UpdateUserRequest) -> User, users::update_user;
}

/// Who calls, from where, and what for. `sign_in` let nobody through without a caller.
pub(super) fn opened<Q>(request: Request<Q>) -> Result<(Arc<AdminCaller>, AuditClient, Q), Status> {
    let (_, extensions, message) = request.into_parts();
    let caller = extensions.get::<Arc<AdminCaller>>().cloned();
    let caller = caller.ok_or_else(|| Status::internal("the caller was not looked at"))?;
    let client = extensions.get::<Client>().map(|client| AuditClient {
        address: Some(client.address),
        user_agent: client.user_agent.clone(),
        software: None,
    });
    Ok((caller, client.unwrap_or_default(), message))
}

impl Services {
    async fn apart<A: Send + 'static>(
        &self,
        work: impl Future<Output = Result<A, AdminError>> + Send + 'static,
    ) -> Result<Response<A>, Status> {
        let done = self.0.state.background.spawn("admin call", work).await.ok().flatten();
        let outcome = done.unwrap_or_else(|| Err(stagedoor_domain::PublicError::internal().into()));
        outcome.map(Response::new).map_err(|error| status::of(&error))
    }

    /// All of them.
    pub(super) fn routes(self) -> Routes {
        Routes::default()
            .add_service(v1::admin_key_service_server::AdminKeyServiceServer::new(self.clone()))
            .add_service(v1::agent_key_service_server::AgentKeyServiceServer::new(self.clone()))
            .add_service(v1::audit_service_server::AuditServiceServer::new(self.clone()))
            .add_service(v1::caller_service_server::CallerServiceServer::new(self.clone()))
            .add_service(v1::issuer_service_server::IssuerServiceServer::new(self.clone()))
            .add_service(v1::keeper_service_server::KeeperServiceServer::new(self.clone()))
            .add_service(v1::key_service_server::KeyServiceServer::new(self.clone()))
            .add_service(v1::linked_account_service_server::LinkedAccountServiceServer::new(self.clone()))
            .add_service(v1::privacy_service_server::PrivacyServiceServer::new(self.clone()))
            .add_service(v1::provider_app_service_server::ProviderAppServiceServer::new(self.clone()))
            .add_service(v1::settings_service_server::SettingsServiceServer::new(self.clone()))
            .add_service(v1::tenant_service_server::TenantServiceServer::new(self.clone()))
            .add_service(v1::usage_service_server::UsageServiceServer::new(self.clone()))
            .add_service(v1::user_service_server::UserServiceServer::new(self.clone()))
    }
}
