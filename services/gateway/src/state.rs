//! What every handler shares. Built in `assembly`, never changed afterwards.

use std::sync::Arc;

use stagedoor_audit::AuditLog;
use stagedoor_bootstrap::{Health, Metrics};
use stagedoor_domain::{Clock, Entropy};
use stagedoor_tools::Dispatcher;

use crate::authn::Authenticator;
use crate::background::Background;
use crate::client::TrustedProxies;
use crate::concurrency::Concurrency;
use crate::leaked_keys::LeakReports;
use crate::mcp::Endpoint;
use crate::pages::Pages;
use crate::quota::Quota;
use crate::shield::{Doors, Shield};
use crate::signing_keys::SigningKeys;
use crate::violations::Violations;

/// The gateway's state.
#[derive(Debug)]
pub struct AppState {
    /// Whose word about the client's address counts.
    pub proxies: TrustedProxies,
    /// Which hosts and web pages are let in.
    pub doors: Doors,
    /// The limit for each client network; `None` if limits are off.
    pub shield: Option<Shield>,
    /// Who is calling.
    pub authenticator: Authenticator,
    /// How many requests are under way.
    pub concurrency: Arc<Concurrency>,
    /// The tenants' limits.
    pub quota: Quota,
    /// The calls that limits refused.
    pub violations: Arc<Violations>,
    /// MCP and what it serves.
    pub mcp: Endpoint,
    /// What the pages for people share.
    pub pages: Pages,
    /// The public keys of tenants, for anyone.
    pub signing_keys: SigningKeys,
    /// Reports of keys that were found in public.
    pub leaks: LeakReports,
    /// The tools.
    pub dispatcher: Arc<Dispatcher>,
    /// The audit trail.
    pub audit: AuditLog,
    /// Work that outlives its caller.
    pub background: Background,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether `/metrics` is there.
    pub serves_metrics: bool,
    /// Whether traces are exported.
    pub traces: bool,
    /// What the probes are told.
    pub health: Health,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}
