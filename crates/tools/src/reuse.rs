//! The cached path of a read: whether the person wants it, what is kept of a fetched answer, how an absence is told
//! again, and what an agent is told of an old answer.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stagedoor_cache::{Ask, CacheKey, Cached, DataScope, Fetched, Level, Reader, Verdicts};
use stagedoor_domain::error::ceil_seconds;
use stagedoor_domain::policy::TtlBounds;
use stagedoor_domain::{ErrorCode, Provider, PublicError, TenantContext, ToolName};

use crate::accounts::Account;
use crate::desk::{Desk, Render, internal};
use crate::fingerprint;
use crate::origin::Origin;
use crate::passing::InPassing;

/// A finished answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// In the form that `DeskOptions::render` gave it.
    pub(crate) body: Bytes,
    /// Where it came from.
    pub(crate) level: Level,
    /// Whom it was fetched from, if it is one that is kept.
    pub(crate) provider: Option<Provider>,
    /// It should be fetched again, beside the call.
    pub(crate) due: bool,
    /// The cursor of the next page, where that is known.
    pub(crate) next: Option<Arc<str>>,
    /// What the caller is likely to look at next, now that it has changed something.
    pub(crate) afterwards: Option<Box<Afterwards>>,
}

/// A call that is likely to come.
#[derive(Debug)]
pub(crate) struct Afterwards {
    pub(crate) tool: ToolName,
    pub(crate) provider: Provider,
    pub(crate) arguments: Value,
    /// What the write made of it; an answer that shows another is not kept.
    pub(crate) version: Box<str>,
}

/// What is asked of the cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) tool: ToolName,
    pub(crate) key: &'a CacheKey,
    /// The market of a catalogue answer.
    pub(crate) country: Option<&'a str>,
}

/// How answers are kept for one caller.
#[derive(Debug, Clone, Copy)]
struct Terms {
    ttl: TtlBounds,
    oldest: Option<Duration>,
    /// Whether it may be counted what is asked for.
    counted: bool,
}

/// An answer, or what went wrong.
pub(crate) type Produced = Result<Answer, PublicError>;

/// Why nothing was fetched.
#[derive(Debug, Clone)]
struct Refusal {
    error: PublicError,
    /// It was for the place in the queue of the one who asked, and no answer to anybody else.
    queued: bool,
}

/// How long an answer is kept that nothing was found: as long as an absence, since it may be there in a moment.
const NOTHING_FOUND_FOR: Duration = Duration::from_secs(20);

/// What a provider said of something that is not there; its code is always `item_not_found`.
#[derive(Serialize, Deserialize)]
struct Absence {
    message: String,
    hint: Option<String>,
}

impl Desk {
    /// The answer from the cache, or made by `fetch` and kept as long as the tool's class says; past the cache if the
    /// person wants none.
    pub(crate) async fn cached<T, F, Fut>(
        &self,
        ctx: &TenantContext,
        origin: &Origin,
        question: Question<'_>,
        fetch: F,
    ) -> Produced
    where
        T: Serialize + InPassing + Send,
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = Result<T, PublicError>> + Send,
    {
        let Question { tool, key, country } = question;
        let terms = self.terms(ctx, tool).await;
        let fetch = async move {
            // On the heap, and only on a miss: a hit should not carry the weight of a provider call.
            match Box::pin(fetch()).await {
                Ok(answer) => {
                    if terms.is_some() {
                        self.file(ctx, country, answer.in_passing());
                    }
                    let life_at_most = answer.finds_nothing().then_some(NOTHING_FOUND_FOR);
                    to_keep(self.renderer(), &answer, life_at_most)
                }
                Err(error) if error.code == ErrorCode::ItemNotFound => absent(error),
                Err(error) => Err(error),
            }
            .map_err(|error| Refusal { error, queued: origin.was_refused_in_queue() })
        };
        let forgiven = OnceLock::new();
        let forgivable = |Refusal { error, .. }: &Refusal| {
            // What a person or an operator has withdrawn is not given from memory.
            let forgivable = error.code.may_pass();
            if forgivable {
                forgiven.get_or_init(|| error.clone());
            }
            forgivable
        };
        let cached = match terms {
            Some(Terms { ttl, oldest, counted }) => {
                let ask = Ask { key, ttl, oldest, mode: origin.purpose().mode(), noted: counted };
                let verdicts = Verdicts { forgivable, own: |refusal: &Refusal| refusal.queued };
                self.cache.get_or_fetch(ctx, ask, fetch, verdicts).await
            }
            None => self.cache.bypass(ctx, key, fetch).await,
        };
        let cached = cached.map_err(|refusal| refusal.error)?;
        if cached.absent {
            return Err(told_again(&cached.body));
        }
        if cached.stale.is_some() {
            origin.warn(warning(self.clock.now(), &cached, forgiven.get()));
        }
        let Cached { body, level, refresh, next, .. } = cached;
        let provider = (level != Level::Bypassed).then(|| key.provider());
        Ok(Answer { body, level, provider, due: refresh, next, afterwards: None })
    }

