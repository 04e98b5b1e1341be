//! Contexts: what is known of each installation, in one file that only its owner can read.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use crate::error::CtlError;
use crate::surroundings::Surroundings;

/// The file's contents.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one that is used without `--context`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// By name.
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, ContextEntry>,
}

/// One installation, or one way into it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ContextEntry {
    /// The address of the admin API.
    pub(crate) server: String,
    /// The tenant of commands that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<String>,
    /// The file that holds the admin key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key_file: Option<PathBuf>,
    /// The admin key itself.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub(crate) key: Option<SecretString>,
    /// Certificates to trust the server by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    /// A certificate to be known by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_certificate: Option<PathBuf>,
    /// Its private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_key: Option<PathBuf>,
    /// Whether the key may travel in the open.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) insecure: bool,
}

impl Contexts {
    /// Reads the file; nothing is known where there is none.
    pub(crate) fn load(path: &Path) -> Result<Self, CtlError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(CtlError::file(path)(error)),
        };
        let contexts: Self = serde_saphyr::from_str(&text)
            .map_err(|error| CtlError::usage(format!("{} cannot be read: {error}", path.display())))?;
        contexts.check_privacy(path)?;
        Ok(contexts)
    }

    /// A file with keys in it that others can read is refused, as ssh does.
    fn check_privacy(&self, path: &Path) -> Result<(), CtlError> {
        let mode = fs::metadata(path).map_err(CtlError::file(path))?.permissions().mode();
        let has_keys = self.contexts.values().any(|context| context.key.is_some());
        if has_keys && mode & 0o077 != 0 {
            let path = path.display();
            return Err(CtlError::usage(format!(
                "{path} holds keys and others can read it: `chmod 600 {path}`"
            )));
        }
        Ok(())
    }

    /// Writes the file whole or not at all, for its owner alone.
    pub(crate) fn save(&self, path: &Path) -> Result<(), CtlError> {
        let text = serde_saphyr::to_string(self).map_err(|error| CtlError::Answer(error.to_string()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(CtlError::file(folder))?;
        let write = || -> io::Result<()> {
            // A temporary file is its owner's alone from the start.
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.as_file().set_permissions(Permissions::from_mode(0o600))?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(CtlError::file(path))
    }

    /// The context of this name.
    pub(crate) fn get(&self, name: &str) -> Result<&ContextEntry, CtlError> {
        self.contexts.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
            CtlError::usage(format!("there is no context {name:?}; known: {known}"))
        })
    }
}

/// `$XDG_CONFIG_HOME/stagedoor/contexts.yaml`, or below `~/.config` (XDG Base Directory Specification).
pub(crate) fn path(surroundings: &Surroundings) -> Result<PathBuf, CtlError> {
    let configuration =
        surroundings.variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || surroundings.variable("HOME").map(|home| PathBuf::from(home).join(".config"));
    let folder = configuration.or_else(home);
    let folder = folder
        .ok_or_else(|| CtlError::usage("neither XDG_CONFIG_HOME nor HOME says where contexts are kept"))?;
    Ok(folder.join("stagedoor").join("contexts.yaml"))
}

impl fmt::Debug for ContextEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextEntry").field("server", &self.server).finish_non_exhaustive()
    }
}

#[expect(clippy::ref_option, reason = "serde hands the field over as it is")]
fn exposed<S: Serializer>(key: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    key.as_ref().map(ExposeSecret::expose_secret).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: Option<&str>) -> ContextEntry {
        ContextEntry {
            server: "https://admin.example.org".to_owned(),
            tenant: Some("acme".to_owned()),
            key_file: None,
            key: key.map(SecretString::from),
            ca_file: None,
            client_certificate: None,
            client_key: None,
            insecure: false,
        }
    }

    #[test]
    fn what_was_saved_is_loaded_and_is_the_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("contexts.yaml");
        let mut contexts = Contexts { current: Some("one".to_owned()), ..Contexts::default() };
        contexts.contexts.insert("one".to_owned(), entry(Some("sd_admin_x")));
        contexts.save(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let loaded = Contexts::load(&path).unwrap();
        assert_eq!(loaded.current.as_deref(), Some("one"));
        assert_eq!(loaded.get("one").unwrap().key.as_ref().unwrap().expose_secret(), "sd_admin_x");
        assert!(loaded.get("two").unwrap_err().to_string().contains("known: one"));
        assert!(!format!("{loaded:?}").contains("sd_admin_x"));
    }

    #[test]
    fn keys_that_others_can_read_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("contexts.yaml");
        let mut contexts = Contexts::default();
        contexts.contexts.insert("one".to_owned(), entry(None));
        contexts.save(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(Contexts::load(&path).is_ok(), "without keys there is nothing to hide");
        contexts.contexts.insert("two".to_owned(), entry(Some("sd_admin_x")));
        contexts.save(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(Contexts::load(&path).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn there_need_be_no_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Contexts::load(&folder.path().join("contexts.yaml")).unwrap().contexts.is_empty());
    }
}
