//! Migrations are built into the crate; a new file among them is a reason to build it again.
#![expect(clippy::print_stdout, reason = "cargo reads what is printed")]

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
