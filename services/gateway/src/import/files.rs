//! Opening source files, for reading and nothing else, and the key files beside them.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use stagedoor_crypto::fernet::{FernetError, FernetKey};
use stagedoor_domain::text::clean;
use stagedoor_legacy_sessions::{Found, MAX_BYTES, ReadError, Reading, read};
use zeroize::Zeroizing;

/// A Fernet key is 44 letters.
const KEY_BYTES: u64 = 4_096;
const ANYONE_READS: u32 = 0o004;
const GROUP_READS: u32 = 0o040;

/// The content of one source file.
pub(super) struct SourceFile {
    path: PathBuf,
    mode: u32,
    content: Zeroizing<Vec<u8>>,
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("it is a folder: name the files in it, such as {0}/*")]
    Folder(String),
    #[error("there is no such file; if it is meant as a pattern, no file fits it")]
    Pattern,
    #[error("there is no such file")]
    Missing,
    #[error("it is not an ordinary file")]
    Special,
    #[error("it is longer than {MAX_BYTES} bytes, which no session file is")]
    TooLarge,
    #[error("it cannot be read: {0}")]
    Unreadable(std::io::Error),
    #[error("the key file {path} cannot be used: {problem}")]
    KeyFile { path: String, problem: String },
    #[error(transparent)]
    Content(#[from] ReadError),
    #[error("it is sealed with Fernet and does not open with {key}: {source}")]
    Sealed { key: String, source: FernetError },
}

impl SourceFile {
    /// Reads a file, through links too.
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let (metadata, content) = content_of(path, MAX_BYTES as u64)?;
        Ok(Self { path: path.to_owned(), mode: metadata.permissions().mode(), content })
    }

    /// What its permissions are worth a word for.
    pub(super) fn warnings(&self) -> Vec<String> {
        too_open("the file", self.mode).into_iter().collect()
    }

    /// What the file holds. A key is looked for only if it is needed: `key_file`, or one beside the file.
    pub(super) fn read(
        &self,
        reading: &Reading<'_>,
        key_file: Option<&Path>,
        warnings: &mut Vec<String>,
    ) -> Result<Found, FileError> {
        match read(&self.content, reading) {
            Err(ReadError::KeyNeeded) => {}
            other => return Ok(other?),
        }
        let Some(path) = key_file.map(Path::to_owned).or_else(|| self.key_beside()) else {
            return Err(ReadError::KeyNeeded.into());
        };
        let shown = shown(&path);
        let unusable = |problem: String| FileError::KeyFile { path: shown.clone(), problem };
        let (metadata, text) = content_of(&path, KEY_BYTES).map_err(|error| unusable(error.to_string()))?;
        let key = FernetKey::parse(&text).map_err(|error| unusable(error.to_string()))?;
        warnings.extend(too_open("its key file", metadata.permissions().mode()));
        match read(&self.content, &Reading { key: Some(&key), ..*reading }) {
            Err(ReadError::Sealed(source)) => Err(FileError::Sealed { key: shown, source }),
            other => Ok(other?),
        }
    }

    /// `session.enc` has its key in `session.key`.
    fn key_beside(&self) -> Option<PathBuf> {
        let candidates = [self.path.with_extension("key"), self.path.with_file_name("session.key")];
        candidates.into_iter().find(|path| *path != self.path && path.is_file())
    }
}

/// A path as it is printed: what a terminal would act on, or would hide, is escaped.
pub(super) fn shown(path: &Path) -> String {
    let mut text = String::new();
    for character in path.to_string_lossy().chars() {
        let alone = character.to_string();
        if character == ' ' || clean(&alone, 1) == alone {
            text.push(character);
        } else {
            text.extend(character.escape_unicode());
        }
    }
    text
}

/// Looks before it opens: opening a pipe would wait for a writer.
fn content_of(path: &Path, limit: u64) -> Result<(Metadata, Zeroizing<Vec<u8>>), FileError> {
    let metadata = std::fs::metadata(path).map_err(|error| missing(path, error))?;
    if metadata.is_dir() {
        return Err(FileError::Folder(shown(path).trim_end_matches('/').to_owned()));
    }
    if !metadata.is_file() {
        return Err(FileError::Special);
    }
    let file = File::open(path).map_err(FileError::Unreadable)?;
    let mut content = Zeroizing::new(Vec::new());
    file.take(limit + 1).read_to_end(&mut content).map_err(FileError::Unreadable)?;
    if content.len() as u64 > limit { Err(FileError::TooLarge) } else { Ok((metadata, content)) }
}

fn missing(path: &Path, error: std::io::Error) -> FileError {
    if error.kind() != std::io::ErrorKind::NotFound {
        return FileError::Unreadable(error);
    }
    let is_pattern = path.to_string_lossy().contains(['*', '?', '[']);
    if is_pattern { FileError::Pattern } else { FileError::Missing }
}

fn too_open(what: &str, mode: u32) -> Option<String> {
    let who = match mode {
        mode if mode & ANYONE_READS != 0 => "everyone on this machine",
        mode if mode & GROUP_READS != 0 => "its whole group",
        _ => return None,
    };
    Some(format!("{who} may read {what}: remove it, or restrict it with chmod 600, once it is imported"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(path: &Path) -> String {
        match SourceFile::open(path) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{} was read", path.display()),
        }
    }

    #[test]
    fn what_is_no_ordinary_file_is_explained() {
        let folder = tempfile::tempdir().unwrap();
        assert!(error(folder.path()).contains("name the files in it"));
        assert!(error(&folder.path().join("none.json")).ends_with("no such file"));
        assert!(error(&folder.path().join("*.json")).contains("pattern"));
        assert!(error(Path::new("/dev/null")).contains("ordinary"));
        let large = folder.path().join("large");
        std::fs::write(&large, vec![b' '; MAX_BYTES + 1]).unwrap();
        assert!(error(&large).contains("1048576"));
    }

    #[test]
    fn a_path_does_nothing_to_the_terminal() {
        let shown = |text: &str| shown(Path::new(text));
        assert_eq!(shown("/home/Zoë/my session.json"), "/home/Zoë/my session.json");
        assert_eq!(shown("a\u{1b}[31m\nb\u{202e}c"), "a\\u{1b}[31m\\u{a}b\\u{202e}c");
        let folder = tempfile::tempdir().unwrap();
        let red = folder.path().join("\u{1b}[31mfolder");
        std::fs::create_dir(&red).unwrap();
        assert!(error(&red).contains("\\u{1b}[31mfolder/*"));
    }

    #[test]
    fn files_that_others_may_read_are_warned_of() {
        let said = |mode: u32| too_open("the file", mode).unwrap_or_default();
        assert!(said(0o100_644).starts_with("everyone"));
        assert!(said(0o100_640).starts_with("its whole group"));
        assert_eq!(said(0o100_600), "");
    }
}
