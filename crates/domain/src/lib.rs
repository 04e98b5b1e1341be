//! The words every room shares: ids, tenant context, clock, music model, tool names, policy classes, errors.
//! No I/O lives here, and no technology: nothing in this crate knows HTTP servers, SQL, Redis or ciphers.
#![warn(missing_docs)]

pub mod backup;
pub mod clock;
pub mod consent;
pub mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod health;
pub mod ids;
pub mod issuer;
pub mod music;
pub mod network;
pub mod playback;
pub mod policy;
pub mod preferences;
pub mod queue;
pub mod reference;
pub mod retention;
pub mod scope;
pub mod settings;
pub mod tenant;
pub mod text;
pub mod tool;

pub use backup::BackupClass;
pub use clock::{Clock, Entropy, SystemClock};
pub use consent::ConsentPurpose;
pub use error::{ErrorCode, Fault, LimitDetail, LimitScope, PublicError};
pub use ids::{
    ApiKeyId, CallId, ConsentId, IssuerId, JobId, LinkAttemptId, LinkedAccountId, PrivacyRequestId,
    ProviderAppId, QueueItemId, SessionId, SharedQueueId, TenantId, TenantSlug, UserId,
};
pub use issuer::Issuer;
pub use music::Provider;
pub use policy::{AuditSettings, CacheClass, LimitClass, PolicyGate, PrivacyTerms, TenantSettings};
pub use preferences::{AudioQuality, Preferences, PreferencesLayer};
pub use queue::{QueueLimits, QueueRole};
pub use reference::{EntityKind, ItemRef, Reference};
pub use retention::{Retained, RetentionSettings};
pub use scope::{Scope, ScopeSet};
pub use settings::SettingsProblem;
pub use tenant::{Principal, PrincipalKind, Tenant, TenantContext, TenantStatus};
pub use tool::{ToolName, Toolset, ToolsetSet};
