//! Why a version was stored: a closed set with a text form.

use std::fmt;
use std::str::FromStr;

use stagedoor_domain::ToolName;

/// Why a version was stored. Its text form is what answers show: `before`, `playlist_add`, `undo of 3`, `elsewhere`,
/// `transfer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It was about to be changed, or was seen for the first time.
    Before,
    /// That tool changed it.
    After(ToolName),
    /// An undo made it hold what an earlier version held.
    Undo {
        /// The number of that version.
        to: u32,
    },
    /// Someone changed it past the gateway.
    Elsewhere,
    /// A transfer from another playlist.
    Transfer,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before => f.write_str("before"),
            Self::After(tool) => f.write_str(tool.as_str()),
            Self::Undo { to } => write!(f, "undo of {to}"),
            Self::Elsewhere => f.write_str("elsewhere"),
            Self::Transfer => f.write_str("transfer"),
        }
    }
}

impl FromStr for Cause {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "before" => Ok(Self::Before),
            "elsewhere" => Ok(Self::Elsewhere),
            "transfer" => Ok(Self::Transfer),
            text => match text.strip_prefix("undo of ") {
                Some(to) => Ok(Self::Undo { to: to.parse().map_err(drop)? }),
                None => Ok(Self::After(text.parse().map_err(drop)?)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_read_as_it_is_written() {
        let fixed = [Cause::Before, Cause::Elsewhere, Cause::Transfer, Cause::Undo { to: 17 }];
        let tools = ToolName::ALL.iter().map(|tool| Cause::After(*tool));
        for cause in fixed.into_iter().chain(tools) {
            assert_eq!(cause.to_string().parse(), Ok(cause));
        }
        for text in ["", "undo of", "undo of -1", "afterwards"] {
            assert_eq!(text.parse::<Cause>(), Err(()), "{text:?}");
        }
    }
}
