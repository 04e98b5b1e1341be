//! The admin API as the operator calls it: one generic call, the table of what may be called, and what a failure means for an
//! object. Knows nothing of Kubernetes.

mod connection;
mod failure;

use std::num::NonZeroU32;
use std::sync::Arc;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use prost::Message;
use stagedoor_bootstrap::config::OperatorConfig;
use stagedoor_bootstrap::health::CheckHandle;
use stagedoor_domain::Clock;
use stagedoor_proto::admin::v1;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Status};

pub use connection::ConnectionError;
pub use failure::AdminFailure;

use crate::metrics::OperatorMetrics;
use connection::Connection;

/// An RPC, by the type of its request.
pub trait AdminRequest: Message + Clone + 'static {
    /// What it is answered with.
    type Answer: Message + Default + 'static;
    /// Its path in gRPC.
    const PATH: &'static str;
    /// Its name, as metrics have it.
    const NAME: &'static str;
}

macro_rules! rpcs {
    ($($service:literal: $name:literal, $request:ident => $answer:ident;)+) => {
        $(impl AdminRequest for v1::$request {
            type Answer = v1::$answer;
            const PATH: &'static str = concat!("/stagedoor.admin.v1.", $service, "/", $name);
            const NAME: &'static str = $name;
        })+

        /// The names of all RPCs that the operator calls.
        pub const RPC_NAMES: &[&str] = &[$($name),+];
    };
}

rpcs! {
    "CallerService": "GetCaller", GetCallerRequest => Caller;
    "TenantService": "CreateTenant", CreateTenantRequest => Tenant;
    "TenantService": "GetTenant", GetTenantRequest => Tenant;
    "TenantService": "UpdateTenant", UpdateTenantRequest => Tenant;
    "TenantService": "SuspendTenant", SuspendTenantRequest => Tenant;
    "TenantService": "ResumeTenant", ResumeTenantRequest => Tenant;
    "TenantService": "DeleteTenant", DeleteTenantRequest => PrivacyRequest;
    "SettingsService": "GetSettings", GetSettingsRequest => Settings;
    "SettingsService": "UpdateSettings", UpdateSettingsRequest => Settings;
    "ProviderAppService": "CreateProviderApp", CreateProviderAppRequest => ProviderApp;
    "ProviderAppService": "GetProviderApp", GetProviderAppRequest => ProviderApp;
    "ProviderAppService": "UpdateProviderApp", UpdateProviderAppRequest => ProviderApp;
    "ProviderAppService": "DeleteProviderApp", DeleteProviderAppRequest => DeleteProviderAppResponse;
    "AgentKeyService": "CreateAgentKey", CreateAgentKeyRequest => CreateAgentKeyResponse;
    "AgentKeyService": "GetAgentKey", GetAgentKeyRequest => AgentKey;
    "AgentKeyService": "ListAgentKeys", ListAgentKeysRequest => ListAgentKeysResponse;
    "AgentKeyService": "UpdateAgentKey", UpdateAgentKeyRequest => AgentKey;
    "AgentKeyService": "RotateAgentKey", RotateAgentKeyRequest => RotateAgentKeyResponse;
    "AgentKeyService": "RevokeAgentKey", RevokeAgentKeyRequest => AgentKey;
    "UserService": "ListUsers", ListUsersRequest => ListUsersResponse;
}

/// A client of one installation's admin API. Calls of all objects together keep to one rate.
#[derive(Debug)]
pub struct AdminApi {
    connection: Connection,
    limiter: DefaultDirectRateLimiter,
    metrics: Arc<OperatorMetrics>,
    clock: Arc<dyn Clock>,
    check: CheckHandle,
}

impl AdminApi {
    /// A client by the configuration, which tells `check` whether it is answered. Nothing is read or sent yet.
    ///
    /// # Errors
    /// An address that is none.
    pub fn new(
        config: &OperatorConfig,
        metrics: Arc<OperatorMetrics>,
        clock: Arc<dyn Clock>,
        check: CheckHandle,
    ) -> Result<Self, ConnectionError> {
        let per_second = NonZeroU32::new(config.calls_per_second).unwrap_or(NonZeroU32::MIN);
        let limiter = RateLimiter::direct(Quota::per_second(per_second));
        Ok(Self { connection: Connection::new(config)?, limiter, metrics, clock, check })
    }

    /// Calls an RPC.
    ///
    /// # Errors
    /// What the API answered, or why it could not be asked. Neither holds a secret.
    pub async fn call<Q: AdminRequest>(&self, request: Q) -> Result<Q::Answer, AdminFailure> {
        self.limiter.until_ready().await;
        let started = self.clock.elapsed();
        let answer = self.send(request).await;
        let took = self.clock.elapsed().saturating_sub(started);
        let code = answer.as_ref().err().map_or(tonic::Code::Ok, |failure| failure.code);
        self.metrics.admin_call(Q::NAME, code, took);
        self.judge(answer.as_ref().err());
        answer
    }

    /// Whether the API is there and lets the operator in.
    fn judge(&self, failure: Option<&AdminFailure>) {
        match failure {
            Some(failure) if failure.is_outage() || failure.is_refusal() => {
                self.check.fail(failure.to_string());
            }
            _ => {
                let now = self.clock.now().timestamp();
                self.metrics.admin_answered(now);
                self.check.pass();
            }
        }
    }

    async fn send<Q: AdminRequest>(&self, message: Q) -> Result<Q::Answer, AdminFailure> {
        let link = self.connection.link().await.map_err(|error| AdminFailure::connection(&error))?;
        let mut request = Request::new(message);
        request.set_timeout(link.timeout);
        request.metadata_mut().insert("authorization", link.authorization);
        let mut grpc = Grpc::new(link.channel);
        let answer = async {
            grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
            let codec = tonic_prost::ProstCodec::<Q, Q::Answer>::default();
            grpc.unary(request, PathAndQuery::from_static(Q::PATH), codec).await
        };
        // The server keeps to the deadline too; this is for one that is gone.
        let answer = tokio::time::timeout(link.timeout, answer).await;
        let late = || AdminFailure::from(&Status::deadline_exceeded("no answer came in time"));
        answer.map_err(|_| late())?.map(tonic::Response::into_inner).map_err(|status| (&status).into())
    }
}
