//! What `account_link` answers with.

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use stagedoor_domain::Provider;
use stagedoor_storage::link_attempts::{LinkAttempt, LinkStage, NewLinkAttempt};

use super::scopes;
use crate::accounts::Account;
use crate::foresight;

/// How far the link is.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LinkOutput {
    /// `pending` or `linked`.
    status: &'static str,
    /// What to do now.
    next: String,
    /// The page for the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Hand this in as `link` to ask how it went.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    /// When the page ends (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// The account that is linked now.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<LinkedOutput>,
    /// What was asked for, or granted before, and is not granted now, in the service's words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing_scopes: Vec<String>,
}

/// A linked account.
#[derive(Debug, Serialize, JsonSchema)]
struct LinkedOutput {
    /// Hand this in as `account` where a service has several.
    id: String,
    provider: Provider,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    /// When the access ends because the service lets it not be renewed (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    works_until: Option<String>,
}

impl LinkOutput {
    /// The page is there, and the person is to open it.
    pub(super) fn offered(attempt: &NewLinkAttempt, url: String) -> Self {
        let next = format!(
            "Show the person `url` and ask them to open it in a browser and follow it to the end. When they say that \
             they have, call account_link with {{\"link\":\"{}\"}}.",
            attempt.id
        );
        Self {
            url: Some(url),
            link: Some(attempt.id.to_string()),
            expires_at: Some(text(attempt.expires_at)),
            ..Self::bare("pending", next)
        }
    }

    /// The person has not finished, or what they finished is not stored yet.
    pub(super) fn pending(attempt: &LinkAttempt) -> Self {
        let link = Some(attempt.id.to_string());
        if attempt.stage == LinkStage::Exchanging {
            let next = "The person has come back, and the account is being linked. Call again in a few seconds; the \
                        address does nothing more.";
            return Self { link, ..Self::bare("pending", next.to_owned()) };
        }
        let next = "The person has not finished. Wait until they say that they have, then call again; the address of \
                    the earlier answer works until `expires_at`.";
        Self { link, expires_at: Some(text(attempt.expires_at)), ..Self::bare("pending", next.to_owned()) }
    }

    /// The account is linked.
    pub(super) fn linked(attempt: &LinkAttempt, account: Account) -> Self {
        let missing_scopes = scopes::missing(&attempt.missing_scopes, &account.scopes);
        let mut next = if missing_scopes.is_empty() {
            "The account can be used now.".to_owned()
        } else {
            "The account can be used now, but not for what `missing_scopes` covers, by no agent of the person; the \
             person can grant it by linking the account again."
                .to_owned()
        };
        if let Some(warning) = foresight::not_renewable(&account) {
            next.push(' ');
            next.push_str(&warning);
        }
        let works_until = account.works_until.map(text);
        let account = LinkedOutput {
            id: account.id.to_string(),
            provider: account.provider,
            name: account.name,
            country: account.country,
            works_until,
        };
        Self { account: Some(account), missing_scopes, ..Self::bare("linked", next) }
    }

    fn bare(status: &'static str, next: String) -> Self {
        Self {
            status,
            next,
            url: None,
            link: None,
            expires_at: None,
            account: None,
            missing_scopes: Vec::new(),
        }
    }
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
