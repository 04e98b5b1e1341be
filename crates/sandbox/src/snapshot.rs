//! The state file: one JSON document, replaced as a whole after each write.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::model::Model;

/// The model in `file`, or an empty one if there is no file yet. A file that cannot be read is set aside, loudly,
/// rather than overwritten.
pub(crate) fn load(file: &Path) -> Model {
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Model::default(),
        Err(error) => {
            tracing::error!(file = %file.display(), %error, "the sandbox's state file cannot be read; starting empty");
            return Model::default();
        }
    };
    match serde_json::from_slice::<Model>(&text) {
        Ok(mut model) => {
            model.upgrade();
            model
        }
        Err(error) => {
            let aside = beside(file, "unreadable");
            let moved = fs::rename(file, &aside);
            tracing::error!(
                file = %file.display(), aside = %aside.display(), %error, moved = moved.is_ok(),
                "the sandbox's state file is not its format; it is set aside and the sandbox starts empty"
            );
            Model::default()
        }
    }
}

/// Replaces `file` by `model`: readers see the old document or the new one, never half of one.
pub(crate) fn save(file: &Path, model: &Model) -> io::Result<()> {
    let text = serde_json::to_vec(model)?;
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let draft = beside(file, "draft");
    // It holds client secrets and refresh tokens, if only of an invented service.
    let mut written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    written.write_all(&text)?;
    written.sync_data()?;
    fs::rename(&draft, file)
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{suffix}"));
    file.with_file_name(name)
}