    /// Whether answers of the tool are kept for the caller.
    pub(crate) async fn keeps(&self, ctx: &TenantContext, tool: ToolName) -> bool {
        self.terms(ctx, tool).await.is_some()
    }

    /// How long an answer of the tool is kept for the caller until more is known of how it changes; `None` if it is not.
    pub(crate) async fn life(&self, ctx: &TenantContext, tool: ToolName) -> Option<Duration> {
        let Terms { ttl, oldest, .. } = self.terms(ctx, tool).await?;
        Some(oldest.map_or(ttl.first, |oldest| ttl.first.min(oldest)))
    }

    async fn terms(&self, ctx: &TenantContext, tool: ToolName) -> Option<Terms> {
        let settings = &ctx.tenant().settings;
        let ttl = settings.cache_ttl(tool.cache_class()).filter(|_| self.reuses_answers())?;
        let wishes = self.wishes(ctx).await;
        let wish = wishes.preferences(ctx).cache_preferences;
        let oldest = wish.cache_duration.map(|seconds| Duration::from_secs(seconds.into()));
        let counted = ctx.user().is_none() || wishes.counts_usage(ctx);
        wish.enable_cache.then_some(Terms { ttl, oldest, counted })
    }

    /// An answer that is not reused.
    pub(crate) fn fresh<T: Serialize>(&self, answer: &T) -> Produced {
        let body = self.rendered(answer)?;
        Ok(Answer { body, level: Level::Bypassed, provider: None, due: false, next: None, afterwards: None })
    }
}

/// An answer as it is kept, for no longer than that.
pub(crate) fn to_keep<T: Serialize>(
    render: Render,
    answer: &T,
    life_at_most: Option<Duration>,
) -> Result<Fetched, PublicError> {
    let noted = fingerprint::note(answer).map_err(|error| internal(&error))?;
    let json = serde_json::to_vec(answer).map_err(|error| internal(&error))?;
    Ok(Fetched::Answer {
        body: render(&json),
        fingerprint: noted.fingerprint,
        next: noted.next,
        life_at_most,
    })
}

/// The key of a catalogue answer: the same for everyone in the tenant who asks for the same market.
pub(crate) fn catalogue_key(
    ctx: &TenantContext,
    tool: ToolName,
    provider: Provider,
    parameters: &impl Serialize,
) -> Result<CacheKey, PublicError> {
    key(ctx, tool, provider, parameters, Reader::Tenant)
}

/// The key of an answer that a person's own token fetched, and which of the person's writes end it.
pub(crate) fn personal_key(
    ctx: &TenantContext,
    (tool, scope): (ToolName, DataScope),
    account: &Account,
    parameters: &impl Serialize,
) -> Result<CacheKey, PublicError> {
    let reader = Reader::User { user: account.user, scope };
    key(ctx, tool, account.provider, parameters, reader)
}

fn key(
    ctx: &TenantContext,
    tool: ToolName,
    provider: Provider,
    parameters: &impl Serialize,
    reader: Reader,
) -> Result<CacheKey, PublicError> {
    let key = CacheKey::new(ctx, tool.cache_class(), tool.as_str(), parameters, reader, provider);
    key.map_err(|error| internal(&error))
}

