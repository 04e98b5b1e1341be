//! The public half of every error: a stable code, a sentence, a hint. Causes stay in the log.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:literal;)+) => {
        /// The stable code of an error that an agent or operator can meet; `docs/errors.md` lists each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ErrorCode { $($(#[$doc])* $variant),+ }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The text form, which never changes its meaning.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// The HTTP status where the error is an HTTP answer of its own (before a tool runs).
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$variant => $status),+ }
            }
        }
    };
}

error_codes! {
    /// The body is not JSON.
    MalformedJson = "malformed_json", 400;
    /// The body is JSON but no JSON-RPC 2.0 request.
    InvalidRequest = "invalid_request", 400;
    /// An array of requests; batches were removed from MCP in 2025-06-18.
    BatchUnsupported = "batch_unsupported", 400;
    /// The body is longer than the limit.
    BodyTooLarge = "body_too_large", 413;
    /// The body is nested deeper than the limit.
    BodyTooDeep = "body_too_deep", 400;
    /// The body did not arrive in time.
    BodyTimeout = "body_timeout", 408;
    /// `Content-Type` is not `application/json`.
    UnsupportedMediaType = "unsupported_media_type", 415;
    /// `Accept` allows neither JSON nor an event stream.
    NotAcceptable = "not_acceptable", 406;
    /// The method is not allowed on this path.
    MethodNotAllowed = "method_not_allowed", 405;
    /// No such path.
    NotFound = "not_found", 404;
    /// No such tenant, person, key or other object; or one that this admin may not know of.
    ObjectUnknown = "object_unknown", 404;
    /// There is one of that name, id or kind already.
    AlreadyExists = "already_exists", 409;
    /// The object was changed since the caller saw it: its etag is another now.
    EtagMismatch = "etag_mismatch", 412;
    /// Things are not as the request needs them to be; the message says what has to be different first.
    NotInState = "not_in_state", 409;
    /// The admin's role may not do that, or not in this tenant.
    PermissionDenied = "permission_denied", 403;
    /// A header contradicts the body.
    HeaderMismatch = "header_mismatch", 400;
    /// `params._meta` lacks a member that the revision requires, or has a wrong one.
    InvalidRequestMeta = "invalid_request_meta", 400;
    /// The protocol version is not supported.
    UnsupportedVersion = "unsupported_protocol_version", 400;
    /// The request needs a capability that the client did not declare.
    MissingCapability = "missing_client_capability", 400;
    /// `Host` is not one of ours.
    InvalidHost = "invalid_host", 403;
    /// `Origin` is not allowed.
    InvalidOrigin = "invalid_origin", 403;
    /// No such method.
    UnknownMethod = "unknown_method", 404;
    /// No such tool, or none that this key is shown.
    UnknownTool = "unknown_tool", 200;
    /// No such resource.
    UnknownResource = "unknown_resource", 200;
    /// No such prompt.
    UnknownPrompt = "unknown_prompt", 200;
    /// An argument is missing or wrong; the message names the field.
    InvalidArguments = "invalid_arguments", 200;
    /// No key, a wrong key, an expired key, another tenant's key: all the same from outside.
    Unauthenticated = "unauthenticated", 401;
    /// The key lacks a scope; the challenge lists every scope that is needed.
    InsufficientScope = "insufficient_scope", 403;
    /// Too many failed attempts from this network.
    TooManyAttempts = "too_many_attempts", 429;
    /// A quota is used up; the answer says which and when there is more.
    RateLimited = "rate_limited", 429;
    /// The key is bound to no person, and the tool needs one.
    UserRequired = "user_required", 200;
    /// The person has no account of that provider linked.
    AccountNotLinked = "account_not_linked", 200;
    /// Several accounts fit; the message lists them.
    AccountAmbiguous = "account_ambiguous", 200;
    /// The provider no longer accepts the grant; the account must be linked again.
    RelinkNeeded = "relink_needed", 200;
    /// A stored session failed to open; it is set aside, and the account must be linked again.
    SessionUnreadable = "session_unreadable", 200;
    /// No such link: never made, of another tenant, person or agent, or forgotten since.
    LinkUnknown = "link_unknown", 404;
    /// The person did not finish in time, or the link was replaced by a newer one.
    LinkExpired = "link_expired", 410;
    /// The link was used before; each works once.
    LinkUsed = "link_used", 409;
    /// The provider's answer was taken and is being exchanged; how it ends is known in a moment.
    LinkUnderway = "link_underway", 409;
    /// The person declined, here or at the provider.
    LinkDeclined = "link_declined", 200;
    /// The provider's answer does not belong to this link or this browser: altered, replayed, or someone else's.
    LinkStateInvalid = "link_state_invalid", 400;
    /// The answer names another issuer than the provider that was asked (RFC 9207).
    LinkIssuerMismatch = "link_issuer_mismatch", 400;
    /// The provider did not grant what the person had agreed to; nothing was stored.
    LinkFailed = "link_failed", 502;
    /// The key that asked for the link was revoked or has ended meanwhile.
    LinkRevoked = "link_revoked", 403;
    /// `requestState` is not what this server wrote for this call, or was used before.
    InvalidRequestState = "invalid_request_state", 200;
    /// The tenant's policy refuses a device that was not seen before, or one more at a time.
    DeviceRefused = "device_refused", 200;
    /// The tenant has not set this provider up.
    ProviderNotConfigured = "provider_not_configured", 200;
    /// No such item at the provider, or not visible to this account.
    ItemNotFound = "item_not_found", 200;
    /// The provider forbids it; the message says which scope, mode or ownership is missing.
    ProviderForbidden = "provider_forbidden", 200;
    /// The provider refused the request as wrong.
    ProviderRejected = "provider_rejected", 200;
    /// The provider asks to wait.
    ProviderRateLimited = "provider_rate_limited", 200;
    /// The provider did not answer, or answered with an error of its own.
    ProviderUnavailable = "provider_unavailable", 200;
    /// The provider answered with something that is not its API.
    ProviderInvalidAnswer = "provider_invalid_answer", 200;
    /// The call took longer than its deadline.
    DeadlineExceeded = "deadline_exceeded", 200;
    /// A paging cursor is not ours, is someone else's, or is too old.
    InvalidCursor = "invalid_cursor", 200;
    /// What was to be changed was changed by someone else meanwhile; read it again.
    Conflict = "conflict", 200;
    /// The tenant's policy for a provider keeps this feature closed; the message says which gate and who opens it.
    PolicyGateClosed = "policy_gate_closed", 200;
    /// The `idempotency_key` was used before with other arguments.
    IdempotencyMismatch = "idempotency_mismatch", 200;
    /// The first call with this `idempotency_key` is still under way.
    IdempotencyUnderway = "idempotency_underway", 200;
    /// The first call with this `idempotency_key` was cut off, and nobody knows whether it was done.
    OutcomeUnknown = "outcome_unknown", 200;
    /// The playlist has no stored version of that number.
    VersionUnknown = "version_unknown", 200;
    /// No such job: never begun, of another tenant, person or agent, or forgotten since.
    JobUnknown = "job_unknown", 200;
    /// No such shared queue: never made, of another tenant, ended, or one that the person is not in.
    QueueUnknown = "queue_unknown", 200;
    /// No such item in the queue: never put in, or taken out meanwhile.
    QueueItemUnknown = "queue_item_unknown", 200;
    /// The person's role in the queue does not allow it; the message says which one does.
    QueueRoleNeeded = "queue_role_needed", 200;
    /// The queue is locked; its owner can unlock it.
    QueueLocked = "queue_locked", 200;
    /// A bound of shared queues is reached; the message says which, and how much it is.
    QueueFull = "queue_full", 200;
    /// Nothing plays anywhere and no device was named; the message lists the devices.
    NoActiveDevice = "no_active_device", 200;
    /// The person has not consented to what the call would do, or has withdrawn it; the message names the purpose.
    ConsentRequired = "consent_required", 200;
    /// Part of a write was done; the message says which part.
    PartlyDone = "partly_done", 200;
    /// As many calls are under way as this tenant, or this replica, may have at a time.
    Overloaded = "overloaded", 503;
    /// The store is out of reach; nothing was done.
    StoreUnavailable = "store_unavailable", 503;
    /// The issuer of a token does not answer, so the token cannot be verified; nothing was done.
    IssuerUnavailable = "issuer_unavailable", 503;
    /// A key that opens the tenant's secrets is out of reach; nothing was done.
    KeyUnavailable = "key_unavailable", 503;
    /// The call cannot be audited, so it was not done.
    AuditUnavailable = "audit_unavailable", 503;
    /// The tenant's audit log of the day has reached its size, so no more reads are recorded, and none are done.
    AuditLogFull = "audit_log_full", 503;
    /// A fault of ours; the call id finds it in the log.
    Internal = "internal", 500;
}

