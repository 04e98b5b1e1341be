//! A person's rights over their data (GDPR Art. 15, 17, 20): a copy of all of it, and its deletion. The tools only begin
//! a request; a person decides on a page; a worker deletes. Pages and addresses are the gateway's, rows are `storage`'s.

mod download;
mod erasing;
mod forgetting;
mod offering;
mod page;
mod receipt;
mod revoking;
mod tenant;
pub(crate) mod tool;
mod words;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use stagedoor_audit::AuditResource;
use stagedoor_domain::tenant::PrincipalKind;
use stagedoor_domain::{ErrorCode, PrivacyRequestId, PublicError, TenantContext};
use stagedoor_storage::privacy_requests::{self, PrivacyRequest};
use url::Url;

pub use download::PersonalData;
pub use offering::{PrivacyOffered, offer_privacy_page};
pub use stagedoor_storage::privacy_requests::Kind as PrivacyKind;

use crate::desk::Desk;
use crate::records::store_failure;

/// What a page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrivacyPage {
    /// The person is to decide.
    Offer(PrivacyOffer),
    /// The deletion that was confirmed, and how far it is.
    Erasure(ErasureSeen),
    /// The person decided that nothing is deleted.
    Kept,
}

/// What a person is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivacyOffer {
    /// A copy, or the deletion.
    pub kind: PrivacyKind,
    /// The tenant's name.
    pub tenant_name: String,
    /// The person, as the tenant names them.
    pub person: String,
    /// What is kept about them.
    pub holdings: Vec<Holding>,
    /// What a copy does not have, each a sentence.
    pub left_out: &'static [&'static str],
    /// What a deletion leaves, each a sentence.
    pub kept: Vec<String>,
    /// Until when it can be answered.
    pub expires_at: DateTime<Utc>,
}

/// How many things of one kind are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// The kind, in words for people.
    pub what: &'static str,
    /// How many.
    pub rows: u64,
}

/// A deletion that was confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasureSeen {
    /// The request.
    pub request: PrivacyRequestId,
    /// Its steps in their order, and which are done.
    pub steps: Vec<(&'static str, bool)>,
    /// When all of it was done; then there is a receipt.
    pub finished_at: Option<DateTime<Utc>>,
    /// By when it has to be done.
    pub due_by: DateTime<Utc>,
}

/// How requests are answered.
#[derive(Debug, Clone)]
pub struct PrivacyOptions {
    /// The address under which people reach the gateway, such as `https://music.example.com`.
    pub public_url: Url,
    /// How long after its confirmation the last step of a deletion begins: until then a call of before may be under way.
    pub settle: Duration,
}

/// Hands out and deletes what is kept about people.
pub struct Privacy {
    desk: Arc<Desk>,
    options: PrivacyOptions,
}

impl Privacy {
    pub(crate) fn new(desk: Arc<Desk>, options: PrivacyOptions) -> Arc<Self> {
        Arc::new(Self { desk, options })
    }

    /// The request of this page.
    async fn request_of(&self, ctx: &TenantContext) -> Result<PrivacyRequest, PublicError> {
        let PrincipalKind::PrivacyPage(id) = ctx.principal().kind else { return Err(unknown()) };
        let load = privacy_requests::load(self.desk.vault().store(), ctx, id);
        load.await.map_err(|error| store_failure(&error))?.ok_or_else(unknown)
    }
}

/// A request as audit records name it.
fn of_request(request: PrivacyRequestId) -> AuditResource {
    AuditResource { kind: "privacy_request", id: request.to_string().into() }
}

fn unknown() -> PublicError {
    PublicError::new(ErrorCode::LinkUnknown, "There is no such request.")
}

fn expired() -> PublicError {
    PublicError::new(ErrorCode::LinkExpired, "The request was not answered in time.")
}

impl fmt::Debug for Privacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Privacy").finish_non_exhaustive()
    }
}
