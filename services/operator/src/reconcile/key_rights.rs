//! What a key may do: which of it differs from the spec. What the spec does not name is left as it is.

use std::collections::BTreeSet;
use std::str::FromStr;

use ipnet::IpNet;
use stagedoor_domain::Scope;
use stagedoor_proto::admin::v1::{self, UpdateAgentKeyRequest};

use super::{convert, key_plan};
use crate::kind::ReconcileError;
use crate::resources::AgentKeySpec;

/// Stands for every scope.
const ALL: &str = "all";

/// The update that makes `key` as `spec` says, but for the tenant; nothing if it is.
pub(super) fn changes(
    spec: &AgentKeySpec,
    key: &v1::AgentKey,
) -> Result<Option<UpdateAgentKeyRequest>, ReconcileError> {
    let mut update = UpdateAgentKeyRequest {
        key_id: key.key_id.clone(),
        etag: key.etag.clone(),
        ..UpdateAgentKeyRequest::default()
    };
    let mut paths = Vec::new();
    if !same_scopes(&spec.scopes, &key.scopes) {
        update.scopes.clone_from(&spec.scopes);
        paths.push("scopes");
    }
    if let Some(toolsets) = &spec.toolsets
        && set(toolsets) != set(&key.toolsets)
    {
        update.toolsets.clone_from(toolsets);
        paths.push("toolsets");
    }
    if spec.read_only != key.read_only {
        update.read_only = spec.read_only;
        paths.push("read_only");
    }
    if let Some(networks) = &spec.allowed_networks
        && read(networks)? != read(&key.allowed_networks)?
    {
        update.allowed_networks.clone_from(networks);
        paths.push("allowed_networks");
    }
    let end = key_plan::wanted_end(spec, key);
    if end.is_some() && end != convert::time(key.expire_time.as_ref()) {
        update.expire_time = end.map(convert::stamp);
        paths.push("expire_time");
    }
    if paths.is_empty() {
        return Ok(None);
    }
    update.update_mask =
        Some(prost_types::FieldMask { paths: paths.into_iter().map(str::to_owned).collect() });
    Ok(Some(update))
}

/// `all` means all that this version knows, and may be more.
fn same_scopes(wanted: &[String], present: &[String]) -> bool {
    if wanted == [ALL] {
        return Scope::ALL.iter().all(|scope| present.iter().any(|present| present == scope.as_str()));
    }
    set(wanted) == set(present)
}

fn set(texts: &[String]) -> BTreeSet<&str> {
    texts.iter().map(String::as_str).collect()
}

/// Networks without the bits of hosts, single addresses among them.
fn read(networks: &[String]) -> Result<BTreeSet<IpNet>, ReconcileError> {
    let network = |text: &String| {
        let network = IpNet::from_str(text).or_else(|_| std::net::IpAddr::from_str(text).map(IpNet::from));
        network.map(|network| network.trunc()).map_err(|_| {
            ReconcileError::waiting(
                "Invalid",
                format!("spec.allowedNetworks: {text:?} is no network; wanted: such as 192.0.2.0/24 or 2001:db8::/32."),
            )
        })
    };
    networks.iter().map(network).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(more: &serde_json::Value) -> AgentKeySpec {
        let mut spec = json!({"tenantRef": {"name": "acme"}, "scopes": ["catalog:read", "library:read"]});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(spec).unwrap()
    }

    fn key() -> v1::AgentKey {
        v1::AgentKey {
            key_id: "k1".to_owned(),
            etag: "e1".to_owned(),
            scopes: vec!["library:read".to_owned(), "catalog:read".to_owned()],
            toolsets: vec!["search".to_owned()],
            allowed_networks: vec!["192.0.2.0/24".to_owned()],
            create_time: Some(convert::stamp(chrono::DateTime::from_timestamp(1_790_000_000, 0).unwrap())),
            ..v1::AgentKey::default()
        }
    }

    fn paths(spec: &AgentKeySpec) -> Vec<String> {
        changes(spec, &key()).unwrap().map(|update| update.update_mask.unwrap().paths).unwrap_or_default()
    }

    #[test]
    fn what_is_not_named_is_left_and_order_does_not_matter() {
        assert_eq!(paths(&spec(&json!({}))), Vec::<String>::new());
        assert_eq!(paths(&spec(&json!({"allowedNetworks": ["192.0.2.77/24"]}))), Vec::<String>::new());
    }

    #[test]
    fn what_differs_is_changed_with_the_etag_that_was_seen() {
        let spec = spec(&json!({
            "scopes": ["all"], "toolsets": [], "readOnly": true, "allowedNetworks": ["192.0.2.1"], "lifetime": "1h",
        }));
        let update = changes(&spec, &key()).unwrap().unwrap();
        assert_eq!(update.etag, "e1");
        assert_eq!(paths(&spec), ["scopes", "toolsets", "read_only", "allowed_networks", "expire_time"]);
        assert_eq!(update.expire_time.unwrap().seconds, 1_790_003_600);
    }

    #[test]
    fn a_network_that_is_none_is_named() {
        let error = changes(&spec(&json!({"allowedNetworks": ["192.0.2.0/33"]})), &key()).unwrap_err();
        assert!(error.to_string().starts_with("spec.allowedNetworks: \"192.0.2.0/33\""), "{error}");
    }
}
