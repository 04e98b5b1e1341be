//! What every use-case works with: the app and token of a provider call, keys, rendering. The cache around a fetch is
//! in `reuse`, what is about a person's own account in `personal`.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use secrecy::SecretString;
use serde::Serialize;
use stagedoor_audit::AuditLog;
use stagedoor_cache::Cache;
use stagedoor_crypto::DataKey;
use stagedoor_domain::{Clock, Entropy, ErrorCode, Provider, PublicError, TenantContext, TenantId, UserId};
use stagedoor_limits::Limiter;
use stagedoor_providers::{
    Access, Deadline, MusicProvider, ProviderApp, ProviderError, Providers, Sent, Urgency,
};
use stagedoor_storage::KeyVault;
use stagedoor_usage::UsageLog;
use tokio_util::sync::CancellationToken;

use crate::access::Tokens;
use crate::beside::Beside;
use crate::devices::Devices;
use crate::jobs::Jobs;
use crate::opening::Opener;
use crate::origin::Origin;
use crate::playlists::Turns;
use crate::records::Records;
use crate::refresh::{Refresher, Spawn};
use crate::sessions::SessionsInUse;
use crate::trail::Trail;

/// Turns the JSON of an answer into the form that is cached and written out.
pub type Render = fn(&[u8]) -> Bytes;

/// Puts a picture (PNG) into an answer that was rendered.
pub type Illustrate = fn(&[u8], &[u8]) -> Bytes;

/// How long a provider call may take, all retries included.
pub(crate) const PROVIDER_DEADLINE: Duration = Duration::from_secs(10);

/// What a desk is made of.
pub struct DeskOptions {
    /// The keys that tokens and cursors are sealed under.
    pub vault: Arc<KeyVault>,
    /// The music services.
    pub providers: Providers,
    /// Answers that may be given again.
    pub cache: Arc<Cache>,
    /// Whether answers are given again at all.
    pub reuse_answers: bool,
    /// The quotas, for `usage_status`.
    pub limiter: Arc<Limiter>,
    /// The audit trail, for what happens on the way of a call.
    pub audit: AuditLog,
    /// What calls come to.
    pub usage: Arc<UsageLog>,
    /// Opened sessions in memory.
    pub sessions: Arc<SessionsInUse>,
    /// What is fetched beside calls.
    pub beside: Arc<Beside>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Runs what must not end with its caller.
    pub spawn: Spawn,
    /// Cancelled when the process is about to end: what only waits then ends.
    pub stop: CancellationToken,
    /// How long a call waits for the job that it began.
    pub job_wait: Duration,
    /// Turns the JSON of an answer into the form that is cached and written out.
    pub render: Render,
    /// How a picture gets into a finished answer.
    pub illustrate: Illustrate,
}

/// On whose behalf one provider call goes out; owned, so that the call's future may hold it.
#[derive(Clone)]
pub(crate) struct CallAccess {
    pub(crate) app: Arc<ProviderApp>,
    pub(crate) token: SecretString,
    pub(crate) country: Option<String>,
    pub(crate) deadline: Deadline,
    pub(crate) urgency: Urgency,
    pub(crate) sent: Arc<Sent>,
}

impl CallAccess {
    /// The same as providers take it.
    pub(crate) fn borrow(&self) -> Access<'_> {
        Access {
            app: &self.app,
            token: &self.token,
            country: self.country.as_deref(),
            deadline: Some(self.deadline),
            urgency: self.urgency,
            sent: Some(&self.sent),
        }
    }
}

