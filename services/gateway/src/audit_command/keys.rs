//! `stagedoor audit keys`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use stagedoor_storage::signing_keys;

use super::{TenantArguments, print};

/// Whose keys.
#[derive(Debug, Args)]
pub struct KeysArguments {
    #[command(flatten)]
    tenant: TenantArguments,
}

pub(super) async fn run(arguments: KeysArguments) -> anyhow::Result<ExitCode> {
    let read = async |_: &_, operator: &crate::operator::Operator, context: &_| {
        Ok(operator.store.with_tenant(context, async |tx| signing_keys::public_keys(tx).await).await?)
    };
    let keys = Box::pin(arguments.tenant.run(read)).await?;
    let keys: Vec<_> = keys.iter().map(|key| key.key.to_jwk()).collect();
    print(&format!("{:#}\n", json!({ "keys": keys })))?;
    Ok(ExitCode::SUCCESS)
}
