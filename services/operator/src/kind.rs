//! What the three kinds of objects have in common, and how working on one may end.

use std::fmt::Debug;
use std::future::Future;
use std::hash::Hash;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::admin::AdminFailure;
use crate::context::Context;
use crate::resources::Condition;

/// The kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KindName {
    /// `Tenant`.
    Tenant,
    /// `ProviderApp`.
    ProviderApp,
    /// `AgentKey`.
    AgentKey,
}

impl KindName {
    /// The kind as Kubernetes names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "Tenant",
            Self::ProviderApp => "ProviderApp",
            Self::AgentKey => "AgentKey",
        }
    }
}

/// An object is as its spec says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Whether it can be used.
    pub ready: bool,
    /// Why, in one word.
    pub reason: &'static str,
    /// The same for people.
    pub message: String,
    /// When there is something to do although nothing changes; sooner than the next look that is due anyway.
    pub again_after: Option<Duration>,
}

impl Settled {
    /// It can be used.
    pub fn ready(reason: &'static str, message: impl Into<String>) -> Self {
        Self { ready: true, reason, message: message.into(), again_after: None }
    }
}

/// How far an object that is being deleted has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cleanup {
    /// It may go.
    Done,
    /// Something outside has to end first.
    Pending {
        /// Why, in one word.
        reason: &'static str,
        /// The same for people.
        message: String,
        /// When to look again.
        again_after: Duration,
    },
}

/// Why an object is not as its spec says.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// A call of the admin API was not done.
    #[error(transparent)]
    Admin(#[from] AdminFailure),
    /// The API server of Kubernetes refused or is away.
    #[error("the API server of Kubernetes: {}", told(.0))]
    Kubernetes(#[from] kube::Error),
    /// Something has to be there, or to be different, first.
    #[error("{message}")]
    Waiting {
        /// Which, in one word.
        reason: &'static str,
        /// The same for people: the field, and what to do.
        message: String,
    },
}

impl ReconcileError {
    /// Something has to be there, or to be different, first.
    pub fn waiting(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Waiting { reason, message: message.into() }
    }

    /// The word for it in a condition.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Admin(failure) => failure.word(),
            Self::Kubernetes(error) if is_conflict(error) => "Conflict",
            Self::Kubernetes(_) => "KubernetesApiFailed",
            Self::Waiting { reason, .. } => reason,
        }
    }

    /// Whether someone was quicker, so that looking again at once is all there is to do.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Admin(failure) => failure.is_conflict(),
            Self::Kubernetes(error) => is_conflict(error),
            Self::Waiting { .. } => false,
        }
    }
}

/// What the API server answered, or why it could not be asked.
fn told(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.message.is_empty() => {
            format!("{} ({})", status.reason, status.code)
        }
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        other => other.to_string(),
    }
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// What all statuses have.
pub trait ObjectStatus: Debug + Clone + Default + PartialEq + Serialize + Send + Sync {
    /// The conditions.
    fn conditions(&self) -> &[Condition];
    /// The conditions, to be changed.
    fn conditions_mut(&mut self) -> &mut Vec<Condition>;
    /// The installation whose operator acts on the object, if one does.
    fn installation(&self) -> Option<&str>;
    /// The same, to be changed.
    fn installation_mut(&mut self) -> &mut Option<String>;
    /// The generation that was last brought about, to be changed.
    fn observed_generation_mut(&mut self) -> &mut Option<i64>;
}

/// A kind of object, and how one is brought about. Both ways start from what is there, not from what was done before: they may
/// be cut off anywhere and begun again.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Debug
    + Clone
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// Its name.
    const NAME: KindName;
    /// Its status.
    type Status: ObjectStatus;

    /// Its status as it was last seen.
    fn status(&self) -> Option<&Self::Status>;

    /// Whether the object, where no operator acts on it yet, is meant for another installation's.
    fn is_meant_for_another(&self, context: &Context) -> bool;

    /// Puts into `status` what the clean-up has to know of anything that `apply` may begin. Asks nobody; the status is written
    /// before `apply` begins.
    ///
    /// # Errors
    /// What has to be there first.
    fn prepare(&self, context: &Context, status: &mut Self::Status) -> Result<(), ReconcileError>;

    /// Brings the object about. What is learned on the way is kept in `status`, also where it fails.
    fn apply(
        &self,
        context: &Context,
        status: &mut Self::Status,
    ) -> impl Future<Output = Result<Settled, ReconcileError>> + Send;

    /// Does what has to be done before the object may go.
    fn clean_up(
        &self,
        context: &Context,
        status: &mut Self::Status,
    ) -> impl Future<Output = Result<Cleanup, ReconcileError>> + Send;
}

macro_rules! statuses {
    ($($status:ident),+) => {$(
        impl ObjectStatus for crate::resources::$status {
            fn conditions(&self) -> &[Condition] {
                &self.conditions
            }

            fn conditions_mut(&mut self) -> &mut Vec<Condition> {
                &mut self.conditions
            }

            fn installation(&self) -> Option<&str> {
                self.installation.as_deref()
            }

            fn installation_mut(&mut self) -> &mut Option<String> {
                &mut self.installation
            }

            fn observed_generation_mut(&mut self) -> &mut Option<i64> {
                &mut self.observed_generation
            }
        }
    )+};
}
statuses!(TenantStatus, ProviderAppStatus, AgentKeyStatus);
