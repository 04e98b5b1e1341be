//! The authorization matrix: every RPC of the descriptors × every kind of caller × own and foreign tenant, over gRPC, held
//! against what the option `access` of the RPC says (`crates/proto/tests/contract` holds what the options say). Who may not changes nothing and is on record; who may, is on record too.

mod json_front;
pub(crate) mod plausible;
mod suspended;

use std::collections::BTreeSet;

use prost_reflect::MethodDescriptor;
use serde_json::{Value, json};
use stagedoor_crypto::{KeyMode, PlainApiKey, SystemEntropy};
use stagedoor_proto::admin::v1::{self, AccessScope, Effect, Role};
use stagedoor_proto::dynamic;
use stagedoor_storage::admin_keys::AdminRole;
use stagedoor_testkit::Admin;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use self::plausible::Things;
use super::frame::{Office, reason};
use super::token_office::{self, TokenOffice};

/// Cells of the matrix, as `Service/Rpc caller tenant`, that do not do what the option says. May only get shorter.
const EXCEPTIONS: &[&str] = &[];

/// A caller.
struct Who {
    name: &'static str,
    admin: Admin,
    /// Its role and whether it is bound to ada; `None` for one without valid credentials of the admin API.
    known: Option<(Role, bool)>,
    /// As the audit trail names it.
    principal: String,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Done,
    Unauthenticated,
    Denied,
    TenantMissing,
    /// None of what the matrix knows.
    Otherwise(String),
}

/// What the option says of a call.
fn expected(access: &v1::Access, who: &Who, foreign: bool) -> Verdict {
    let Some((role, bound)) = who.known else { return Verdict::Unauthenticated };
    let scope = access.scope();
    if !access.roles().any(|allowed| allowed == role) || (bound && scope == AccessScope::Platform) {
        return Verdict::Denied;
    }
    if bound && foreign && scope == AccessScope::Tenant { Verdict::TenantMissing } else { Verdict::Done }
}

fn verdict(outcome: &Result<Value, Status>) -> Verdict {
    let Err(status) = outcome else { return Verdict::Done };
    let details = status.get_error_details();
    let missing = details.resource_info().map(|resource| resource.resource_type.clone());
    match (status.code(), &*reason(status)) {
        // Whoever guesses keys is told after a while to stop; callers with good keys are not, from the same network.
        (Code::Unauthenticated, "UNAUTHENTICATED") | (Code::ResourceExhausted, "TOO_MANY_ATTEMPTS") => {
            Verdict::Unauthenticated
        }
        // An app through which accounts are linked stays; whoever is told so was let in.
        (Code::FailedPrecondition, "NOT_IN_STATE") => Verdict::Done,
        (Code::PermissionDenied, "PERMISSION_DENIED") => Verdict::Denied,
        (Code::NotFound, "OBJECT_UNKNOWN") if missing.as_deref() == Some("tenant") => Verdict::TenantMissing,
        (code, reason) => Verdict::Otherwise(format!("{code:?} {reason}: {}", status.message())),
    }
}

fn methods() -> impl Iterator<Item = MethodDescriptor> {
    dynamic::services().flat_map(|service| service.methods().collect::<Vec<_>>())
}

fn name(method: &MethodDescriptor) -> String {
    format!("{}/{}", method.parent_service().name(), method.name())
}

/// Callers of every role, by key and by token, and some of none.
async fn callers(
    TokenOffice { office, issuer }: &TokenOffice,
    ada: &stagedoor_testkit::TestTenant<'_>,
    agent: &str,
) -> Vec<Who> {
    let mut callers = Vec::new();
    for (name, role, claim, tenant) in [
        ("operator's token", Role::PlatformOperator, "platform_operator", None),
        ("platform auditor's token", Role::Auditor, "auditor", None),
        ("tenant admin's token", Role::TenantAdmin, "tenant_admin", Some(ada.slug())),
        ("tenant auditor's token", Role::Auditor, "auditor", Some(ada.slug())),
    ] {
        let subject = format!("{claim} {}", tenant.unwrap_or("of all"));
        let token = token_office::token(issuer, &subject, claim, tenant);
        let principal = format!("admin-jwt:{subject}");
        let admin = office.gateway.admin(Some(&token));
        callers.push(Who { name, admin, known: Some((role, tenant.is_some())), principal });
    }
    for (name, role, stored, bound) in [
        ("operator", Role::PlatformOperator, AdminRole::PlatformOperator, false),
        ("platform auditor", Role::Auditor, AdminRole::Auditor, false),
        ("tenant admin", Role::TenantAdmin, AdminRole::TenantAdmin, true),
        ("tenant auditor", Role::Auditor, AdminRole::Auditor, true),
    ] {
        let admin = office.caller(stored, bound.then_some(ada)).await;
        let told = admin.call("CallerService/GetCaller", json!({})).await.unwrap();
        let principal = told["principal"].as_str().unwrap().to_owned();
        callers.push(Who { name, admin, known: Some((role, bound)), principal });
    }
    let revoked = office.stage.admin_key(AdminRole::PlatformOperator, None).await;
    let kid = plausible::key_id(&revoked);
    office.stage.sql(&format!("UPDATE admin_keys SET revoked_at = now() WHERE key_id = '{kid}'")).await;
    let expired = office.stage.admin_key(AdminRole::PlatformOperator, None).await;
    let kid = plausible::key_id(&expired);
    office.stage.sql(&format!("UPDATE admin_keys SET expires_at = now() WHERE key_id = '{kid}'")).await;
    let unknown = PlainApiKey::generate(&SystemEntropy, KeyMode::Admin).expose_secret().to_owned();
    let of_nobody = token_office::token(issuer, "nobody", "root", None);
    let strangers = [
        ("token without a role", Some(&*of_nobody)),
        ("nobody", None),
        ("agent key", Some(agent)),
        ("revoked key", Some(&*revoked)),
        ("expired key", Some(&*expired)),
        ("unknown key", Some(&*unknown)),
    ];
    for (name, key) in strangers {
        callers.push(Who { name, admin: office.gateway.admin(key), known: None, principal: String::new() });
    }
    callers
}

