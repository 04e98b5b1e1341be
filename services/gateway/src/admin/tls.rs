//! TLS of the port of operators: for gRPC (h2) and for JSON over HTTP/1.1 alike, with client certificates where they are
//! wanted.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use stagedoor_bootstrap::config::AdminConfig;
use stagedoor_bootstrap::tls;

/// What is offered by ALPN (RFC 7301), the better first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// How connections are secured; `None` without a certificate. Files are read before anything is served, so that a wrong one
/// is said at once.
///
/// # Errors
/// If a file cannot be read or holds something else, or if certificate and key do not fit.
pub(super) fn settings(config: &AdminConfig) -> anyhow::Result<Option<Arc<ServerConfig>>> {
    let (Some(certificate), Some(key)) = (&config.certificate_file, &config.private_key_file) else {
        return Ok(None);
    };
    tls::install_provider();
    let builder = ServerConfig::builder();
    let builder = match &config.client_authority_file {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates("client_authority_file", file)? {
                roots
                    .add(authority)
                    .context("admin.client_authority_file: a certificate is no authority's")?;
            }
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build()?)
        }
    };
    let chain = certificates("certificate_file", certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&read("private_key_file", key)?).map_err(|error| {
        anyhow::anyhow!("admin.private_key_file: {} has no private key: {error}", key.display())
    })?;
    let mut secured =
        builder.with_single_cert(chain, key).context("admin: certificate and key do not fit")?;
    secured.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(Some(Arc::new(secured)))
}

fn certificates(key: &str, file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let pem = read(key, file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| anyhow::anyhow!("admin.{key}: {}: {error}", file.display()))?;
    anyhow::ensure!(!found.is_empty(), "admin.{key}: {} has no certificate", file.display());
    Ok(found)
}

fn read(key: &str, file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("admin.{key}: {} cannot be read", file.display()))
}
