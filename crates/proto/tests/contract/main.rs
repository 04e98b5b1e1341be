//! What callers rely on of the admin API: who may call what, as someone reviewed it, and that nothing of v1 goes or changes.

mod access;
mod shape;

use std::collections::BTreeSet;
use std::path::Path;

use prost_reflect::MethodDescriptor;
use stagedoor_proto::dynamic;

/// Every RPC of the API.
fn methods() -> impl Iterator<Item = MethodDescriptor> {
    dynamic::services().flat_map(|service| service.methods().collect::<Vec<_>>())
}

/// Service and RPC.
fn name(method: &MethodDescriptor) -> String {
    format!("{}/{}", method.parent_service().name(), method.name())
}

/// The committed lines of a file beside this one.
struct Committed {
    file: &'static str,
    lines: BTreeSet<String>,
}

impl Committed {
    fn read(file: &'static str) -> Self {
        let text = std::fs::read_to_string(path(file)).unwrap_or_default();
        Self { file, lines: text.lines().map(str::to_owned).collect() }
    }

    /// Writes `lines` in the place of what was committed, if that was asked for.
    fn write(&self, lines: &BTreeSet<String>) -> bool {
        let asked = asked_to_write();
        if asked && *lines != self.lines {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            std::fs::write(path(self.file), text).expect("the file can be written");
        }
        asked
    }

    fn missing_in<'a>(&'a self, lines: &'a BTreeSet<String>) -> Vec<&'a String> {
        self.lines.difference(lines).collect()
    }
}

fn path(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract").join(file)
}

/// How whoever runs the tests says that what is new, and was looked at, is to be committed.
fn asked_to_write() -> bool {
    std::env::var_os("STAGEDOOR_WRITE_CONTRACT").is_some()
}