fn absent(error: PublicError) -> Result<Fetched, PublicError> {
    let absence = Absence { message: error.message, hint: error.hint };
    let body = serde_json::to_vec(&absence).map_err(|error| internal(&error))?;
    Ok(Fetched::Absent { body: body.into() })
}

fn told_again(body: &[u8]) -> PublicError {
    match serde_json::from_slice(body) {
        Ok(Absence { message, hint }) => {
            PublicError { hint, ..PublicError::new(ErrorCode::ItemNotFound, message) }
        }
        Err(error) => internal(&error),
    }
}

/// What the agent is told of an old answer: how old it is, and why it is given.
fn warning(now: DateTime<Utc>, cached: &Cached, forgiven: Option<&PublicError>) -> String {
    let age = in_words((now - cached.stored_at).to_std().unwrap_or_default());
    if cached.level != Level::Stale {
        return format!(
            "This answer was fetched {age} ago, a little longer than such answers are kept; what it tells may have \
             changed since."
        );
    }
    let why = match forgiven {
        Some(error) => format!("{}: {}", error.code, error.message),
        None => "the fetch that this call waited for failed".to_owned(),
    };
    let again = match forgiven.and_then(|error| error.retry_after) {
        Some(wait) => format!(" Call again in {} seconds for a new one.", ceil_seconds(wait)),
        None => String::new(),
    };
    format!(
        "This is an old answer, fetched {age} ago, because no new one could be had now ({}). What it tells may have \
         changed since.{again}",
        why.trim_end_matches('.')
    )
}

/// A length of time as people say it.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    let (count, unit) = match seconds {
        0..=119 => (seconds, "second"),
        120..=7_199 => (seconds / 60, "minute"),
        7_200..=172_799 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absence_is_told_again_word_for_word() {
        let bare = PublicError::new(ErrorCode::ItemNotFound, "Spotify has no such \"item\".");
        for error in [bare.clone(), bare.hint("Check the reference.")] {
            let Ok(Fetched::Absent { body }) = absent(error.clone()) else { panic!("it is an absence") };
            assert_eq!(told_again(&body), error);
        }
    }

    #[test]
    fn what_was_withdrawn_is_not_given_from_memory() {
        for code in [
            ErrorCode::RelinkNeeded,
            ErrorCode::AccountNotLinked,
            ErrorCode::DeviceRefused,
            ErrorCode::KeyUnavailable,
            ErrorCode::SessionUnreadable,
            ErrorCode::ItemNotFound,
            ErrorCode::Internal,
        ] {
            assert!(!code.may_pass(), "{code}");
        }
        assert!(ErrorCode::ProviderUnavailable.may_pass() && ErrorCode::StoreUnavailable.may_pass());
    }

    #[test]
    fn an_old_answer_says_how_old_and_why() {
        let now = DateTime::UNIX_EPOCH + chrono::TimeDelta::days(1);
        let cached = |level, age: i64| Cached {
            body: Bytes::new(),
            level,
            stored_at: now - chrono::TimeDelta::seconds(age),
            absent: false,
            stale: Some(Duration::from_secs(1)),
            refresh: false,
            next: None,
        };
        let waits = PublicError::new(ErrorCode::ProviderRateLimited, "Spotify asks to wait.")
            .retry_after(Duration::from_millis(29_500));
        let told = warning(now, &cached(Level::Stale, 10_900), Some(&waits));
        for part in ["3 hours ago", "provider_rate_limited: Spotify asks to wait)", "again in 30 seconds"] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
        let told = warning(now, &cached(Level::Stale, 61), None);
        assert!(told.contains("61 seconds ago") && !told.contains("Call again"), "{told}");
        let told = warning(now, &cached(Level::L1, 330), None);
        assert!(told.contains("5 minutes ago") && !told.contains("old answer"), "{told}");
    }

    #[test]
    fn times_are_said_as_people_do() {
        let said = |seconds| in_words(Duration::from_secs(seconds));
        assert_eq!((said(1), said(119)), ("1 second".to_owned(), "119 seconds".to_owned()));
        assert_eq!((said(120), said(7_200)), ("2 minutes".to_owned(), "2 hours".to_owned()));
        assert_eq!(said(172_800), "2 days");
    }
}
