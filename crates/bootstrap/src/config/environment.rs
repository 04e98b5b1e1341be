//! The one place that reads the process's environment.

use std::path::PathBuf;

/// Every environment variable that is valid Unicode.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// One variable, if it is set, not empty and valid Unicode.
#[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The folders of `PATH`.
pub(crate) fn search_path() -> Vec<PathBuf> {
    variable("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

/// The user's folder, or `/` for an account that has none.
pub(crate) fn home_directory() -> PathBuf {
    variable("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

/// `$XDG_DATA_HOME` (XDG Base Directory Specification 0.8), which must be absolute to count.
pub(crate) fn data_home() -> Option<PathBuf> {
    variable("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute())
}
