//! Identifiers, each a type of its own so that one kind is never passed for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::{Clock, Entropy};

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, ordered by time (UUID version 7, RFC 9562 §5.7).
            pub fn generate(clock: &dyn Clock, entropy: &dyn Entropy) -> Self {
                Self(uuid_v7(clock, entropy))
            }

            /// The bare UUID, for storage and wire formats.
            pub fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    };
}

uuid_id!(
    /// A tenant: one customer of the installation.
    TenantId
);
uuid_id!(
    /// A person inside a tenant.
    UserId
);
uuid_id!(
    /// One Spotify or Tidal account of a person.
    LinkedAccountId
);
uuid_id!(
    /// One sealed grant (tokens) of a linked account.
    SessionId
);
uuid_id!(
    /// A tenant's own client id and secret at a provider.
    ProviderAppId
);
uuid_id!(
    /// One try of a person to link an account, from the agent's question to the provider's answer.
    LinkAttemptId
);
uuid_id!(
    /// What a person, or a tenant, asked for under the law: a copy of the data, or its deletion.
    PrivacyRequestId
);
uuid_id!(
    /// One decision of a person on one purpose.
    ConsentId
);
uuid_id!(
    /// Work that outlives the call that began it.
    JobId
);
uuid_id!(
    /// A queue that people of a tenant share.
    SharedQueueId
);
uuid_id!(
    /// An item of a shared queue, wherever it stands.
    QueueItemId
);
uuid_id!(
    /// An issuer of tokens that a tenant has registered.
    IssuerId
);
uuid_id!(
    /// One call of an agent; the audit record, the log line and the trace carry it.
    CallId
);

/// UUID version 7 from the given clock and randomness (RFC 9562 §5.7).
pub fn uuid_v7(clock: &dyn Clock, entropy: &dyn Entropy) -> Uuid {
    let mut random = [0_u8; 10];
    entropy.fill(&mut random);
    let millis = u64::try_from(clock.now().timestamp_millis()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// The public part of an API key: 12 characters of `[0-9A-Za-z]`, unique within its tenant.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ApiKeyId(Box<str>);

/// Why a text is not an identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {expected}")]
pub struct InvalidId {
    /// Which identifier.
    pub what: &'static str,
    /// The form it should have.
    pub expected: &'static str,
}

impl ApiKeyId {
    /// Length in characters.
    pub const LENGTH: usize = 12;

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ApiKeyId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.len() == Self::LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId { what: "API key id", expected: "12 characters of [0-9A-Za-z]" })
        }
    }
}

impl fmt::Debug for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeyId({})", self.0)
    }
}

impl fmt::Display for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The tenant's name in URLs: 1–40 characters of `[a-z0-9-]`, starting and ending with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct TenantSlug(Box<str>);

impl TenantSlug {
    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantSlug {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let edges_ok = !text.starts_with('-') && !text.ends_with('-');
        if (1..=40).contains(&text.len()) && edges_ok && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId {
                what: "tenant",
                expected: "1-40 characters of [a-z0-9-], starting and ending with a letter or digit",
            })
        }
    }
}

impl fmt::Display for TenantSlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