impl ErrorCode {
    /// Whether the service, or our database, cannot be asked now and the same may work in a moment.
    pub const fn may_pass(self) -> bool {
        matches!(
            self,
            Self::ProviderUnavailable
                | Self::ProviderRateLimited
                | Self::ProviderInvalidAnswer
                | Self::DeadlineExceeded
                | Self::StoreUnavailable
        )
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The caller can mend it.
    Caller,
    /// The provider's.
    Provider,
    /// Ours.
    Service,
}

/// Whose calls a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitScope {
    /// The calling principal's.
    Principal,
    /// Those of all principals of the tenant together.
    Tenant,
}

/// Which limit refused a call, for programs: what the message says in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LimitDetail {
    /// The name that the `RateLimit` header uses: `search-60`, `tenant-search-60`, or `penalty`.
    pub name: String,
    /// Whose calls it counts.
    pub scope: LimitScope,
    /// Calls per window; 0 for a penalty.
    pub capacity: u32,
    /// The window, or the penalty's length.
    pub window_seconds: u64,
    /// Calls left now.
    pub remaining: u64,
    /// Seconds until all are back if nothing more is called.
    pub full_in_seconds: u64,
}

/// What an agent is told. Holds nothing that it must not see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct PublicError {
    /// The stable code.
    pub code: ErrorCode,
    /// What was wrong, in one sentence.
    pub message: String,
    /// What to do instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// When a retry can succeed.
    #[serde(
        skip_serializing_if = "Option::is_none",
        rename = "retry_after_seconds",
        serialize_with = "whole_seconds"
    )]
    pub retry_after: Option<Duration>,
    /// The limit that refused, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<Box<LimitDetail>>,
    /// What the message says in words, for programs: what was done, what differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<serde_json::Value>>,
}

