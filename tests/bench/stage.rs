//! What the servers under test need: PostgreSQL, Redis, the sandbox, key files, a tenant with a key. All private,
//! on loopback, gone afterwards.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use stagedoor_bootstrap::private_servers::{PrivatePostgres, PrivatePostgresOptions, PrivateRedis};
use stagedoor_bootstrap::tasks;
use stagedoor_crypto::SystemEntropy;
use stagedoor_domain::{Clock, Entropy, Provider};
use stagedoor_sandbox::{Sandbox, SandboxConfig};

use crate::tenant::{self, DATABASE};

/// Everything around the servers under test.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The database server.
    pub(crate) postgres: PrivatePostgres,
    /// Limits and shared cache.
    pub(crate) redis: PrivateRedis,
    /// The key-encryption key.
    pub(crate) key_file: PathBuf,
    /// The pepper of API keys.
    pub(crate) pepper_file: PathBuf,
    /// The tenant's key.
    pub(crate) api_key: String,
    /// What to search for: an artist with several tracks.
    pub(crate) query: String,
}

impl Stage {
    /// Starts everything in `folder`.
    pub(crate) async fn set(folder: &Path, clock: &Arc<dyn Clock>) -> anyhow::Result<Self> {
        let (key_file, pepper_file) = (folder.join("kek"), folder.join("pepper"));
        for file in [&key_file, &pepper_file] {
            let mut secret = [0_u8; 32];
            SystemEntropy.fill(&mut secret);
            fs::write(file, STANDARD.encode(secret))?;
        }
        let (postgres_folder, redis_folder) = (folder.join("postgres"), folder.join("redis"));
        fs::create_dir_all(&redis_folder)?;
        let postgres = PrivatePostgres::start(PrivatePostgresOptions::for_tests(postgres_folder)).await?;
        let redis = PrivateRedis::start(&redis_folder).await?;

        let sandbox = Sandbox::new(SandboxConfig { clock: Arc::clone(clock), ..SandboxConfig::default() });
        let first = sandbox.catalogue(Provider::Spotify).tracks().next();
        let query = first.and_then(|track| track.artists.into_iter().next()).context("an empty catalogue")?;
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let sandbox_url = format!("http://{}", listener.local_addr()?);
        // It answers once for each server under test, before anything is measured.
        tasks::spawn("sandbox", stagedoor_sandbox::serve(sandbox.clone(), listener, std::future::pending()));
        let files = (&*key_file, &*pepper_file);
        let api_key = tenant::provision(&postgres, files, &sandbox, &sandbox_url, clock).await?;
        Ok(Self { postgres, redis, key_file, pepper_file, api_key, query })
    }

    /// The database as the gateway's role.
    pub(crate) fn database_url(&self) -> String {
        self.postgres.url_for(DATABASE, "stagedoor_app")
    }

    /// The versions of both servers.
    pub(crate) async fn versions(&self) -> anyhow::Result<(String, String)> {
        let postgres = self.postgres.sql("postgres", "SHOW server_version").await?;
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, self.redis.port()))?;
        connection.write_all(b"INFO server\r\nQUIT\r\n")?;
        let mut info = String::new();
        connection.read_to_string(&mut info)?;
        let redis = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
        Ok((postgres, redis.context("Redis tells no version")?.trim().to_owned()))
    }

    /// Ends the servers.
    pub(crate) async fn strike(self) {
        self.postgres.stop().await;
    }
}

/// A loopback address that was free a moment ago.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?)
}