/// What every use-case works with.
pub struct Desk {
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) records: Arc<Records>,
    pub(crate) tokens: Tokens,
    pub(crate) devices: Devices,
    pub(crate) sessions: Arc<SessionsInUse>,
    pub(crate) opener: Arc<Opener>,
    pub(crate) beside: Arc<Beside>,
    pub(crate) turns: Turns,
    usage: Arc<UsageLog>,
    jobs: Arc<Jobs>,
    job_wait: Duration,
    reuse_answers: bool,
    providers: Providers,
    vault: Arc<KeyVault>,
    trail: Arc<Trail>,
    spawn: Spawn,
    stop: CancellationToken,
    render: Render,
    illustrate: Illustrate,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl Desk {
    /// A desk.
    pub fn new(options: DeskOptions) -> Self {
        let DeskOptions { vault, providers, cache, clock, spawn, sessions, .. } = options;
        let records = Arc::new(Records::new(Arc::clone(&vault), Arc::clone(&cache)));
        let trail = Arc::new(Trail::new(options.audit, Arc::clone(&clock)));
        let opener = Arc::new(Opener::new(
            Arc::clone(&vault),
            Arc::clone(&records),
            Arc::clone(&sessions),
            Arc::clone(&trail),
        ));
        let refresher = Refresher::new(
            (Arc::clone(&vault), providers.clone()),
            (Arc::clone(&records), Arc::clone(&opener)),
            (Arc::clone(&sessions), Arc::clone(&trail)),
            Arc::clone(&clock),
            Arc::clone(&spawn),
        );
        let tokens = Tokens::new(providers.clone(), Arc::clone(&opener), refresher, Arc::clone(&clock));
        let devices =
            Devices::new(Arc::clone(&vault), Arc::clone(&trail), Arc::clone(&sessions), Arc::clone(&clock));
        Self {
            limiter: options.limiter,
            clock,
            entropy: options.entropy,
            cache,
            records,
            tokens,
            devices,
            sessions,
            opener,
            beside: options.beside,
            turns: Turns::default(),
            usage: options.usage,
            jobs: Arc::default(),
            job_wait: options.job_wait,
            reuse_answers: options.reuse_answers,
            providers,
            vault,
            trail,
            spawn,
            stop: options.stop,
            render: options.render,
            illustrate: options.illustrate,
        }
    }

    /// The opened sessions in memory, and what is counted of sessions.
    pub fn sessions(&self) -> &Arc<SessionsInUse> {
        &self.sessions
    }

    /// The jobs that callers of this replica wait for.
    pub fn jobs(&self) -> &Arc<Jobs> {
        &self.jobs
    }

    /// Where it is counted what calls come to.
    pub fn usage(&self) -> &Arc<UsageLog> {
        &self.usage
    }

    /// How long a call waits for the job that it began.
    pub(crate) fn job_wait(&self) -> Duration {
        self.job_wait
    }

    /// The keys that tokens and states are sealed under, and the database behind them.
    pub(crate) fn vault(&self) -> &Arc<KeyVault> {
        &self.vault
    }

    /// The audit trail for what happens on the way of a call.
    pub(crate) fn trail(&self) -> &Trail {
        &self.trail
    }

    /// Runs what must not end with its caller.
    pub(crate) fn spawn(&self) -> &Spawn {
        &self.spawn
    }

    /// Cancelled when the process is about to end.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// What gives answers their form.
    pub(crate) fn renderer(&self) -> Render {
        self.render
    }

    /// A finished answer with a picture in it.
    pub(crate) fn illustrated(&self, body: &[u8], png: &[u8]) -> Bytes {
        (self.illustrate)(body, png)
    }

    /// Whether answers are given again at all.
    pub(crate) fn reuses_answers(&self) -> bool {
        self.reuse_answers
    }

    /// Whether the tenant's client at a service has no call to spare: it waits, it is paced, or calls queue for it.
    pub(crate) async fn is_pressed(&self, ctx: &TenantContext, provider: Provider) -> bool {
        match self.app(ctx, provider).await {
            Ok(app) => self.providers.pressed(ctx, &app),
            Err(_) => true,
        }
    }

    /// A music service.
    pub(crate) fn music(&self, provider: Provider) -> &dyn MusicProvider {
        self.providers.get(provider)
    }

    /// A catalogue call with the tenant's own client, for everyone in the tenant. A refused token is replaced once.
    pub(crate) async fn catalogue<'a, T, F, Fut>(
        &'a self,
        ctx: &TenantContext,
        origin: &Origin,
        provider: Provider,
        country: Option<&str>,
        call: F,
    ) -> Result<T, PublicError>
    where
        F: Fn(&'a dyn MusicProvider, CallAccess) -> Fut,
        Fut: Future<Output = Result<T, ProviderError>>,
    {
        let app = self.app(ctx, provider).await?;
        let music = self.providers.get(provider);
        let access = CallAccess {
            token: self.tokens.of_client(ctx, &app).await?,
            app,
            country: country.map(str::to_owned),
            deadline: Deadline::after(self.clock.as_ref(), PROVIDER_DEADLINE),
            urgency: origin.purpose().urgency(),
            sent: Arc::clone(origin.sent()),
        };
        let result = match call(music, access.clone()).await {
            Err(ProviderError::Unauthorized { .. }) => {
                self.tokens.forget_client(&access.app).await;
                let token = self.tokens.of_client(ctx, &access.app).await?;
                call(music, CallAccess { token, ..access }).await
            }
            result => result,
        };
        result.map_err(|error| told(origin, &error))
    }

    /// A tenant was changed, here or by anyone: what was known of its clients at the services counts no more.
    pub async fn tenant_changed(&self, tenant: TenantId) {
        self.records.forget_apps(tenant).await;
    }

    /// The tenant's clients at the services.
    pub(crate) async fn apps(&self, ctx: &TenantContext) -> Result<Arc<[Arc<ProviderApp>]>, PublicError> {
        self.records.apps(ctx).await
    }

    /// The service that a catalogue call means: the one it names, or the only one there is.
    pub(crate) async fn choose_provider(
        &self,
        ctx: &TenantContext,
        named: Option<Provider>,
    ) -> Result<Provider, PublicError> {
        if let Some(named) = named {
            return Ok(named);
        }
        let apps = self.apps(ctx).await?;
        match &*apps {
            [only] => Ok(only.provider),
            [] => Err(crate::records::not_configured(None)),
            several => {
                let names: Vec<&str> = several.iter().map(|app| app.provider.as_str()).collect();
                Err(crate::arguments::invalid(format!(
                    "`provider` is missing; it can be {}.",
                    names.join(" or ")
                )))
            }
        }
    }

    /// The tenant's own data key.
    pub(crate) async fn tenant_key(&self, ctx: &TenantContext) -> Result<Arc<DataKey>, PublicError> {
        // On the heap: only a call that pages needs it, and a database look-up weighs much.
        Box::pin(self.vault.tenant_key(ctx)).await.map_err(|error| crate::records::store_failure(&error))
    }

    /// The tenant's key under which `text` was given out, as far as it says so: an earlier one after a rotation.
    pub(crate) async fn tenant_key_of(
        &self,
        ctx: &TenantContext,
        text: &str,
    ) -> Result<Arc<DataKey>, PublicError> {
        // What says so is at the beginning.
        let envelope = URL_SAFE_NO_PAD.decode(text.get(..128).unwrap_or(text)).unwrap_or_default();
        let key = Box::pin(self.vault.tenant_key_of(ctx, &envelope)).await;
        key.map_err(|error| crate::records::store_failure(&error))
    }

    /// The time as answers carry it (RFC 3339, seconds).
    pub(crate) fn now_text(&self) -> String {
        self.clock.now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    }

    /// The tenant's client at a service.
    pub(crate) async fn app(
        &self,
        ctx: &TenantContext,
        provider: Provider,
    ) -> Result<Arc<ProviderApp>, PublicError> {
        let apps = self.apps(ctx).await?;
        let app = apps.iter().find(|app| app.provider == provider).cloned();
        app.ok_or_else(|| crate::records::not_configured(Some(provider)))
    }

    /// An answer in the form that is written out.
    pub(crate) fn rendered<T: Serialize>(&self, answer: &T) -> Result<Bytes, PublicError> {
        let json = serde_json::to_vec(answer).map_err(|error| internal(&error))?;
        Ok((self.render)(&json))
    }
}

