//! Several installations in one cluster: each object is acted on by the operator of one of them.

use std::time::Duration;

use serde_json::{Value, json};
use stagedoor_operator::resources::{AgentKey, Tenant};

use crate::stage::{Running, Stage, until};

/// An operator of another installation, `stage`'s objects before it, with a lease of its own.
fn operator(stage: &Stage, installation: &str, of: &Stage) -> Running {
    let mut config = stage.config();
    config.admin_url = of.config().admin_url;
    installation.clone_into(&mut config.installation);
    config.lease_name = format!("operator-{installation}");
    stage.operator_with(installation, config)
}

fn has(stage: &Stage, slug: &str) -> bool {
    stage.installation().seen().tenants.contains_key(slug)
}

fn key(tenant: &str) -> Value {
    json!({"tenantRef": {"name": tenant}, "scopes": ["all"]})
}

#[tokio::test]
async fn of_two_installations_exactly_one_acts_on_an_object() {
    let (stage, other) = (Stage::start("two-race").await, Stage::alone("two-race-other").await);
    let (one, two) = (operator(&stage, "one", &stage), operator(&stage, "two", &other));
    let names: Vec<_> = (0..12).map(|number| format!("t{number}")).collect();
    for name in &names {
        stage.make::<Tenant>(name, json!({"deletionPolicy": "Delete"})).await;
        stage.make::<AgentKey>(name, key(name)).await;
    }
    stage.make::<Tenant>("named", json!({"installation": "two"})).await;
    stage.make::<AgentKey>("named", key("named")).await;
    for name in names.iter().map(String::as_str).chain(["named"]) {
        let tenant = stage.ready::<Tenant>(name, "Available").await;
        let object = stage.ready::<AgentKey>(name, "Issued").await;
        let by = tenant.status.unwrap().installation.unwrap();
        assert_eq!(object.status.unwrap().installation.as_ref(), Some(&by), "a key follows its tenant");
        assert_eq!((has(&stage, name), has(&other, name)), (by == "one", by == "two"));
    }
    assert!(has(&other, "named"));
    assert_eq!(stage.installation().seen().active().len() + other.installation().seen().active().len(), 13);
    one.end().await;
    two.end().await;
}

#[tokio::test]
async fn an_operator_that_comes_later_changes_nothing() {
    let (stage, other) = (Stage::alone("two-later").await, Stage::alone("two-later-other").await);
    let one = operator(&stage, "one", &stage);
    stage.make::<Tenant>("acme", json!({"deletionPolicy": "Delete"})).await;
    stage.make::<AgentKey>("desk", key("acme")).await;
    stage.ready::<Tenant>("acme", "Available").await;
    stage.ready::<AgentKey>("desk", "Issued").await;
    one.end().await;
    stage.delete::<AgentKey>("desk").await;
    stage.cluster.state().writes.clear();
    let two = operator(&stage, "two", &other);
    for kind in ["Tenant", "AgentKey"] {
        let left = format!("stagedoor_operator_reconciles_total{{kind=\"{kind}\",outcome=\"foreign\"}}");
        until("it is left alone", async || (two.metric(&left) > 0).then_some(())).await;
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let writes: Vec<_> =
        stage.cluster.state().writes.iter().filter(|write| !write.contains("/leases")).cloned().collect();
    assert_eq!(writes, Vec::<String>::new());
    assert!(other.installation().seen().calls.is_empty());

    // Its own operator does what is to be done.
    let one = operator(&stage, "one", &stage);
    stage.gone::<AgentKey>("desk").await;
    assert!(stage.installation().seen().active().is_empty());
    one.end().await;
    two.end().await;
}
