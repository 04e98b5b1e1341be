//! Receives a file that an RPC hands out in pieces. It appears under its name when it is whole; half an export is none.

use std::io::{self, Write};
use std::path::Path;

use clap::ArgMatches;
use prost_reflect::{DynamicMessage, Value};
use tempfile::NamedTempFile;

use crate::catalogue::RpcCommand;
use crate::client::Client;
use crate::error::CtlError;
use crate::rpc_arguments::TO_FILE;
use crate::surroundings::Surroundings;

pub(crate) async fn run(
    client: &Client,
    rpc: &RpcCommand,
    request: DynamicMessage,
    matches: &ArgMatches,
    surroundings: &mut Surroundings,
) -> Result<(), CtlError> {
    let path = matches.get_one::<String>(TO_FILE).map_or("-", String::as_str);
    let mut target = Target::open(path)?;
    let mut pieces = client.stream(rpc, request).await?;
    let mut length: u64 = 0;
    while let Some(piece) = pieces.message().await.map_err(|status| client.report(rpc, &status))? {
        for (_, value) in piece.fields() {
            if let Value::Bytes(bytes) = value {
                target.write(bytes, surroundings)?;
                length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            }
        }
    }
    target.finish(surroundings)?;
    if path != "-" {
        surroundings.say(&format!("{path}: {length} bytes."));
    }
    Ok(())
}

enum Target<'path> {
    Output,
    File { path: &'path Path, file: NamedTempFile },
}

impl<'path> Target<'path> {
    fn open(path: &'path str) -> Result<Self, CtlError> {
        if path == "-" {
            return Ok(Self::Output);
        }
        let path = Path::new(path);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = NamedTempFile::new_in(folder).map_err(CtlError::file(folder))?;
        Ok(Self::File { path, file })
    }

    fn write(&mut self, bytes: &[u8], surroundings: &mut Surroundings) -> Result<(), CtlError> {
        match self {
            Self::Output => surroundings.output.write_all(bytes).map_err(CtlError::Stream),
            Self::File { path, file } => file.write_all(bytes).map_err(CtlError::file(*path)),
        }
    }

    fn finish(self, surroundings: &mut Surroundings) -> Result<(), CtlError> {
        match self {
            Self::Output => surroundings.output.flush().map_err(CtlError::Stream),
            Self::File { path, file } => {
                let finish = || -> io::Result<()> {
                    file.as_file().sync_all()?;
                    file.persist(path).map_err(|error| error.error)?;
                    Ok(())
                };
                finish().map_err(CtlError::file(path))
            }
        }
    }
}
