//! Where an account can play.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::text::hex;

/// A device as Spotify Connect knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// 40 hexadecimal digits.
    pub id: String,
    /// As the person calls it.
    pub name: String,
    /// `Computer`, `Smartphone`, `Speaker`.
    #[serde(rename = "type")]
    pub kind: String,
    /// 0–100; `None` where it cannot be told or set.
    pub volume_percent: Option<u8>,
    /// Whether it takes no commands from the API.
    #[serde(default)]
    pub is_restricted: bool,
}

/// The devices of every account: a computer and a phone, whose volume is its own affair.
pub(super) fn of(account: &str) -> Vec<Device> {
    let device = |name: &str, kind: &str, volume_percent| Device {
        id: hex(&Sha256::digest(format!("{account} {kind}"))[..20]),
        name: name.to_owned(),
        kind: kind.to_owned(),
        volume_percent,
        is_restricted: false,
    };
    vec![device("Study", "Computer", Some(60)), device("Pocket", "Smartphone", None)]
}

/// A number that the account decides.
pub(super) fn salt(account: &str) -> u64 {
    let digest = Sha256::digest(account);
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
