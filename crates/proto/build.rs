//! Generates the types. The compiler of the files is a library, so that nobody has to install one.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

const ROOT: &str = "../../proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={ROOT}");
    prost_build::Config::new().compile_fds(protox::compile(files("archive/v1")?, [ROOT])?)?;
    if env::var_os("CARGO_FEATURE_ADMIN").is_some() {
        admin()?;
    }
    Ok(())
}

/// The admin API, and its descriptors with their comments: what describes it to programs and people is made of them.
fn admin() -> Result<(), Box<dyn Error>> {
    let mut compiler = protox::Compiler::new([ROOT])?;
    compiler.include_imports(true).include_source_info(true).open_files(files("admin/v1")?)?;
    let descriptors = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?).join("admin.binpb");
    fs::write(descriptors, compiler.encode_file_descriptor_set())?;
    // Maps in order: what is equal has equal bytes, which etags and repeated requests are compared by.
    let generated = tonic_prost_build::configure().build_transport(false).btree_map(".");
    Ok(generated.compile_fds(compiler.file_descriptor_set())?)
}

fn files(package: &str) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let package = Path::new(ROOT).join("stagedoor").join(package);
    let mut files = fs::read_dir(package)?
        .map(|entry| Ok(Path::new(&entry?.path()).strip_prefix(ROOT)?.to_owned()))
        .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    files.sort();
    Ok(files)
}
