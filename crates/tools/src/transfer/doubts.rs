//! What speaks against two tracks being the same recording, in words for a person. No I/O.

use super::titles::Version;

/// Something that keeps a track from being taken without asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Other words.
    Title,
    /// Another number: a part, a movement, a chapter.
    Numbers,
    /// By somebody else.
    Artist(Option<String>),
    /// One of them names the main artist together with another.
    Joined,
    /// Other guests or performers.
    Company,
    /// Only one of them is live, a remix, ….
    Version(Version),
    /// Both are live, remixes, …; `told` says whether both name which.
    Take { told: bool },
    /// Other words of the albums: one of them is live, karaoke, ….
    Album(Version),
    /// One is explicit.
    Explicit { wanted: bool },
    /// Lengths that differ; `small` if by 3 % at most.
    Length { apart_ms: u64, small: bool },
}

impl Doubt {
    /// Whether it is most likely something else.
    pub(super) const fn weighs(&self) -> bool {
        matches!(self, Self::Numbers | Self::Artist(_))
    }

    /// Whether it stays although both carry the same code of one recording.
    pub(super) const fn outweighs_the_code(&self) -> bool {
        match self {
            Self::Joined | Self::Company | Self::Album(_) | Self::Explicit { .. } => false,
            Self::Take { told } => *told,
            Self::Length { small, .. } => !*small,
            Self::Title | Self::Numbers | Self::Artist(_) | Self::Version(_) => true,
        }
    }

    /// The doubt in words.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Title => "another title".to_owned(),
            Self::Numbers => "another number in the title".to_owned(),
            Self::Artist(Some(name)) => format!("another artist ({name})"),
            Self::Artist(None) => "no artist is named".to_owned(),
            Self::Joined => "the artist alone in one, together with others in the other".to_owned(),
            Self::Company => "other guests or performers".to_owned(),
            Self::Version(version) => format!("another version ({})", version.word()),
            Self::Take { told: true } => "another take of that version".to_owned(),
            Self::Take { told: false } => "perhaps another take of that version".to_owned(),
            Self::Album(version) => format!("the albums differ ({})", version.word()),
            Self::Explicit { wanted: true } => "not the explicit one".to_owned(),
            Self::Explicit { wanted: false } => "the explicit one".to_owned(),
            Self::Length { apart_ms, .. } => format!("{} s apart in length", apart_ms.div_ceil(1_000)),
        }
    }

    /// All of them in words.
    pub(super) fn list<'a>(doubts: impl IntoIterator<Item = &'a Self>) -> String {
        doubts.into_iter().map(Self::words).collect::<Vec<_>>().join(", ")
    }
}
