//! The keys of issuers as they are remembered: fetched when a token needs them, once for all who wait; again now and then
//! beside a call, and at once when a token names a key that is not known; kept while the issuer is out of reach.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jsonwebtoken::DecodingKey;
use moka::future::Cache;
use stagedoor_bootstrap::config::OauthConfig;
use stagedoor_domain::error::Chain;
use stagedoor_domain::issuer::SigningAlgorithm;
use stagedoor_domain::{Clock, Issuer};
use tokio::sync::Mutex;

use super::egress::Egress;
use super::fetch::{FetchSetupError, IssuerHttp};
use super::key_set::KeySet;
use crate::background::Background;

/// Issuers whose keys are remembered, at most.
const REMEMBERED: u64 = 10_000;

/// How long an issuer is not asked again for a key that it did not have, or after it did not answer: whoever makes up ids
/// of keys must not have it asked at each call.
const PAUSE: Duration = Duration::from_secs(5);

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The issuer has no such key for that algorithm.
    Unknown,
    /// The issuer did not answer, so nobody can tell.
    Unavailable,
}

/// The keys of every issuer that was met.
#[derive(Debug)]
pub(super) struct Keys {
    http: IssuerHttp,
    clock: Arc<dyn Clock>,
    background: Background,
    refresh: Duration,
    outage: Duration,
    sources: Cache<Address, Arc<Source>>,
}

/// An issuer, and where its keys are said to be. Tenants that mean the same share what is known; whoever names another
/// place for the keys of an issuer has only its own.
type Address = (Box<str>, Option<Box<str>>);

#[derive(Debug, Default)]
struct Source {
    known: ArcSwapOption<Known>,
    /// One asks; the others wait for what it learns.
    asking: Mutex<Asked>,
    /// Somebody fetches the keys again beside a call.
    refreshing: AtomicBool,
}

#[derive(Debug)]
struct Known {
    set: KeySet,
    /// When it was fetched.
    at: Duration,
}

#[derive(Debug, Default)]
struct Asked {
    /// When it was asked last for want of a key, or in vain.
    at: Option<Duration>,
    /// It did not answer then.
    failed: bool,
}

/// A key, and the set that it is of.
pub(super) struct FoundKey {
    known: Arc<Known>,
    kid: String,
    algorithm: SigningAlgorithm,
}

impl FoundKey {
    fn of(known: Arc<Known>, kid: &str, algorithm: SigningAlgorithm) -> Option<Self> {
        known.set.find(kid, algorithm)?;
        Some(Self { known, kid: kid.to_owned(), algorithm })
    }

    pub(super) fn key(&self) -> Option<&DecodingKey> {
        self.known.set.find(&self.kid, self.algorithm)
    }
}

impl Keys {
    /// Those that `egress` lets this gateway ask for.
    pub(super) fn new(
        config: &OauthConfig,
        egress: Egress,
        clock: Arc<dyn Clock>,
        background: Background,
    ) -> Result<Self, FetchSetupError> {
        Ok(Self {
            http: IssuerHttp::new(config, egress)?,
            clock,
            background,
            refresh: config.refresh(),
            outage: config.outage(),
            sources: Cache::builder().max_capacity(REMEMBERED).build(),
        })
    }

    /// The key of `issuer` with that id for that algorithm.
    pub(super) async fn find(
        self: &Arc<Self>,
        issuer: &Issuer,
        kid: &str,
        algorithm: SigningAlgorithm,
    ) -> Result<FoundKey, NoKey> {
        let address: Address = (issuer.url.as_str().into(), issuer.jwks_uri.as_deref().map(Into::into));
        let source = self.sources.get_with(address.clone(), async { Arc::default() }).await;
        let known = self.usable(&source);
        let found = known.clone().and_then(|known| FoundKey::of(known, kid, algorithm));
        let Some(found) = found else {
            let known = self.ask(&address, &source, known).await?;
            return FoundKey::of(known, kid, algorithm).ok_or(NoKey::Unknown);
        };
        if self.age(&found.known) >= self.refresh && !source.refreshing.swap(true, Ordering::Relaxed) {
            let keys = Arc::clone(self);
            self.background.spawn("issuer keys", async move {
                let mut asked = source.asking.lock().await;
                if !keys.is_pausing(&asked) {
                    keys.fetch(&address, &source, &mut asked).await;
                }
                source.refreshing.store(false, Ordering::Relaxed);
            });
        }
        Ok(found)
    }

    /// What is known of the keys, unless it was fetched too long ago.
    fn usable(&self, source: &Source) -> Option<Arc<Known>> {
        source.known.load_full().filter(|known| self.age(known) < self.outage)
    }

    fn age(&self, known: &Known) -> Duration {
        self.clock.elapsed().saturating_sub(known.at)
    }

    /// Newer keys than `seen`, unless the issuer was asked a moment ago.
    async fn ask(
        &self,
        address: &Address,
        source: &Source,
        seen: Option<Arc<Known>>,
    ) -> Result<Arc<Known>, NoKey> {
        let mut asked = source.asking.lock().await;
        let known = self.usable(source);
        let newer = |known: &Arc<Known>| seen.as_ref().is_none_or(|seen| !Arc::ptr_eq(seen, known));
        if let Some(known) = known.filter(newer) {
            return Ok(known);
        }
        if !self.is_pausing(&asked) {
            if seen.is_some() {
                asked.at = Some(self.clock.elapsed());
            }
            self.fetch(address, source, &mut asked).await;
        }
        match self.usable(source).filter(newer) {
            Some(known) => Ok(known),
            None if asked.failed || seen.is_none() => Err(NoKey::Unavailable),
            None => Err(NoKey::Unknown),
        }
    }

    /// Whether the issuer was asked in vain a moment ago.
    fn is_pausing(&self, asked: &Asked) -> bool {
        asked.at.is_some_and(|at| self.clock.elapsed().saturating_sub(at) < PAUSE)
    }

    async fn fetch(&self, address: &Address, source: &Source, asked: &mut Asked) {
        let (issuer, jwks_uri) = address;
        let at = self.clock.elapsed();
        match self.http.keys(issuer, jwks_uri.as_deref()).await {
            Ok(set) => {
                if asked.failed {
                    tracing::info!(%issuer, "the keys of an issuer can be fetched again");
                }
                tracing::debug!(%issuer, keys = set.len(), "the keys of an issuer were fetched");
                asked.failed = false;
                source.known.store(Some(Arc::new(Known { set, at })));
            }
            Err(error) => {
                if !asked.failed {
                    tracing::warn!(%issuer, error = %Chain(&error), "the keys of an issuer cannot be fetched");
                }
                asked.failed = true;
                asked.at = Some(at);
            }
        }
    }
}
