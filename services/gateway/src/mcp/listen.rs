//! `subscriptions/listen` (2026-07-28): a stream that stays open and tells what changed. It replaces GET
//! streams and `resources/subscribe`; closing it ends the subscription, and nothing is kept for it.

use rmcp::model::{ErrorCode as RpcErrorCode, ServerCapabilities, SubscriptionFilter};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use stagedoor_domain::{ErrorCode, PublicError};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use super::surface::{RpcError, ServerEvent};

const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// A subscription that was agreed on.
#[derive(Debug)]
pub(crate) struct Subscription {
    id: Value,
    filter: SubscriptionFilter,
}

#[derive(Deserialize)]
struct ListenParams {
    notifications: SubscriptionFilter,
}

impl Subscription {
    /// Reads what the client wants and keeps what the server has.
    pub(crate) fn agree(
        id: &RawValue,
        params: Option<&RawValue>,
        capabilities: &ServerCapabilities,
    ) -> Result<Self, RpcError> {
        let invalid = |message: String| {
            let public = PublicError::new(ErrorCode::InvalidArguments, message);
            RpcError::new(RpcErrorCode::INVALID_PARAMS, public)
        };
        let params = params.ok_or_else(|| invalid("`notifications` is missing.".to_owned()))?;
        let params: ListenParams = serde_json::from_str(params.get())
            .map_err(|error| invalid(format!("`notifications` is wrong: {error}.")))?;
        let id =
            serde_json::from_str(id.get()).map_err(|error| invalid(format!("`id` is wrong: {error}.")))?;
        Ok(Self { id, filter: params.notifications.supported_by(capabilities) })
    }

    /// Leaves out the resources that nobody is told of.
    #[must_use]
    pub(crate) fn only(mut self, watched: impl Fn(&str) -> bool) -> Self {
        if let Some(uris) = &mut self.filter.resource_subscriptions {
            uris.retain(|uri| watched(uri));
        }
        self
    }

    /// The resources that it is about.
    pub(crate) fn resources(&self) -> &[String] {
        self.filter.resource_subscriptions.as_deref().unwrap_or_default()
    }

    /// The first message on the stream.
    pub(crate) fn acknowledgement(&self) -> Value {
        self.notification("notifications/subscriptions/acknowledged", json!({ "notifications": self.filter }))
    }

    /// Hands on what the client asked for until the events end or `stop` is called; ends at once where nothing
    /// ever changes, because an idle stream would hold a connection for nothing.
    pub(crate) async fn run(
        self,
        events: Option<broadcast::Receiver<ServerEvent>>,
        sender: mpsc::Sender<Value>,
        stop: CancellationToken,
    ) {
        let Some(mut events) = events else { return };
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = events.recv() => event,
            };
            let messages = match event {
                Ok(event) => self.message(&event).into_iter().collect(),
                // Too slow to hear every event: say that everything may have changed, so that nothing is missed.
                Err(RecvError::Lagged(_)) => self.everything(),
                Err(RecvError::Closed) => return,
            };
            for message in messages {
                if sender.send(message).await.is_err() {
                    return;
                }
            }
        }
    }

    /// The `_meta` of the stream's last message.
    pub(crate) fn meta(id: &RawValue) -> Value {
        let id: Value = serde_json::from_str(id.get()).unwrap_or(Value::Null);
        json!({ SUBSCRIPTION_ID: id })
    }

    fn message(&self, event: &ServerEvent) -> Option<Value> {
        let wanted = |flag: Option<bool>| flag == Some(true);
        match event {
            ServerEvent::ToolsListChanged if wanted(self.filter.tools_list_changed) => {
                Some(self.notification("notifications/tools/list_changed", json!({})))
            }
            ServerEvent::PromptsListChanged if wanted(self.filter.prompts_list_changed) => {
                Some(self.notification("notifications/prompts/list_changed", json!({})))
            }
            ServerEvent::ResourcesListChanged if wanted(self.filter.resources_list_changed) => {
                Some(self.notification("notifications/resources/list_changed", json!({})))
            }
            ServerEvent::ResourceUpdated(uri) => {
                let watched =
                    self.filter.resource_subscriptions.as_ref().is_some_and(|uris| uris.contains(uri));
                watched.then(|| self.notification("notifications/resources/updated", json!({ "uri": uri })))
            }
            _ => None,
        }
    }

    fn everything(&self) -> Vec<Value> {
        let lists = [
            ServerEvent::ToolsListChanged,
            ServerEvent::PromptsListChanged,
            ServerEvent::ResourcesListChanged,
        ];
        let resources = self.filter.resource_subscriptions.iter().flatten().cloned();
        lists
            .into_iter()
            .chain(resources.map(ServerEvent::ResourceUpdated))
            .filter_map(|event| self.message(&event))
            .collect()
    }

    fn notification(&self, method: &str, mut params: Value) -> Value {
        params["_meta"] = json!({ SUBSCRIPTION_ID: self.id });
        json!({ "jsonrpc": "2.0", "method": method, "params": params })
    }
}
