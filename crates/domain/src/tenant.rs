//! Who asks, on whose behalf: tenant, principal, and the context that every storage, cache, limiter and
//! provider call takes first.

use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use ipnet::IpNet;

use crate::ids::{ApiKeyId, CallId, IssuerId, LinkAttemptId, PrivacyRequestId, TenantId, TenantSlug, UserId};
use crate::policy::TenantSettings;
use crate::scope::ScopeSet;
use crate::tool::{ToolName, ToolsetSet};

/// Whether a tenant may be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantStatus {
    /// Served.
    Active,
    /// Refused until an operator lifts it.
    Suspended,
    /// Refused for good: its people and all that is theirs are being erased.
    Deleting,
    /// Erased. What is left says that it was, and when.
    Deleted,
}

/// A tenant as requests see it; a snapshot, replaced when its row changes.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name in URLs.
    pub slug: TenantSlug,
    /// Whether it is served.
    pub status: TenantStatus,
    /// What it overrides.
    pub settings: TenantSettings,
}

/// How a principal proved itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// A tenant's API key, by its public id.
    ApiKey(ApiKeyId),
    /// A token of an issuer that the tenant registered. Its subject is told by the person it stands for, whose id says
    /// nothing about anyone.
    Jwt {
        /// The issuer.
        issuer: IssuerId,
        /// The person.
        user: UserId,
    },
    /// A key of the admin API, by its public id.
    AdminKey(ApiKeyId),
    /// An operator's token, by its subject.
    AdminToken(Box<str>),
    /// A person's browser that holds the address of a link page.
    LinkPage(LinkAttemptId),
    /// Whoever holds the address of the page of a privacy request, which may do nothing but answer it.
    PrivacyPage(PrivacyRequestId),
    /// A named job of ours.
    Job(&'static str),
}

impl PrincipalKind {
    /// The stable text that limiter keys and audit records name it by.
    pub fn label(&self) -> String {
        match self {
            Self::ApiKey(id) => format!("key:{id}"),
            Self::Jwt { issuer, user } => format!("jwt:{issuer}:{user}"),
            Self::AdminKey(id) => format!("admin:{id}"),
            Self::AdminToken(subject) => format!("admin-jwt:{subject}"),
            Self::LinkPage(attempt) => format!("link:{attempt}"),
            Self::PrivacyPage(request) => format!("privacy:{request}"),
            Self::Job(name) => format!("job:{name}"),
        }
    }

    /// The issuer and the person of a token's label; `None` for every other label.
    pub fn token_of_label(label: &str) -> Option<(IssuerId, UserId)> {
        let (issuer, user) = label.strip_prefix("jwt:")?.split_once(':')?;
        let uuid = |text: &str| text.parse::<uuid::Uuid>().ok();
        Some((uuid(issuer)?.into(), uuid(user)?.into()))
    }
}

/// The authenticated caller and what it may do.
#[derive(Debug, Clone)]
pub struct Principal {
    /// How it proved itself.
    pub kind: PrincipalKind,
    /// The person it acts for, if it is bound to one.
    pub user: Option<UserId>,
    /// What it may do.
    pub scopes: ScopeSet,
    /// Which tools it is shown.
    pub toolsets: ToolsetSet,
    /// Whether tools that write are withheld.
    pub read_only: bool,
    /// When it stops being valid.
    pub expires_at: Option<DateTime<Utc>>,
    /// The networks it may call from; empty means any.
    pub allowed_networks: Vec<IpNet>,
}

impl Principal {
    /// Someone without any right of an agent: who visits a page whose address is its own key, or an admin.
    fn of_page(kind: PrincipalKind, user: Option<UserId>) -> Self {
        Self {
            kind,
            user,
            scopes: ScopeSet::empty(),
            toolsets: ToolsetSet::empty(),
            read_only: true,
            expires_at: None,
            allowed_networks: Vec::new(),
        }
    }

    /// The stable text that limiter keys and audit records name it by.
    pub fn label(&self) -> String {
        self.kind.label()
    }

    /// Whether `tool` is shown to this principal: in one of its toolsets, and not a write if it is read-only.
    /// Scopes are checked apart, because a missing scope can be asked for.
    pub fn sees(&self, tool: ToolName) -> bool {
        self.toolsets.contains(tool.toolset()) && !(self.read_only && tool.writes())
    }

    /// Whether a call from `address` is allowed.
    pub fn allows_address(&self, address: IpAddr) -> bool {
        self.allowed_networks.is_empty()
            || self.allowed_networks.iter().any(|network| network.contains(&address))
    }
}

