//! What the tests of the admin API begin with: a stage, a gateway that serves it, and callers of every role.

use serde_json::Value;
use stagedoor_bootstrap::config::Config;
use stagedoor_storage::admin_keys::AdminRole;
use stagedoor_testkit::{Admin, Answer, Stage, TestGateway, TestTenant};
use tonic::Status;
use tonic_types::StatusExt;

/// A gateway with its admin API, and a platform operator.
pub(crate) struct Office {
    pub(crate) stage: Stage,
    pub(crate) gateway: TestGateway,
    pub(crate) operator: Admin,
}

/// An office on a fresh stage.
pub(crate) async fn office() -> Office {
    office_with(|_| {}).await
}

/// The same after `change` had its way with the configuration.
pub(crate) async fn office_with(change: impl FnOnce(&mut Config)) -> Office {
    let stage = Stage::start().await;
    let gateway = TestGateway::start_with(&stage, |config| {
        stage.with_admin(config);
        change(config);
    })
    .await;
    let key = stage.admin_key(AdminRole::PlatformOperator, None).await;
    let operator = gateway.admin(Some(&key));
    Office { stage, gateway, operator }
}

impl Office {
    /// A caller of that role, bound to a tenant or not.
    pub(crate) async fn caller(&self, role: AdminRole, tenant: Option<&TestTenant<'_>>) -> Admin {
        let key = self.stage.admin_key(role, tenant.map(|tenant| tenant.context().tenant_id())).await;
        self.gateway.admin(Some(&key))
    }
}

/// The reason in a status's `ErrorInfo`, such as `OBJECT_UNKNOWN`.
pub(crate) fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// The fields that a status says are wrong.
pub(crate) fn wrong_fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let violations =
        details.bad_request().map(|request| request.field_violations.clone()).unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect()
}

/// The body of an answer as JSON.
pub(crate) fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}
