//! Key files on disk: a mounted Secret's folder, or one file. Reads and names what is wrong; keeps nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;
use stagedoor_crypto::KeyLoadError;

use super::state::{self, KeyVersion};

/// Longer than any key file is.
const LONGEST: u64 = 4096;

/// Where key files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// One file, which is version 1.
    File(PathBuf),
    /// A folder with one file for each version (`1`, `v2`, `3.key`, `4.pending`).
    Directory(PathBuf),
}

/// Why key files were not taken. Shows no key bytes.
#[derive(Debug, thiserror::Error)]
pub enum KeyFilesError {
    /// There is no such file or folder, or the folder has no key in it.
    #[error("{0} holds no key: expected files named by version (1, v2, 3.key), each 32 bytes in base64")]
    Missing(PathBuf),
    /// There are keys, all of them pending or retired.
    #[error("{0} holds no key that may wrap: each is pending or retired")]
    NoneWraps(PathBuf),
    /// A file or folder is there and cannot be read.
    #[error("{path} cannot be read")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is no key.
    #[error("{path} is no key")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Why.
        source: KeyLoadError,
    },
    /// A file is far too long to be what it should be.
    #[error("{0} is longer than 4 KiB")]
    TooLong(PathBuf),
}

impl KeySource {
    /// Every key by version; at least one of them wraps.
    pub(super) fn read(&self) -> Result<BTreeMap<u32, KeyVersion>, KeyFilesError> {
        let mut keys = BTreeMap::new();
        for (name, path) in self.files()? {
            let Some(content) = read_file(&path)? else { continue };
            let damaged = |source| KeyFilesError::Damaged { path: path.clone(), source };
            state::add(&mut keys, &name, &content).map_err(damaged)?;
        }
        match (keys.is_empty(), state::wrapping(&keys)) {
            (true, _) => Err(KeyFilesError::Missing(self.path().to_owned())),
            (false, None) => Err(KeyFilesError::NoneWraps(self.path().to_owned())),
            (false, Some(_)) => Ok(keys),
        }
    }

    fn files(&self) -> Result<Vec<(String, PathBuf)>, KeyFilesError> {
        match self {
            Self::File(path) => Ok(vec![("1".to_owned(), path.clone())]),
            Self::Directory(path) => list(path),
        }
    }

    fn path(&self) -> &Path {
        let (Self::File(path) | Self::Directory(path)) = self;
        path
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().display().fmt(f)
    }
}

/// The files of a folder in the order of their names. What starts with a dot is left out: the links that the kubelet
/// swaps (`..data`) do.
pub(crate) fn list(folder: &Path) -> Result<Vec<(String, PathBuf)>, KeyFilesError> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => KeyFilesError::Missing(folder.to_owned()),
        _ => KeyFilesError::Unreadable { path: folder.to_owned(), source },
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with('.') && !path.is_dir() {
            files.push((name, path));
        }
    }
    files.sort();
    Ok(files)
}

/// A file's content; none if there is no such file, because it may go while the folder is read.
pub(crate) fn read_file(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, KeyFilesError> {
    let read = || {
        let length = std::fs::metadata(path)?.len();
        if length > LONGEST {
            Ok(None)
        } else {
            std::fs::read(path).map(|content| Some(Zeroizing::new(content)))
        }
    };
    match read() {
        Ok(Some(content)) => Ok(Some(content)),
        Ok(None) => Err(KeyFilesError::TooLong(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KeyFilesError::Unreadable { path: path.to_owned(), source }),
    }
}