/// The person that a call acts for.
pub(crate) fn acting_for(ctx: &TenantContext) -> Result<UserId, PublicError> {
    ctx.user().ok_or_else(|| {
        PublicError::new(ErrorCode::UserRequired, "This key acts for no person.")
            .hint("Ask the tenant's operator for a key that is bound to a person.")
    })
}

/// Logs a fault of ours where it is handled, and says no more than that it was one.
pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> PublicError {
    tracing::error!(error = %stagedoor_domain::error::Chain(error), "a tool call failed inside");
    PublicError::internal()
}

/// The same as `report`, and notes what it says of the call.
pub(crate) fn told(origin: &Origin, error: &ProviderError) -> PublicError {
    if matches!(error, ProviderError::RateLimited { queued: true, .. }) {
        origin.refused_in_queue();
    }
    report(error)
}

/// Logs a provider's failure where it is handled, and says what the agent may know.
pub(crate) fn report(error: &ProviderError) -> PublicError {
    let public = error.public();
    tracing::info!(code = %public.code, error = %stagedoor_domain::error::Chain(error), "a provider call failed");
    public
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_in_the_queue_is_told_apart_from_the_services_own() {
        for queued in [false, true] {
            let origin = Origin::default();
            let (provider, retry_after) = (Provider::Spotify, Duration::from_secs(1));
            let error = ProviderError::RateLimited { provider, retry_after, queued };
            assert_eq!(told(&origin, &error).code, ErrorCode::ProviderRateLimited);
            assert_eq!(origin.was_refused_in_queue(), queued);
        }
    }
}
