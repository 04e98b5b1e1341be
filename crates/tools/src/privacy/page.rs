//! The page of a request: what it shows, and what the person decides on it.

use secrecy::{ExposeSecret, SecretString};
use stagedoor_audit::{AuditAction, AuditClient};
use stagedoor_domain::{ApiKeyId, ErrorCode, PublicError, TenantContext};
use stagedoor_storage::privacy_requests::{self, Confirmed, PrivacyRequest, State};
use stagedoor_storage::{StoreError, personal_data, tenants, users};

use super::{
    ErasureSeen, Holding, Privacy, PrivacyKind, PrivacyOffer, PrivacyPage, expired, of_request, unknown,
    words,
};
use crate::records::store_failure;

/// The steps of a deletion as its page tells them, and the state after each.
const STEPS: [(&str, State); 5] = [
    ("You confirmed, and agents lost their access", State::Verified),
    ("The music services were told to end the permissions", State::Revoked),
    ("What was kept about you was deleted", State::Erased),
    ("The key that it was encrypted under was destroyed", State::KeyDestroyed),
    ("The receipt was signed", State::Done),
];

impl Privacy {
    /// What the page shows. Looking changes nothing.
    pub async fn page(&self, ctx: &TenantContext) -> Result<PrivacyPage, PublicError> {
        let request = self.request_of(ctx).await?;
        match request.state {
            State::Requested => self.offer(ctx, &request).await.map(PrivacyPage::Offer),
            State::Cancelled => Ok(PrivacyPage::Kept),
            State::Expired => Err(expired()),
            _ if request.kind == PrivacyKind::Export => Err(used()),
            state => Ok(PrivacyPage::Erasure(seen(&request, state))),
        }
    }

    /// The second step of a deletion, by whoever holds the page's address: from now on it is done. Again is the same.
    /// Answers with the person's keys, which are revoked, for whoever remembers them.
    pub async fn confirm(
        &self,
        ctx: &TenantContext,
        client: AuditClient,
        token: &SecretString,
    ) -> Result<Vec<ApiKeyId>, PublicError> {
        let request = self.erasure_of(ctx).await?;
        if !matches!(request.state, State::Requested | State::Expired | State::Cancelled) {
            return Ok(Vec::new());
        }
        let keys = self.desk.keys_of(ctx, request.user.ok_or_else(unknown)?).await?;
        let resource = of_request(request.id);
        let record = self.desk.trail().open(ctx, AuditAction::PrivacyConfirm, &client, resource).await?;
        let (store, token) = (self.desk.vault().store(), token.expose_secret().as_bytes());
        let verified = match privacy_requests::verify(store, ctx, request.id, token).await {
            Ok(Confirmed::Now | Confirmed::Before) => Ok(keys),
            Ok(Confirmed::TooLate | Confirmed::Over) => Err(expired()),
            Ok(Confirmed::Unknown) => Err(unknown()),
            Err(error) => Err(store_failure(&error)),
        };
        record.close(verified.as_ref().err().map(|error| error.code)).await;
        verified
    }

    /// The person keeps everything. Too late once it was confirmed, which is no failure: the page shows how it is.
    pub async fn cancel(
        &self,
        ctx: &TenantContext,
        client: AuditClient,
        token: &SecretString,
    ) -> Result<(), PublicError> {
        let request = self.erasure_of(ctx).await?;
        if request.state != State::Requested {
            return Ok(());
        }
        let resource = of_request(request.id);
        let record = self.desk.trail().open(ctx, AuditAction::PrivacyConfirm, &client, resource).await?;
        let (store, token) = (self.desk.vault().store(), token.expose_secret().as_bytes());
        let cancelled = privacy_requests::cancel(store, ctx, request.id, token).await;
        let told =
            if matches!(cancelled, Ok(true)) { ErrorCode::LinkDeclined } else { ErrorCode::LinkExpired };
        record.close(Some(told)).await;
        cancelled.map(drop).map_err(|error| store_failure(&error))
    }

    /// The receipt of a deletion that is done: signed lines.
    pub async fn receipt(&self, ctx: &TenantContext, client: AuditClient) -> Result<String, PublicError> {
        let request = self.erasure_of(ctx).await?;
        let receipt = request.receipt.ok_or_else(|| {
            PublicError::new(ErrorCode::InvalidRequest, "The deletion is not done, so there is no receipt.")
        })?;
        let resource = of_request(request.id);
        let record = self.desk.trail().open(ctx, AuditAction::PrivacyDownload, &client, resource).await?;
        record.close(None).await;
        Ok(receipt)
    }

    async fn erasure_of(&self, ctx: &TenantContext) -> Result<PrivacyRequest, PublicError> {
        let request = self.request_of(ctx).await?;
        if request.kind == PrivacyKind::Export {
            return Err(PublicError::new(ErrorCode::InvalidRequest, "The request is for no deletion."));
        }
        Ok(request)
    }

    async fn offer(
        &self,
        ctx: &TenantContext,
        request: &PrivacyRequest,
    ) -> Result<PrivacyOffer, PublicError> {
        let user = ctx.user().ok_or_else(unknown)?;
        let store = self.desk.vault().store();
        let load = store.with_tenant(ctx, async |tx| {
            let person = users::find(tx, user).await?;
            Ok::<_, StoreError>((tenants::name(tx).await?, person))
        });
        let (tenant_name, person) = load.await.map_err(|error| store_failure(&error))?;
        let counts = personal_data::counts(store, ctx, user).await.map_err(|error| store_failure(&error))?;
        Ok(PrivacyOffer {
            kind: request.kind,
            tenant_name,
            person: person.ok_or_else(unknown)?.label,
            holdings: holdings(&counts),
            left_out: words::LEFT_OUT,
            kept: words::kept(),
            expires_at: request.page_expires_at.unwrap_or(request.due_by),
        })
    }
}

fn seen(request: &PrivacyRequest, state: State) -> ErasureSeen {
    let reached = STEPS.iter().position(|(_, after)| *after == state).map_or(0, |position| position + 1);
    let steps = STEPS.iter().enumerate().map(|(number, (what, _))| (*what, number < reached));
    ErasureSeen {
        request: request.id,
        steps: steps.collect(),
        finished_at: request.completed_at,
        due_by: request.due_by,
    }
}

/// What there is, in the order of the tables.
fn holdings(counts: &[(&'static str, u64)]) -> Vec<Holding> {
    let rows = |name: &str| counts.iter().find(|(table, _)| *table == name).map_or(0, |(_, rows)| *rows);
    let all = personal_data::people().map(|(table, _)| Holding { what: table.title, rows: rows(table.name) });
    all.filter(|holding| holding.rows > 0).collect()
}

fn used() -> PublicError {
    PublicError::new(ErrorCode::LinkUsed, "The copy was taken before.")
}
