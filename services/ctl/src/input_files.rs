//! Files that the command line names. What is wrong with one is told with the flag that names it.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value as Json;

use crate::error::CtlError;
use crate::rpc_arguments::FROM_FILE;
use crate::surroundings::Surroundings;

/// How a block of a PEM file begins that holds a certificate (RFC 7468 §5).
const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// The contents of the file of `--from-file`: JSON if its name says so, else YAML, of which JSON is a part.
pub(crate) fn read_structured(path: &str, surroundings: &mut Surroundings) -> Result<Json, CtlError> {
    let text = read_text("--from-file", path, surroundings)?;
    let is_json = Path::new(path).extension().is_some_and(|extension| extension == "json");
    let read = if is_json {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    } else {
        serde_saphyr::from_str(&text).map_err(|error| error.to_string())
    };
    read.map_err(|error| CtlError::usage(format!("--{FROM_FILE}: {path} cannot be read: {error}")))
}

/// A secret from a file, without the line's end that editors put there. `named_by` is the flag or variable.
pub(crate) fn read_secret(
    named_by: &str,
    path: &str,
    surroundings: &mut Surroundings,
) -> Result<String, CtlError> {
    let text = read_text(named_by, path, surroundings)?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(CtlError::usage(format!("{named_by}: {path} is empty")));
    }
    Ok(secret.to_owned())
}

/// The certificates of a PEM file; there has to be one.
pub(crate) fn read_certificates(named_by: &str, path: &Path) -> Result<Vec<u8>, CtlError> {
    let pem = fs::read(path).map_err(CtlError::file_of(named_by, path))?;
    if pem.windows(CERTIFICATE.len()).any(|window| window == CERTIFICATE) {
        return Ok(pem);
    }
    Err(CtlError::usage(format!(
        "{named_by}: there is no certificate in {}; wanted: PEM, -----BEGIN CERTIFICATE-----",
        path.display()
    )))
}

/// Warns of a file with a key in it that others can read. Pipes and the like have nobody else's rights.
pub(crate) fn warn_if_others_can_read(path: &Path, surroundings: &mut Surroundings) {
    let Ok(metadata) = fs::metadata(path) else { return };
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        let path = path.display();
        surroundings
            .say(&format!("stagedoorctl: warning: others can read the key in {path}: `chmod 600 {path}`"));
    }
}

fn read_text(named_by: &str, path: &str, surroundings: &mut Surroundings) -> Result<String, CtlError> {
    if path != "-" {
        return fs::read_to_string(path).map_err(CtlError::file_of(named_by, path));
    }
    let mut text = String::new();
    surroundings.input.read_to_string(&mut text).map_err(CtlError::Stream)?;
    Ok(text)
}
