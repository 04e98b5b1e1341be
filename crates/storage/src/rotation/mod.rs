//! Replacing keys while they are in use (SECURITY §1): the states of a tenant's rotation, and every place where something
//! is sealed. What is done in which order, and when it is waited, is the keeper's.
//!
//! A key is `pending`, then `active` (it seals), then `decrypt_only` (it opens), then `destroyed`. Each step is a
//! comparison and a change in one transaction, so that it can be done by several at once, cut off, and done again.

mod compromised;
mod peppers;
mod places;
mod record;
mod resealing;
mod retiring;
mod rewrapping;
mod signing;
mod switching;
mod values;

pub use compromised::{end_copies, end_grant, known_grants};
pub use peppers::{KeysUnder, PepperUse, pepper_uses, revoke_keys_under};
pub use places::{NOT_SEALED, PLACES, Place};
pub use record::{Rotation, RotationCounts, RotationState, begin, list, note};
pub use resealing::{Cursor, Proved, Resealed, prove_keys, prove_page, reseal_page, stale_keys};
pub use retiring::{Patience, Retired, last_switch, retire, settled_in, silent_replicas};
pub use rewrapping::{Rewrapped, not_wrapped_by, rewrap};
pub use signing::{SigningSwitch, destroy_signing_keys, signing_keys_due, switch_signing_key};
pub use switching::{Switched, due, switch};

/// A layer of keys, from the outermost on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layer {
    /// Key-encryption keys, which wrap tenants' keys.
    KeyEncryption,
    /// Tenants' keys, which wrap people's keys and seal what is the tenant's.
    Tenant,
    /// People's keys, which seal what is theirs.
    Subject,
    /// The keys that a tenant signs with.
    Signing,
    /// What keys of agents and of the admin API are digested under.
    Pepper,
}

impl Layer {
    /// Every one, in the order in which they are rotated.
    pub const ALL: [Self; 5] =
        [Self::KeyEncryption, Self::Tenant, Self::Subject, Self::Signing, Self::Pepper];

    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyEncryption => "kek",
            Self::Tenant => "tenant",
            Self::Subject => "subject",
            Self::Signing => "signing",
            Self::Pepper => "pepper",
        }
    }
}

/// The two layers of data keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataLayer {
    /// The tenant's own key.
    Tenant,
    /// Those of its people.
    Subjects,
}

impl DataLayer {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Tenant, Self::Subjects];

    /// The number that tables hold.
    const fn purpose(self) -> i16 {
        match self {
            Self::Tenant => 1,
            Self::Subjects => 2,
        }
    }

    /// The columns whose blind indexes a key hands on to the next: codes that are compared for longer than a key seals.
    /// Those of the audit trail change each month anyway, and with the key.
    const fn indexes(self) -> &'static [&'static str] {
        match self {
            Self::Tenant => &["session_devices.fingerprint", "session_imports.source_digest"],
            Self::Subjects => &["playlist_versions.fingerprint", "playlist_chunks.chunk_id"],
        }
    }
}
