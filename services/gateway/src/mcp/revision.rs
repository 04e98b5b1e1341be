//! The protocol revisions that one endpoint speaks, and what differs between their two eras.

/// A revision of the Model Context Protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// 2025-03-26; also what a request without a version header is taken for (2025-06-18, transports).
    V20250326,
    /// 2025-06-18.
    V20250618,
    /// 2025-11-25.
    V20251125,
    /// 2026-07-28: stateless, no handshake.
    V20260728,
}

impl Revision {
    /// Newest first, as `server/discover` and error data list them.
    pub const SUPPORTED: [Self; 4] = [Self::V20260728, Self::V20251125, Self::V20250618, Self::V20250326];

    /// The newest revision that has an `initialize` handshake.
    pub const NEWEST_WITH_HANDSHAKE: Self = Self::V20251125;

    /// The text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V20250326 => "2025-03-26",
            Self::V20250618 => "2025-06-18",
            Self::V20251125 => "2025-11-25",
            Self::V20260728 => "2026-07-28",
        }
    }

    /// The revision with that text form.
    pub fn parse(text: &str) -> Option<Self> {
        Self::SUPPORTED.into_iter().find(|revision| revision.as_str() == text)
    }

    /// Whether requests carry their own version and capabilities instead of a handshake.
    pub fn is_modern(self) -> bool {
        self >= Self::V20260728
    }
}
