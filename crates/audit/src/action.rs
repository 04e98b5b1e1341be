//! What can be done, of which class that is and why it touches a person's data: closed vocabularies (SEED-T §5.2).

use stagedoor_domain::{ToolName, Toolset};

/// What was done or tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditAction {
    /// A tool call.
    Tool(ToolName),
    /// A request that was refused before it was known what it asks for.
    Request,
    /// Proving who one is.
    Authenticate,
    /// Exchanging a refresh token at a provider.
    TokenRefresh,
    /// Opening a stored session that turned out to be damaged: it was set aside.
    SessionOpen,
    /// A person agreed or declined on a link page.
    LinkConsent,
    /// A provider's answer to a link arrived, and an account was linked or not.
    LinkComplete,
    /// A session got a new id and a new seal.
    SessionRotate,
    /// A handle (an account's id, a link, a request state) was used by someone it does not belong to.
    SessionHijack,
    /// An account was used from a device that was not seen before.
    DeviceNew,
    /// An account was used from more devices at a time than the tenant wants.
    DevicesExceeded,
    /// A session was imported from another program's file.
    SessionImport,
    /// A service was asked what a person played last, for their listening history.
    ListeningPoll,
    /// Plays of a data download were added to a person's listening history.
    ListeningImport,
    /// An answer was fetched again beside a call that was given the one of before.
    CacheRefresh,
    /// The page after one that was asked for was fetched ahead.
    CachePrefetch,
    /// A replica took up a job and worked on it.
    Job,
    /// The trail was searched, or checked, outside of a tool.
    AuditRead,
    /// A part of the trail left as a file.
    AuditExport,
    /// A person confirmed a privacy request on its page.
    PrivacyConfirm,
    /// A copy of a person's data, or a receipt, was handed out.
    PrivacyDownload,
    /// One step of a person's deletion.
    ErasureStep,
    /// One step of a whole tenant's deletion.
    TenantErasure,
    /// A session that nobody used for long was deleted.
    SessionExpire,
    /// What is older than it is kept was removed.
    Retention,
    /// Keys were replaced, or sessions whose keys someone knew were ended.
    KeyRotation,
    /// Rows of a backup were put back.
    Restore,
    /// A backup was made and read back.
    Backup,
    /// A backup was removed because its time was over.
    BackupRemove,
    /// A person was added whom a token named, as its issuer may.
    PersonAdd,
    /// A key was found in public, reported, and revoked.
    KeyLeaked,
    /// An admin looked at something; the resource's kind is the RPC.
    AdminRead,
    /// An admin changed something; the resource's kind is the RPC.
    AdminWrite,
}

impl AuditAction {
    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tool(tool) => tool.as_str(),
            Self::Request => "request",
            Self::Authenticate => "authenticate",
            Self::TokenRefresh => "token_refresh",
            Self::SessionOpen => "session_open",
            Self::LinkConsent => "link_consent",
            Self::LinkComplete => "link_complete",
            Self::SessionRotate => "session_rotate",
            Self::SessionHijack => "session_hijack",
            Self::DeviceNew => "device_new",
            Self::DevicesExceeded => "devices_exceeded",
            Self::SessionImport => "session_import",
            Self::ListeningPoll => "listening_poll",
            Self::ListeningImport => "listening_import",
            Self::CacheRefresh => "cache_refresh",
            Self::CachePrefetch => "cache_prefetch",
            Self::Job => "job",
            Self::AuditRead => "audit_read",
            Self::AuditExport => "audit_export",
            Self::PrivacyConfirm => "privacy_confirm",
            Self::PrivacyDownload => "privacy_download",
            Self::ErasureStep => "erasure_step",
            Self::TenantErasure => "tenant_erasure",
            Self::SessionExpire => "session_expire",
            Self::Retention => "retention",
            Self::KeyRotation => "key_rotation",
            Self::Restore => "restore",
            Self::Backup => "backup",
            Self::BackupRemove => "backup_remove",
            Self::PersonAdd => "person_add",
            Self::KeyLeaked => "key_leaked",
            Self::AdminRead => "admin_read",
            Self::AdminWrite => "admin_write",
        }
    }

    /// Reads are class B; whatever changes something, or is about credentials, privacy or the trail itself, is class A.
    pub const fn class(self) -> AuditClass {
        match self {
            Self::Tool(tool) if matches!(tool.toolset(), Toolset::Privacy | Toolset::Audit) => {
                AuditClass::Synchronous
            }
            Self::Tool(tool) if !tool.writes() => AuditClass::Deferred,
            Self::Request
            | Self::ListeningPoll
            | Self::CacheRefresh
            | Self::CachePrefetch
            | Self::AdminRead => AuditClass::Deferred,
            _ => AuditClass::Synchronous,
        }
    }

    /// Why such a thing touches a person's data (SEED-T §5.2). Nothing is done for marketing.
    pub const fn category(self) -> GdprCategory {
        match self {
            Self::Tool(ToolName::PreferencesGet | ToolName::PreferencesSet) => GdprCategory::Preferences,
            Self::ListeningPoll | Self::ListeningImport => GdprCategory::Analytics,
            _ => GdprCategory::Necessary,
        }
    }

    pub(crate) const fn event_type(self) -> &'static str {
        match self {
            Self::Request | Self::Job => "api_call",
            Self::Tool(tool) if !opens_records(tool) => "api_call",
            Self::Authenticate
            | Self::TokenRefresh
            | Self::LinkConsent
            | Self::LinkComplete
            | Self::SessionHijack
            | Self::KeyRotation
            | Self::KeyLeaked
            | Self::DeviceNew
            | Self::DevicesExceeded
            | Self::PersonAdd => "auth",
            Self::Tool(_)
            | Self::SessionOpen
            | Self::SessionRotate
            | Self::SessionImport
            | Self::ListeningPoll
            | Self::ListeningImport
            | Self::CacheRefresh
            | Self::CachePrefetch
            | Self::AuditRead
            | Self::AuditExport
            | Self::PrivacyConfirm
            | Self::PrivacyDownload
            | Self::ErasureStep
            | Self::TenantErasure
            | Self::SessionExpire
            | Self::Retention
            | Self::Restore
            | Self::Backup
            | Self::BackupRemove
            | Self::AdminRead
            | Self::AdminWrite => "data_access",
        }
    }
}

/// Whether the tool is about what is kept of people, and not about their music.
const fn opens_records(tool: ToolName) -> bool {
    matches!(tool, ToolName::AuditQuery | ToolName::ExportMyData | ToolName::DeleteMyData)
}

/// When a record must be in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditClass {
    /// Class A: an opening record before the work and a closing one after it. No record, no effect.
    Synchronous,
    /// Class B: one record, written in a batch within the flush interval after the work.
    Deferred,
}

impl AuditClass {
    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Synchronous => "synchronous",
            Self::Deferred => "deferred",
        }
    }
}

/// Why the person's data was touched (SEED-T §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is its own text")]
pub enum GdprCategory {
    Necessary,
    Analytics,
    Marketing,
    Preferences,
}

impl GdprCategory {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Necessary => "necessary",
            Self::Analytics => "analytics",
            Self::Marketing => "marketing",
            Self::Preferences => "preferences",
        }
    }
}
