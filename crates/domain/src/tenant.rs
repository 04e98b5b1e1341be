//! Who asks, on whose behalf: tenant, principal, and the context that every storage, cache, limiter and
//! provider call takes first.

use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use ipnet::IpNet;

use crate::ids::{ApiKeyId, CallId, LinkAttemptId, PrivacyRequestId, TenantId, TenantSlug, UserId};
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
            Self::LinkPage(attempt) => format!("link:{attempt}"),
            Self::PrivacyPage(request) => format!("privacy:{request}"),
            Self::Job(name) => format!("job:{name}"),
        }
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
    /// Who visits a page whose address is its own key: without any right of an agent.
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
