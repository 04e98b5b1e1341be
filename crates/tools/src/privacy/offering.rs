//! How a request begins, whoever asks for it: the request, and the address of the page on which its person answers it.

use secrecy::{ExposeSecret, SecretString};
use stagedoor_domain::{PrivacyRequestId, TenantContext, UserId};
use stagedoor_storage::privacy_requests::{self, NewRequest, PrivacyRequest, State};
use stagedoor_storage::{KeyVault, StoreError};
use url::Url;

use super::PrivacyKind;
use crate::linking::secrets::{hash, secret};

/// A request, and where its person answers it.
#[derive(Debug)]
pub struct PrivacyOffered {
    /// The request.
    pub request: PrivacyRequest,
    /// The page's address, for that person alone; told here and never again. `None` if the request was confirmed before:
    /// its page stays the one on which it was.
    pub url: Option<SecretString>,
}

/// Asks for a copy or for the deletion of what is kept about `user`, in the name of the context's principal. A request of
/// that kind that waits for its person gets this page instead of the one that it had. The vault has to be one of the
/// gateway's role.
///
/// # Errors
/// [`StoreError::Missing`] if there is no such person.
pub async fn offer_privacy_page(
    vault: &KeyVault,
    ctx: &TenantContext,
    public_url: &Url,
    (kind, user): (PrivacyKind, UserId),
) -> Result<PrivacyOffered, StoreError> {
    let page = secret(vault.entropy());
    let id = PrivacyRequestId::generate(vault.clock(), vault.entropy());
    let principal = &ctx.principal().label();
    let new = NewRequest { id, kind, user, principal, page_hash: hash(&page) };
    let request = privacy_requests::offer(vault.store(), ctx, &new).await?;
    let url = (request.state == State::Requested).then(|| page_address(ctx, public_url, &page));
    Ok(PrivacyOffered { request, url })
}

fn page_address(ctx: &TenantContext, public_url: &Url, page: &SecretString) -> SecretString {
    let base = public_url.as_str().trim_end_matches('/');
    format!("{base}/t/{}/privacy/{}", ctx.tenant().slug.as_str(), page.expose_secret()).into()
}
