//! The admin API of a gateway in the test's process: keys of every role, and a caller over gRPC and JSON that knows messages
//! by their descriptors only.

use std::net::SocketAddr;

use prost_reflect::{DynamicMessage, MethodDescriptor, ReflectMessage};
use serde_json::Value;
use stagedoor_bootstrap::config::{Config, SecretUrl};
use stagedoor_crypto::{KeyMode, PlainApiKey, SystemEntropy};
use stagedoor_domain::TenantId;
use stagedoor_proto::dynamic::{self, DynamicCodec};
use stagedoor_storage::admin_keys::{AdminRole, NewAdminKey};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::client::Answer;
use crate::stage::Stage;

/// Whoever calls the admin API with one key.
#[derive(Debug, Clone)]
pub struct Admin {
    address: SocketAddr,
    channel: Channel,
    http: reqwest::Client,
    key: Option<String>,
}

impl Admin {
    /// A caller of the API at `address`; without a key, one whom nobody knows.
    ///
    /// # Panics
    /// If no client can be built.
    pub fn new(address: SocketAddr, key: Option<&str>) -> Self {
        stagedoor_bootstrap::tls::install_provider();
        let endpoint =
            Endpoint::from_shared(format!("http://{address}")).expect("an address makes an endpoint");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client without TLS can be built");
        Self { address, channel: endpoint.connect_lazy(), http, key: key.map(str::to_owned) }
    }

    /// Calls an RPC by its name, such as `TenantService/GetTenant`, with a request in JSON.
    ///
    /// # Panics
    /// If there is no such RPC, or its request has no such fields.
    pub async fn call(&self, rpc: &str, request: Value) -> Result<Value, Status> {
        let method = method(rpc);
        let message = DynamicMessage::deserialize(method.input(), request);
        let answer = self.send(&method, message.expect("the request has such fields")).await?;
        Ok(serde_json::to_value(&answer).expect("messages make JSON"))
    }

    /// Calls an RPC.
    ///
    /// # Panics
    /// If the message is none of its requests.
    pub async fn send(
        &self,
        method: &MethodDescriptor,
        message: DynamicMessage,
    ) -> Result<DynamicMessage, Status> {
        assert_eq!(message.descriptor(), method.input());
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let mut request = Request::new(message);
        if let Some(key) = &self.key {
            let value =
                format!("Bearer {key}").parse().map_err(|_| Status::internal("the key is no header"))?;
            request.metadata_mut().insert("authorization", value);
        }
        let path = dynamic::grpc_path(method).try_into().expect("names of RPCs make paths");
        let answer = client.unary(request, path, DynamicCodec::new(method.output())).await?;
        Ok(answer.into_inner())
    }

    /// Calls over HTTP, with a body if it is not null.
    ///
    /// # Panics
    /// If nothing answers.
    pub async fn json(&self, method: &str, path: &str, body: Value) -> Answer {
        let method = method.parse().expect("a method of HTTP");
        let mut request = self.http.request(method, format!("http://{}{path}", self.address));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("the admin API answers");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer { status, headers, body: answer.bytes().await.expect("the answer has a body") }
    }
}

/// The RPC of that name.
fn method(name: &str) -> MethodDescriptor {
    let (service, rpc) = name.split_once('/').expect("such as TenantService/GetTenant");
    let mut methods = dynamic::services()
        .filter(|found| found.name() == service)
        .flat_map(|found| found.methods().collect::<Vec<_>>());
    methods.find(|method| method.name() == rpc).unwrap_or_else(|| panic!("there is no RPC {name}"))
}

impl Stage {
    /// Lets gateways serve the admin API, on a free port.
    pub fn with_admin(&self, config: &mut Config) {
        config.admin.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        config.storage.admin_database_url = Some(SecretUrl::new(self.admin_url()));
    }

    /// A key of the admin API, in full.
    ///
    /// # Panics
    /// If the database refuses it.
    pub async fn admin_key(&self, role: AdminRole, bound_to: Option<TenantId>) -> String {
        let key = PlainApiKey::generate(&SystemEntropy, KeyMode::Admin);
        let new = NewAdminKey {
            id: key.id().clone(),
            name: format!("a {}'s", role.as_str()),
            role,
            bound_to,
            digest: key.digest(self.peppers()),
            allowed_networks: Vec::new(),
            expires_at: None,
            created_by: "job:test".to_owned(),
        };
        let stored = self.admin().store().insert_admin_key(&new).await;
        assert!(stored.expect("the database takes the key"), "a key has an id of its own");
        key.expose_secret().to_owned()
    }
}