/// A digest of everything that the installation holds, but for what each call leaves behind whether it is let in or not:
/// the trail, the keys that seal it, when keys were used, and what replicas say of themselves.
async fn everything(office: &Office) -> String {
    let tables = office
        .stage
        .sql(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') \
            AND NOT relispartition AND relname !~ '^(audit_|usage_|_sqlx)' AND relname NOT IN \
            ('data_keys', 'signing_keys', 'replicas', 'key_encryption_keys') ORDER BY 1",
        )
        .await;
    assert!(tables.lines().count() > 20 && tables.contains("admin_keys"), "{tables}");
    let digests = tables.lines().map(|table| {
        format!(
            "SELECT '{table} ' || count(*) || ' ' || md5(COALESCE(string_agg(row::text, '' ORDER BY row::text), '')) \
            FROM (SELECT to_jsonb(t) - 'last_used_at' AS row FROM {table} t) rows"
        )
    });
    office.stage.sql(&digests.collect::<Vec<_>>().join(" UNION ALL ")).await
}

/// All records of a tenant's trail, by whoever may read every trail.
async fn trail(operator: &Admin, tenant: &str) -> Vec<Value> {
    let mut records = Vec::new();
    let mut page_token = String::new();
    loop {
        let request =
            json!({ "tenant": tenant, "pageSize": 500, "pageToken": page_token, "oldestFirst": true });
        let page = operator.call("AuditService/QueryAudit", request).await.unwrap();
        records.extend(page["records"].as_array().into_iter().flatten().cloned());
        page["nextPageToken"].as_str().unwrap_or_default().clone_into(&mut page_token);
        if page_token.is_empty() {
            return records;
        }
    }
}

/// What was sent of a call: whether it went to a foreign tenant, and with what.
struct Cell<'a> {
    rpc: String,
    access: v1::Access,
    who: &'a Who,
    foreign: bool,
    verdict: Verdict,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rpc_does_for_everyone_what_its_option_says() {
    let with_tokens = token_office::open().await;
    let office = &with_tokens.office;
    let ada = Things::make(office, "ada").await;
    let bob = Things::make(office, "bob").await;
    let callers = callers(&with_tokens, &ada.tenant, &ada.agent_key).await;
    assert!(methods().count() > 45, "the matrix walks the whole API");
    let before = everything(office).await;

    let mut cells = Vec::new();
    for method in methods() {
        let access = dynamic::access(&method).unwrap();
        let targets: &[(&Things<'_>, bool)] = if access.scope() == AccessScope::Tenant {
            &[(&ada, false), (&bob, true)]
        } else {
            &[(&ada, false)]
        };
        for who in &callers {
            for (things, foreign) in targets {
                let rpc = name(&method);
                // Who may is only to be checked, so that all that is refused meets the same state.
                let may = expected(&access, who, *foreign) == Verdict::Done;
                let request = things.request(&method, may && access.effect() == Effect::Write);
                let outcome = who.admin.call(&rpc, request).await;
                let verdict = verdict(&outcome);
                if let (Err(status), Verdict::Denied | Verdict::TenantMissing, true) =
                    (&outcome, &verdict, *foreign)
                {
                    as_if_there_was_none(&method, who, things, status).await;
                }
                cells.push(Cell { rpc, access: access.clone(), who, foreign: *foreign, verdict });
            }
        }
    }

    let wrong: BTreeSet<String> = cells.iter().filter_map(Cell::deviation).collect();
    let excused: BTreeSet<String> = EXCEPTIONS.iter().map(|cell| (*cell).to_owned()).collect();
    assert_eq!(wrong, excused, "what the API does is not what the options say");
    assert_eq!(
        everything(office).await,
        before,
        "a call that was refused, or only checked, changed something"
    );
    on_record(office, &callers, &cells).await;
}

impl Cell<'_> {
    /// The cell, and what it did, if that is not what the option says.
    fn deviation(&self) -> Option<String> {
        let Self { rpc, access, who, foreign, verdict } = self;
        let expected = expected(access, who, *foreign);
        let tenant = if *foreign { "foreign" } else { "own" };
        (*verdict != expected)
            .then(|| format!("{rpc} {} {tenant}: {verdict:?} instead of {expected:?}", who.name))
    }
}