/// Proof that a call belongs to one tenant and one principal. Its fields are private; the gateway's
/// `tenancy`, named jobs and tests build it, and nothing else can.
#[derive(Debug, Clone)]
pub struct TenantContext {
    tenant: Arc<Tenant>,
    principal: Arc<Principal>,
    call: CallId,
}

impl TenantContext {
    /// The context of one request, after authentication.
    pub fn for_request(tenant: Arc<Tenant>, principal: Arc<Principal>, call: CallId) -> Self {
        Self { tenant, principal, call }
    }

    /// The context of a person's browser on the pages of one link: it may do nothing but finish or decline it.
    pub fn for_link_page(tenant: Arc<Tenant>, attempt: LinkAttemptId, user: UserId, call: CallId) -> Self {
        Self {
            tenant,
            principal: Arc::new(Principal::of_page(PrincipalKind::LinkPage(attempt), Some(user))),
            call,
        }
    }

    /// The context of a person's browser on the page of one privacy request: it may do nothing but answer that. Without
    /// a person once that person is erased.
    pub fn for_privacy_page(
        tenant: Arc<Tenant>,
        request: PrivacyRequestId,
        user: Option<UserId>,
        call: CallId,
    ) -> Self {
        Self {
            tenant,
            principal: Arc::new(Principal::of_page(PrincipalKind::PrivacyPage(request), user)),
            call,
        }
    }

    /// The context of a call of the admin API inside one tenant: without any right of an agent, since what it may do is
    /// decided by its role.
    pub fn for_admin(tenant: Arc<Tenant>, admin: PrincipalKind, call: CallId) -> Self {
        Self { tenant, principal: Arc::new(Principal::of_page(admin, None)), call }
    }

    /// The same call of an admin about one of the tenant's people, whose own it may then touch. Everyone else's context stays
    /// as it is: whom they act for was decided when they signed in.
    #[must_use]
    pub fn about(&self, user: UserId) -> Self {
        if !matches!(self.principal.kind, PrincipalKind::AdminKey(_) | PrincipalKind::AdminToken(_)) {
            return self.clone();
        }
        Self {
            principal: Arc::new(Principal { user: Some(user), ..(*self.principal).clone() }),
            ..self.clone()
        }
    }

    /// The context of a named job that works inside one tenant.
    pub fn for_job(tenant: Arc<Tenant>, job: &'static str, call: CallId) -> Self {
        let principal = Principal {
            kind: PrincipalKind::Job(job),
            user: None,
            scopes: ScopeSet::all(),
            toolsets: ToolsetSet::all(),
            read_only: false,
            expires_at: None,
            allowed_networks: Vec::new(),
        };
        Self { tenant, principal: Arc::new(principal), call }
    }

    /// The context of a named job that works on behalf of a person, with the rights of the principal that began it.
    pub fn for_job_of(tenant: Arc<Tenant>, job: &'static str, begun_by: &Principal, call: CallId) -> Self {
        let principal = Principal { kind: PrincipalKind::Job(job), ..begun_by.clone() };
        Self { tenant, principal: Arc::new(principal), call }
    }

    /// The tenant.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// The tenant's id.
    pub fn tenant_id(&self) -> TenantId {
        self.tenant.id
    }

    /// The caller.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The person the caller acts for, if it is bound to one.
    pub fn user(&self) -> Option<UserId> {
        self.principal.user
    }

    /// The call's id.
    pub fn call(&self) -> CallId {
        self.call
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes contexts of its own")]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn only_an_admins_call_can_be_about_someone() {
        let tenant = Arc::new(Tenant {
            id: TenantId(Uuid::from_u128(1)),
            slug: "acme".parse().unwrap(),
            status: TenantStatus::Active,
            settings: TenantSettings::default(),
        });
        let (call, one, other) =
            (CallId(Uuid::nil()), UserId(Uuid::from_u128(2)), UserId(Uuid::from_u128(3)));
        let key: ApiKeyId = "abcdefghijkl".parse().unwrap();
        for admin in [PrincipalKind::AdminKey(key.clone()), PrincipalKind::AdminToken("ada".into())] {
            let admins = TenantContext::for_admin(Arc::clone(&tenant), admin.clone(), call);
            let about = admins.about(one);
            assert_eq!((admins.user(), about.user()), (None, Some(one)));
            assert_eq!((&about.principal().kind, about.call()), (&admin, call));
            assert!(about.principal().scopes.is_empty());
        }
        let agent = Principal::of_page(PrincipalKind::ApiKey(key), Some(one));
        let agents = TenantContext::for_request(Arc::clone(&tenant), Arc::new(agent), call);
        assert_eq!(agents.about(other).user(), Some(one));
        assert_eq!(TenantContext::for_job(tenant, "test", call).about(other).user(), None);
    }
}
