//! What whoever imports a file should know about how it was read, each a sentence without its full stop.

use std::fmt;

use crate::versions::SchemaVersion;
use crate::zone::Zone;

/// A remark on a file that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// Times without a zone were read in this one.
    LocalTimes(Zone),
    /// Times without a zone were read as UTC, which is what that program writes.
    UtcTimes,
    /// A local time that occurs twice, because clocks were set back; the earlier one was taken.
    TwiceInZone(&'static str),
    /// A local time that does not occur, because clocks were set forward; the earlier reading was taken.
    NeverInZone(&'static str),
    /// A time that cannot be meant; it is taken for unknown.
    TimeNotUnderstood(&'static str),
    /// A time without a zone in a format that demands one; it is taken for unknown.
    TimeWithoutZone(&'static str),
    /// A country that is not two capital letters; it is left out.
    CountryNotUnderstood,
    /// A client secret, which is not imported.
    ClientSecretLeftOut,
    /// The whole file, or its tokens, were sealed and did open.
    Unsealed,
    /// The record was brought from one schema version to the next.
    Migrated(SchemaVersion, SchemaVersion),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LocalTimes(zone) => write!(f, "its times name no zone and were read as {zone}"),
            Self::UtcTimes => f.write_str("its times name no zone and were read as UTC"),
            Self::TwiceInZone(field) => {
                write!(f, "{field} occurs twice in that zone (clocks go back); the earlier was taken")
            }
            Self::NeverInZone(field) => {
                write!(
                    f,
                    "{field} does not occur in that zone (clocks go forward); the earlier reading was taken"
                )
            }
            Self::TimeNotUnderstood(field) => {
                write!(f, "{field} is no time that can be meant: taken for unknown")
            }
            Self::TimeWithoutZone(field) => {
                write!(f, "{field} names no zone, which its schema demands: taken for unknown")
            }
            Self::CountryNotUnderstood => f.write_str("its country is not two capital letters: left out"),
            Self::ClientSecretLeftOut => {
                f.write_str("it holds a client secret, which is not imported: the tenant's app has its own")
            }
            Self::Unsealed => f.write_str("it was sealed with Fernet and opened with the key file"),
            Self::Migrated(from, to) => write!(f, "brought from schema {from} to {to}"),
        }
    }
}
