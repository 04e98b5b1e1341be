//! Word of what must not be kept any longer, for whoever keeps it.

use std::fmt;
use std::sync::Arc;

use stagedoor_domain::Provider;

use super::{Change, DataScope, Person};

/// What must not be kept any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    /// What the person's account at the provider brought.
    Account(Person, Provider),
    /// What any person's account brought: it may have been said while nobody listened.
    Unheard,
}

impl Gone {
    /// What goes with a change.
    pub(super) fn with(person: Person, change: Change) -> Option<Self> {
        match change {
            Change::Of(provider, DataScope::Account) => Some(Self::Account(person, provider)),
            Change::Of(..) | Change::Preferences => None,
        }
    }
}

/// Whoever keeps it.
#[derive(Clone)]
pub(crate) struct Forget(Arc<dyn Fn(Gone) + Send + Sync>);

impl Forget {
    pub(crate) fn new(forget: impl Fn(Gone) + Send + Sync + 'static) -> Self {
        Self(Arc::new(forget))
    }

    pub(super) fn tell(&self, gone: Gone) {
        (self.0)(gone);
    }
}

impl fmt::Debug for Forget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Forget")
    }
}
