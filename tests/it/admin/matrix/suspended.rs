//! A tenant that is suspended keeps its admins: they see and put right what is theirs, and cannot resume it themselves.

use serde_json::json;
use stagedoor_proto::admin::v1::{Effect, Role};
use stagedoor_proto::dynamic;
use stagedoor_storage::admin_keys::AdminRole;

use super::plausible::Things;
use super::{Verdict, Who, everything, expected, methods, name, verdict};
use crate::admin::frame::office;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_tenants_own_admins_may_what_they_might_and_no_more() {
    let office = office().await;
    let ada = Things::make(&office, "ada").await;
    let mut callers = Vec::new();
    for (name, role, stored) in [
        ("tenant admin", Role::TenantAdmin, AdminRole::TenantAdmin),
        ("tenant auditor", Role::Auditor, AdminRole::Auditor),
    ] {
        let admin = office.caller(stored, Some(&ada.tenant)).await;
        callers.push(Who { name, admin, known: Some((role, true)), principal: String::new() });
    }
    office.operator.call("TenantService/SuspendTenant", json!({ "tenant": "ada" })).await.unwrap();
    let before = everything(&office).await;
    let mut wrong = Vec::new();
    for method in methods() {
        let access = dynamic::access(&method).unwrap();
        for who in &callers {
            let expected = expected(&access, who, false);
            let only_checked = expected == Verdict::Done && access.effect() == Effect::Write;
            let outcome = who.admin.call(&name(&method), ada.request(&method, only_checked)).await;
            let verdict = verdict(&outcome);
            if verdict != expected {
                wrong.push(format!("{} {}: {verdict:?} instead of {expected:?}", name(&method), who.name));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(
        everything(&office).await,
        before,
        "a call that was refused, or only checked, changed something"
    );
    let [admin, _] = &callers[..] else { panic!("two callers") };
    let resume = admin.admin.call("TenantService/ResumeTenant", json!({ "tenant": "ada" })).await;
    assert_eq!(verdict(&resume), Verdict::Denied);
}
