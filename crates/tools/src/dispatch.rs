//! The one way into every tool: audit opens, scope is checked, the use-case runs, audit closes.

use std::borrow::Cow;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use stagedoor_audit::{AuditAction, AuditClient, AuditLog, AuditOpening, AuditOutcome, AuditResource};
use stagedoor_cache::Level;
use stagedoor_domain::{ErrorCode, ItemRef, PublicError, ScopeSet, TenantContext, ToolName};

use crate::arguments;
use crate::desk::{Desk, Produced};
use crate::{accounts, items, playlist_reads, playlist_writes, resolve, search, usage};

/// A tool call.
#[derive(Debug)]
pub struct Call<'a> {
    /// Which tool.
    pub tool: ToolName,
    /// Its arguments: a JSON object, or nothing for none.
    pub arguments: Option<&'a RawValue>,
    /// Where it comes from.
    pub client: AuditClient,
}

/// How a call ended.
#[derive(Debug)]
pub enum Outcome {
    /// It was answered.
    Answered {
        /// The answer in the form that `DeskOptions::render` gave it.
        body: Bytes,
        /// Where it came from.
        level: Level,
    },
    /// It failed, and this is what the agent may know.
    Failed(PublicError),
    /// The principal lacks one of these scopes.
    ScopeNeeded(ScopeSet),
}

impl Outcome {
    /// The stable code of the failure; `None` for an answer.
    pub fn error(&self) -> Option<ErrorCode> {
        match self {
            Self::Answered { .. } => None,
            Self::Failed(error) => Some(error.code),
            Self::ScopeNeeded(_) => Some(ErrorCode::InsufficientScope),
        }
    }

    fn for_audit(&self, duration: Duration) -> AuditOutcome {
        let error = self.error();
        AuditOutcome {
            error,
            response_code: error.map_or(200, ErrorCode::http_status),
            duration,
            cached: matches!(self, Self::Answered { level: Level::L1 | Level::L2 | Level::Coalesced, .. }),
        }
    }
}

/// What a call says that it is about; a reference that is none is no resource.
fn resource(arguments: Option<&RawValue>) -> Option<AuditResource> {
    #[derive(Deserialize)]
    struct About<'a> {
        #[serde(borrow, rename = "ref")]
        reference: Option<Cow<'a, str>>,
    }
    let about: About<'_> = serde_json::from_str(arguments?.get()).ok()?;
    about.reference?.parse::<ItemRef>().ok().as_ref().map(AuditResource::item)
}

/// Runs tools.
#[derive(Debug)]
pub struct Dispatcher {
    desk: Desk,
    audit: AuditLog,
}

impl Dispatcher {
    /// A dispatcher over a desk, recording into `audit`.
    pub fn new(desk: Desk, audit: AuditLog) -> Self {
        Self { desk, audit }
    }

    /// What the tools work with.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Runs one call, and says how it ended and how long it took.
    pub async fn call(&self, ctx: &TenantContext, call: Call<'_>) -> (Outcome, Duration) {
        let started = self.desk.clock.elapsed();
        let outcome = self.audited(ctx, &call, started).await;
        (outcome, self.desk.clock.elapsed().saturating_sub(started))
    }

    /// The bracket around every call: nothing happens if its record cannot be opened.
    async fn audited(&self, ctx: &TenantContext, call: &Call<'_>, started: Duration) -> Outcome {
        let opening = AuditOpening {
            resource: resource(call.arguments),
            ..AuditOpening::new(AuditAction::Tool(call.tool), call.client.clone())
        };
        let entry = match self.audit.open(ctx, opening).await {
            Ok(entry) => entry,
            Err(error) => {
                tracing::error!(
                    error = %stagedoor_domain::error::Chain(&error),
                    "a call was refused, because it cannot be audited"
                );
                return Outcome::Failed(error.public());
            }
        };
        let outcome = self.run(ctx, call).await;
        let duration = self.desk.clock.elapsed().saturating_sub(started);
        entry.close(outcome.for_audit(duration)).await;
        outcome
    }

    async fn run(&self, ctx: &TenantContext, call: &Call<'_>) -> Outcome {
        if let Some(scope) = call.tool.scope()
            && !ctx.principal().scopes.contains(scope)
        {
            return Outcome::ScopeNeeded(ScopeSet::empty().with(scope));
        }
        // Behind a pointer, so that neither the size nor the type of what the tools do is part of every caller's.
        let produced: Pin<Box<dyn Future<Output = Produced> + Send + '_>> = Box::pin(self.produce(ctx, call));
        match produced.await {
            Ok((body, level)) => Outcome::Answered { body, level },
            Err(error) => Outcome::Failed(error),
        }
    }

    async fn produce(&self, ctx: &TenantContext, call: &Call<'_>) -> Produced {
        let (desk, given) = (&self.desk, call.arguments);
        match call.tool {
            ToolName::Search => search::run(desk, ctx, arguments::read(given)?).await,
            ToolName::TrackGet => items::track(desk, ctx, arguments::read(given)?).await,
            ToolName::AlbumGet => items::album(desk, ctx, arguments::read(given)?).await,
            ToolName::ArtistGet => items::artist(desk, ctx, arguments::read(given)?).await,
            ToolName::Resolve => resolve::run(desk, ctx, arguments::read(given)?).await,
            ToolName::PlaylistsList => playlist_reads::list(desk, ctx, arguments::read(given)?).await,
            ToolName::PlaylistGet => playlist_reads::get(desk, ctx, arguments::read(given)?).await,
            ToolName::PlaylistCreate => {
                Box::pin(playlist_writes::create(desk, ctx, arguments::read(given)?)).await
            }
            ToolName::PlaylistAdd => Box::pin(playlist_writes::add(desk, ctx, arguments::read(given)?)).await,
            ToolName::AccountsList => Box::pin(accounts::list(desk, ctx, arguments::read(given)?)).await,
            ToolName::UsageStatus => usage::status(desk, ctx, arguments::read(given)?).await,
        }
    }
}
