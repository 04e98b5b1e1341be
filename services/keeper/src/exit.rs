//! What a run tells whoever started it, as an exit code.

use std::process::ExitCode;

use stagedoor_storage::StoreError;

use crate::run::Ending;

/// The arguments or the configuration are wrong, or what was asked for is refused.
pub const USAGE: u8 = 2;

/// What is not configured, or not as it must be, for what has no run that could be refused.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub struct Misconfigured(pub anyhow::Error);

/// The code for what ended the keeper without a run: [`USAGE`] where trying again does not help, or else 1.
pub fn of(error: &anyhow::Error) -> u8 {
    let refused = matches!(
        error.downcast_ref::<StoreError>(),
        Some(StoreError::RefusedRole { .. } | StoreError::InvalidUrl(_))
    );
    if refused || error.is::<Misconfigured>() { USAGE } else { 1 }
}

impl Ending {
    /// 0 done (or someone else does it), 1 failed, 2 refused, 3 partly, 75 interrupted (`EX_TEMPFAIL` of `sysexits.h`:
    /// try again, it goes on).
    pub const fn code(self) -> u8 {
        match self {
            Self::Succeeded | Self::Elsewhere => 0,
            Self::Failed => 1,
            Self::Refused => USAGE,
            Self::Partly => 3,
            Self::Interrupted => 75,
        }
    }
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(ending.code())
    }
}
