//! What became of one import, for people and for programs.

use std::fmt;

use chrono::{DateTime, Utc};
use stagedoor_domain::{ErrorCode, LinkedAccountId, PublicError};
use stagedoor_storage::StoreError;
use stagedoor_storage::linked_accounts::LinkedAccount;

use super::Reason;

/// Of tokens that are gone, where the file's own may have gone with them.
pub(super) const LOST: &str = "the provider gave new tokens, or may have, and they are lost: the refresh token in the \
    file may work no more";

/// How an import ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportOutcome {
    /// The account is linked with the file's grant.
    Imported,
    /// It would be (dry run).
    WouldImport,
    /// These tokens were imported before.
    AlreadyImported,
    /// The account is linked and works; it stayed as it is.
    AlreadyLinked,
    /// The account is known, its tokens cannot be used: the person must link it.
    RelinkNeeded,
    /// Nothing can be made of the file.
    NotUsable,
    /// Something failed that has nothing to do with the file; another run may help.
    Failed,
}

/// What became of one import.
#[derive(Debug, Clone)]
pub struct Imported {
    /// How it ended.
    pub outcome: ImportOutcome,
    /// The linked account, where there is one.
    pub account: Option<LinkedAccountId>,
    /// The provider's id of the account, where it is known.
    pub provider_user_id: Option<String>,
    /// The account's name, where it is known.
    pub name: Option<String>,
    /// Why it ended so, as a stable text.
    pub reason: Option<&'static str>,
    /// The same for people: a sentence without its full stop.
    pub explanation: String,
    /// What to know besides.
    pub warnings: Vec<String>,
}

/// Something failed that has nothing to do with the file.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) public: PublicError,
    /// Whether the provider gave a new refresh token, or may have, and it is gone.
    pub(super) lost: bool,
}

impl Failure {
    pub(super) fn nothing_lost(public: PublicError) -> Self {
        Self { public, lost: false }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::nothing_lost(crate::records::store_failure(&error))
    }
}

impl From<Failure> for Imported {
    fn from(failure: Failure) -> Self {
        let Failure { public, lost } = failure;
        let message = public.message.trim_end_matches('.');
        let explanation = if lost {
            format!(
                "{LOST} ({message}); if another run is refused, the person has to link the account with account_link"
            )
        } else {
            format!("{message}; nothing was changed, run the import again later")
        };
        Self { reason: Some(public.code.as_str()), explanation, ..Self::new(ImportOutcome::Failed) }
    }
}

impl Imported {
    pub(super) fn new(outcome: ImportOutcome) -> Self {
        Self {
            outcome,
            account: None,
            provider_user_id: None,
            name: None,
            reason: None,
            explanation: String::new(),
            warnings: Vec::new(),
        }
    }

    /// Another import has the file's tokens in hand.
    pub(super) fn running() -> Self {
        let explanation =
            "another import of this file is running, or one was stopped half a minute ago at most; \
            nothing was changed, run the import again later"
                .to_owned();
        Self { reason: Some("running"), explanation, ..Self::new(ImportOutcome::Failed) }
    }

    /// With a word on what became of the tokens that the provider gave, or may have given.
    pub(super) fn with_warning(mut self, warning: &str) -> Self {
        self.warnings.push(warning.to_owned());
        self
    }

    pub(super) fn not_usable(reason: &Reason) -> Self {
        let (explanation, reason) = (reason.to_string(), Some(reason.as_str()));
        Self { reason, explanation, ..Self::new(ImportOutcome::NotUsable) }
    }

    pub(super) fn relink_needed(account: Option<LinkedAccountId>, id: &str, reason: &Reason) -> Self {
        let done = if account.is_some() { "the account is noted" } else { "the account would be noted" };
        Self {
            account,
            provider_user_id: (!id.is_empty()).then(|| id.to_owned()),
            reason: Some(reason.as_str()),
            explanation: format!("{reason}; {done}, and the person has to link it with account_link"),
            ..Self::new(ImportOutcome::RelinkNeeded)
        }
    }

    pub(super) fn already_imported(account: &LinkedAccount, at: DateTime<Utc>) -> Self {
        Self {
            explanation: format!("already imported at {at}; nothing was changed"),
            outcome: ImportOutcome::AlreadyImported,
            ..Self::already_linked(account)
        }
    }

    /// It works, and its grant is not given up for the file's, which is worse in the way that `why` tells.
    pub(super) fn kept(account: &LinkedAccount, why: &str) -> Self {
        let explanation = format!("the account is linked already and works; it keeps its own grant, {why}");
        Self { explanation, ..Self::already_linked(account) }
    }

    pub(super) fn already_linked(account: &LinkedAccount) -> Self {
        Self {
            account: Some(account.id),
            provider_user_id: Some(account.provider_user_id.clone()),
            name: Some(account.label.clone()),
            explanation: "the account is linked already and works; it stays as it is".to_owned(),
            ..Self::new(ImportOutcome::AlreadyLinked)
        }
    }
}

impl ImportOutcome {
    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Imported => "imported",
            Self::WouldImport => "would_import",
            Self::AlreadyImported => "already_imported",
            Self::AlreadyLinked => "already_linked",
            Self::RelinkNeeded => "relink_needed",
            Self::NotUsable => "not_usable",
            Self::Failed => "failed",
        }
    }

    /// Whether the account works now, or would.
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Imported | Self::WouldImport | Self::AlreadyImported | Self::AlreadyLinked)
    }

    /// The code that the audit trail closes with.
    pub(super) const fn error_code(self) -> Option<ErrorCode> {
        match self {
            Self::RelinkNeeded | Self::NotUsable => Some(ErrorCode::RelinkNeeded),
            Self::Failed => Some(ErrorCode::Internal),
            _ => None,
        }
    }
}

impl fmt::Display for ImportOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