/// A tenant that the caller may not know of must not be told from one that is not there.
async fn as_if_there_was_none(method: &MethodDescriptor, who: &Who, things: &Things<'_>, foreign: &Status) {
    let mut request = things.request(method, false);
    let text = request.to_string().replace(&format!("\"{}\"", things.tenant.slug()), "\"zoe\"");
    request = text.parse().unwrap();
    let none = who.admin.call(&name(method), request).await.unwrap_err();
    let neutral = |status: &Status, slug: &str| {
        let details = status.get_error_details();
        format!("{:?} {} {details:?}", status.code(), status.message())
            .replace(&format!("{slug:?}"), "TENANT")
            .replace(&format!("\\\"{slug}\\\""), "TENANT")
    };
    let (foreign, none) = (neutral(foreign, things.tenant.slug()), neutral(&none, "zoe"));
    assert_eq!(foreign, none, "{} tells {} of a foreign tenant", name(method), who.name);
}

/// Every call is in the trail that it belongs to: what was let in with its RPC, what was refused with its reason, and
/// nothing of a caller in the trail of a tenant that it may not know of.
async fn on_record(office: &Office, callers: &[Who], cells: &[Cell<'_>]) {
    office.gateway.flush_audit().await;
    let mut trails = Vec::new();
    for tenant in ["ada", "bob", "platform"] {
        trails.push((tenant, trail(&office.operator, tenant).await));
    }
    let of = |tenant: &str| &trails.iter().find(|(name, _)| *name == tenant).unwrap().1;
    for cell in cells {
        let Cell { rpc, access, who, foreign, verdict } = cell;
        let Some((_, bound)) = who.known else { continue };
        let home = if bound { "ada" } else { "platform" };
        let place = match (verdict, access.scope(), foreign) {
            (Verdict::Done, AccessScope::Tenant, false) => "ada",
            (Verdict::Done, AccessScope::Tenant, true) => "bob",
            (Verdict::Done, AccessScope::Platform, _) => "platform",
            _ => home,
        };
        let found = of(place).iter().any(|record| {
            let is_of = |field: &str, value: &str| record[field].as_str() == Some(value);
            let about = match verdict {
                Verdict::Done => {
                    is_of("resourceKind", rpc) && (is_of("outcome", "ok") || is_of("outcome", "not_in_state"))
                }
                Verdict::Denied => is_of("record", "refusal") && is_of("error", "permission_denied"),
                _ => is_of("record", "refusal") && is_of("error", "object_unknown"),
            };
            is_of("principal", &who.principal) && about
        });
        assert!(found, "{rpc} by {} ({verdict:?}) is not on {place}'s trail", who.name);
    }
    for who in callers.iter().filter(|who| who.known.is_some()) {
        let refused = |verdict: Verdict| {
            cells.iter().filter(|cell| cell.who.name == who.name && cell.verdict == verdict).count()
        };
        let bound = who.known.is_some_and(|(_, bound)| bound);
        let recorded = |error: &str| {
            let records = of(if bound { "ada" } else { "platform" }).iter();
            records
                .filter(|record| record["principal"] == who.principal.as_str() && record["error"] == error)
                .count()
        };
        // Each of those on a foreign tenant was sent once more, to one that is not there.
        let denied_abroad = cells
            .iter()
            .filter(|cell| cell.who.name == who.name && cell.foreign && cell.verdict == Verdict::Denied);
        assert_eq!(
            recorded("permission_denied"),
            refused(Verdict::Denied) + denied_abroad.count(),
            "{} was denied so often",
            who.name
        );
        assert_eq!(recorded("object_unknown"), refused(Verdict::TenantMissing) * 2, "{}", who.name);
        let abroad = of("bob").iter().filter(|record| record["principal"] == who.principal.as_str()).count();
        assert!(!bound || abroad == 0, "{} left a record in a tenant that it may not know of", who.name);
    }
}
