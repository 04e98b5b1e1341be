//! `export_my_data`, `delete_my_data` and `privacy_requests`: they begin a request and tell how it stands. Nothing is
//! handed out or deleted by a call of an agent; a person does that on the page that the answer names.

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Serialize;
use stagedoor_domain::TenantContext;
use stagedoor_storage::privacy_requests::{self, PrivacyRequest, State};

use super::{Privacy, PrivacyKind, PrivacyOffered, of_request, offer_privacy_page};
use crate::accounts::NoArguments;
use crate::desk::acting_for;
use crate::origin::Origin;
use crate::records::store_failure;
use crate::reuse::Produced;

/// The newest requests that are shown.
const LISTED: u32 = 50;

/// A request, and where the person answers it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RequestOutput {
    request: RequestView,
    /// The page for the person: to be opened by nobody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// What to do now.
    next: &'static str,
}

/// The person's requests, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RequestsOutput {
    requests: Vec<RequestView>,
}

/// One request.
#[derive(Debug, Serialize, JsonSchema)]
struct RequestView {
    id: String,
    /// `export` or `erasure`; `tenant_erasure` if the tenant deletes all of its people.
    kind: &'static str,
    /// `requested` until the person answers; of a deletion then `verified`, `revoked`, `erased`, `key_destroyed`;
    /// at the end `done`, `expired` or `cancelled`.
    state: &'static str,
    /// RFC 3339, as all times.
    requested_at: String,
    /// Until when its page can be answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer_by: Option<String>,
    /// By when it has to be done (GDPR Art. 12(3)).
    due_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<String>,
}

impl Privacy {
    /// `export_my_data`.
    pub(crate) async fn export(&self, ctx: &TenantContext, origin: &Origin, _: NoArguments) -> Produced {
        let next = "Give the person this address. The page shows what is kept and hands the copy out once. Do not open it yourself.";
        self.begin(ctx, origin, PrivacyKind::Export, next).await
    }

    /// `delete_my_data`.
    pub(crate) async fn delete(&self, ctx: &TenantContext, origin: &Origin, _: NoArguments) -> Produced {
        let next = "Nothing is deleted yet. Give the person this address: they confirm on the page. Do not open it yourself. Once they \
                    have, this key no longer works, and the page shows how far it is.";
        self.begin(ctx, origin, PrivacyKind::Erasure, next).await
    }

    /// `privacy_requests`.
    pub(crate) async fn requests(&self, ctx: &TenantContext, _: NoArguments) -> Produced {
        let user = acting_for(ctx)?;
        let store = self.desk.vault().store();
        let listed = privacy_requests::list_of(store, ctx, user, LISTED).await;
        let listed = listed.map_err(|error| store_failure(&error))?;
        self.desk.fresh(&RequestsOutput { requests: listed.iter().map(view).collect() })
    }

    async fn begin(
        &self,
        ctx: &TenantContext,
        origin: &Origin,
        kind: PrivacyKind,
        next: &'static str,
    ) -> Produced {
        let user = acting_for(ctx)?;
        let offered =
            offer_privacy_page(self.desk.vault(), ctx, &self.options.public_url, (kind, user)).await;
        let PrivacyOffered { request, url } = offered.map_err(|error| store_failure(&error))?;
        origin.about(of_request(request.id));
        let next = if url.is_some() { next } else { "It was confirmed; its page shows how far it is." };
        let url = url.map(|url| url.expose_secret().to_owned());
        self.desk.fresh(&RequestOutput { request: view(&request), url, next })
    }
}

fn view(request: &PrivacyRequest) -> RequestView {
    let waits = request.state == State::Requested;
    RequestView {
        id: request.id.to_string(),
        kind: request.kind.as_str(),
        state: request.state.as_str(),
        requested_at: text(request.requested_at),
        answer_by: request.page_expires_at.filter(|_| waits).map(text),
        due_by: text(request.due_by),
        completed_at: request.completed_at.map(text),
    }
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
