//! The section `doctor`: what only an operator knows of the machines that are checked. When a figure is a reason to look
//! is the same everywhere, and in `domain::health`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What `stagedoor-keeper doctor` is to know of the machines.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DoctorConfig {
    /// Gibibytes that the database may take on its disk; with 0 its size is shown and not judged.
    #[schemars(range(max = 1_048_576))]
    pub database_gib: u64,
    /// Folders whose disks are checked, besides those of backups and checkpoints on this machine, such as
    /// `/var/lib/postgresql`.
    pub disks: Vec<PathBuf>,
}
