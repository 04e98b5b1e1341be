//! The process's TLS implementation: rustls over aws-lc-rs, chosen once for every client and server.

/// Makes it the process's default; without effect where one was chosen before.
pub fn install_provider() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
