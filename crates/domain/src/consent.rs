//! What a person can consent to (GDPR Art. 6(1)(a), Art. 7). What a consent says and how it is kept is for storage.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::scope::closed_set;

closed_set!(
    /// Why a person's data would be processed beyond what the person asks for.
    ConsentPurpose, ConsentPurposeSet, "A set of purposes." {
        Analytics = "analytics",
        Marketing = "marketing",
    }
);
