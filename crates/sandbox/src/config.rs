//! How a sandbox is set up: seed, state file, token lifetime and rotation, clock and randomness.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;
use stagedoor_domain::{Clock, Entropy, SystemClock};

/// How a sandbox behaves. `SandboxConfig::default()` is seed 1, no state file, tokens of one hour that rotate.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// Decides the whole catalogue: names, ids, codes, gaps.
    pub seed: u64,
    /// Where apps, accounts, refresh tokens and playlists are kept across restarts; `None` keeps them in memory.
    pub state_file: Option<PathBuf>,
    /// A folder to write every exchange with both APIs to, a file for each sandbox; `None` writes none.
    pub record: Option<PathBuf>,
    /// How long an access token is accepted.
    pub token_lifetime: Duration,
    /// What a refresh does to the refresh token.
    pub rotation: RefreshRotation,
    /// The time that tokens expire by.
    pub clock: Arc<dyn Clock>,
    /// Where tokens and playlist ids come from.
    pub entropy: Arc<dyn Entropy>,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            state_file: None,
            record: None,
            token_lifetime: Duration::from_hours(1),
            rotation: RefreshRotation::Replace,
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(SystemEntropy),
        }
    }
}

/// What a refresh does to the refresh token it used (RFC 6749 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshRotation {
    /// The same token stays good and the answer carries none.
    Keep,
    /// The answer carries a new token and the old one is dead at once.
    Replace,
    /// The answer carries a new token and the old one is good for a while, so that a lost answer loses nothing.
    ReplaceWithGrace(Duration),
}

/// The machine's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        SysRng.try_fill_bytes(bytes).expect("the operating system's randomness does not fail once booted");
    }
}
