//! Generates the types. The compiler of the files is a library, so that nobody has to install one.

use std::error::Error;

const FILES: &[&str] = &["../../proto/stagedoor/archive/v1/archive.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=../../proto");
    let descriptors = protox::compile(FILES, ["../../proto"])?;
    Ok(prost_build::Config::new().compile_fds(descriptors)?)
}
