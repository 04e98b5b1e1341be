//! The closed label values of every metric. Nothing that a user can name becomes a label.

use stagedoor_domain::{Provider, ToolName};

/// A closed set of label values, with an index for tables of counters.
pub trait Label: Copy + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// Every value; a value's place is its index.
    const ALL: &'static [Self];
    /// The value's text.
    fn text(self) -> &'static str;
    /// The value's place in [`Self::ALL`].
    fn index(self) -> usize;
}

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident as $label:literal { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl Label for $name {
            const NAME: &'static str = $label;
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    )+};
}

labels! {
    /// How an HTTP request ended.
    HttpOutcome as "outcome" {
        /// 2xx.
        Success = "success",
        /// 3xx.
        Redirect = "redirect",
        /// 401 and 403.
        Denied = "denied",
        /// 429.
        Limited = "limited",
        /// Any other 4xx.
        ClientError = "client_error",
        /// 5xx.
        ServerError = "server_error",
        /// The client went away before the answer.
        Cancelled = "cancelled",
    }
    /// How a tool call ended.
    CallOutcome as "outcome" {
        /// With a result.
        Success = "success",
        /// The caller can mend it.
        CallerError = "caller_error",
        /// A quota or the provider's limit.
        Limited = "limited",
        /// The provider failed.
        ProviderError = "provider_error",
        /// We failed.
        InternalError = "internal_error",
        /// It took longer than its deadline.
        DeadlineExceeded = "deadline_exceeded",
        /// The caller went away.
        Cancelled = "cancelled",
    }
    /// How a request to a provider ended.
    ProviderOutcome as "outcome" {
        /// 2xx.
        Success = "success",
        /// 401 or 403.
        Denied = "denied",
        /// 429.
        Limited = "limited",
        /// Any other 4xx.
        Rejected = "rejected",
        /// 5xx.
        Failed = "failed",
        /// No answer in time.
        TimedOut = "timed_out",
        /// No connection.
        Unreachable = "unreachable",
        /// Not its API.
        Garbage = "garbage",
        /// Not sent, because it has been failing.
        CircuitOpen = "circuit_open",
    }
    /// How a caller proved itself.
    AuthMethod as "method" {
        /// With an API key of the tenant.
        ApiKey = "api_key",
        /// With a token of an issuer that the tenant registered.
        Token = "token",
    }
    /// Why a credential was refused; callers see one answer for all.
    AuthFailure as "reason" {
        /// There was none.
        Missing = "missing",
        /// Not of the right form, or its checksum is wrong.
        Malformed = "malformed",
        /// No such key, or another tenant's.
        Unknown = "unknown",
        /// The key exists and the secret does not fit.
        WrongSecret = "wrong_secret",
        /// Its time is over.
        Expired = "expired",
        /// It was withdrawn.
        Revoked = "revoked",
        /// The tenant is suspended.
        Suspended = "suspended",
        /// Too many failures before.
        Blocked = "blocked",
    }
}

impl HttpOutcome {
    /// The class of a status code.
    pub const fn of_status(status: u16) -> Self {
        match status {
            0..=299 => Self::Success,
            300..=399 => Self::Redirect,
            401 | 403 => Self::Denied,
            429 => Self::Limited,
            400..=499 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

impl Label for ToolName {
    const NAME: &'static str = "tool";
    const ALL: &'static [Self] = ToolName::ALL;

    fn text(self) -> &'static str {
        self.as_str()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl Label for Provider {
    const NAME: &'static str = "provider";
    const ALL: &'static [Self] = Provider::ALL;

    fn text(self) -> &'static str {
        self.as_str()
    }

    fn index(self) -> usize {
        self as usize
    }
}