#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
fn whole_seconds<S: serde::Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(wait) => serializer.serialize_u64(ceil_seconds(*wait)),
        None => serializer.serialize_none(),
    }
}

/// Whole seconds, rounded up and never 0, as `Retry-After` wants them (RFC 9110 §10.2.3).
pub fn ceil_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

impl PublicError {
    /// The longest message, in bytes: a refusal quotes what it was sent, and does not repeat it.
    pub const LONGEST_MESSAGE: usize = 1_500;

    /// An error with no hint. A message that is too long is cut.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > Self::LONGEST_MESSAGE {
            message.truncate(message.floor_char_boundary(Self::LONGEST_MESSAGE - '…'.len_utf8()));
            message.push('…');
        }
        Self { code, message, hint: None, retry_after: None, limit: None, details: None }
    }

    /// The error with what to do instead.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The error with the time after which a retry can succeed.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The error with the limit that refused.
    #[must_use]
    pub fn limit(mut self, limit: LimitDetail) -> Self {
        self.limit = Some(Box::new(limit));
        self
    }

    /// The error with what its message says in words, for programs.
    #[must_use]
    pub fn details(mut self, details: serde_json::Value) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// A fault of ours; the cause was logged under the call's id.
    pub fn internal() -> Self {
        Self::new(
            ErrorCode::Internal,
            "Something failed inside the gateway; the operator can find it by the call id.",
        )
    }
}

/// An error with its causes, outermost first, for the one place where it is logged.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a (dyn std::error::Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
