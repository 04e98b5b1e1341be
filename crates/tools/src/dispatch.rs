//! The one way into every tool: audit opens, scope is checked, the use-case runs, audit closes.

mod produce;

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use stagedoor_audit::{
    AuditAction, AuditClient, AuditError, AuditLog, AuditOpening, AuditOutcome, AuditResource,
};
use stagedoor_cache::Level;
use stagedoor_domain::{ErrorCode, ItemRef, PublicError, ScopeSet, TenantContext, ToolName};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use crate::beside::Beside;
use crate::counted::Counted;
use crate::desk::Desk;
use crate::jobs::{JobView, Progress};
use crate::linking::tool::Step;
use crate::linking::{Linking, LinkingOptions};
use crate::origin::{Origin, Purpose};
use crate::privacy::{Privacy, PrivacyOptions};
use crate::reuse::Produced;
use crate::{arguments, audit_query, playlists, transfer};

/// A tool call.
#[derive(Debug)]
pub struct Call<'a> {
    /// Which tool.
    pub tool: ToolName,
    /// Its arguments: a JSON object, or nothing for none.
    pub arguments: Option<&'a RawValue>,
    /// Where it comes from.
    pub client: AuditClient,
    /// What the caller can be asked, and what it answered.
    pub interaction: Interaction<'a>,
}

/// Multi round-trip requests: what the caller can do, and what it sent along on a retry.
#[derive(Debug, Clone, Copy, Default)]
pub struct Interaction<'a> {
    /// Whether it can lead a person to a web page and say when they are back.
    pub opens_urls: bool,
    /// Its answers by key: a JSON object whose members have an `action`.
    pub responses: Option<&'a RawValue>,
    /// The state that came with the questions; whatever the caller says it is.
    pub state: Option<&'a str>,
    /// Whether it takes a job in place of an answer, to ask for it later.
    pub tasks: bool,
    /// Is told how far a long call is.
    pub progress: Option<&'a dyn Progress>,
}

/// A question that a person answers on a web page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlQuestion {
    /// The key under which the answer is expected.
    pub key: &'static str,
    /// What to tell the person.
    pub message: String,
    /// The page. Whoever knows it can open it: no text for a log.
    pub url: String,
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
        /// What the agent should know besides, each a sentence.
        warnings: Vec<String>,
    },
    /// The caller has to lead a person to a page and call again with `state`.
    InputRequired {
        /// What to ask.
        question: UrlQuestion,
        /// To be handed in again as it is.
        state: String,
    },
    /// It goes on as a job. Only for a caller that takes one.
    Started {
        /// The job.
        job: Box<JobView>,
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
            Self::Answered { .. } | Self::InputRequired { .. } | Self::Started { .. } => None,
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
            cached: matches!(
                self,
                Self::Answered { level: Level::L1 | Level::L2 | Level::Coalesced | Level::Stale, .. }
            ),
        }
    }
}

/// What a call says that it is about; a reference that is none is no resource.
pub(crate) fn resource(arguments: Option<&RawValue>) -> Option<AuditResource> {
    #[derive(Deserialize)]
    struct About<'a> {
        #[serde(borrow, rename = "ref")]
        reference: Option<Cow<'a, str>>,
        #[serde(borrow)]
        account: Option<Cow<'a, str>>,
        #[serde(borrow)]
        link: Option<Cow<'a, str>>,
    }
    let about: About<'_> = serde_json::from_str(arguments?.get()).ok()?;
    if let Some(reference) = about.reference {
        return reference.parse::<ItemRef>().ok().as_ref().map(AuditResource::item);
    }
    let id = |kind: &'static str, text: Option<Cow<'_, str>>| {
        let id = text?.parse::<Uuid>().ok()?;
        Some(AuditResource { kind, id: id.to_string().into() })
    };
    id("link", about.link).or_else(|| id("account", about.account))
}

/// Runs tools.
#[derive(Debug)]
pub struct Dispatcher {
    desk: Arc<Desk>,
    audit: AuditLog,
    linking: Arc<Linking>,
    privacy: Arc<Privacy>,
    stop: CancellationToken,
}

impl Dispatcher {
    /// A dispatcher over a desk, recording into `audit`.
    pub fn new(desk: Desk, audit: AuditLog, linking: LinkingOptions, privacy: PrivacyOptions) -> Self {
        let (desk, stop) = (Arc::new(desk), linking.stop.clone());
        let privacy = Privacy::new(Arc::clone(&desk), privacy);
        let linking = Linking::new(Arc::clone(&desk), linking);
        Self { desk, audit, linking, privacy, stop }
    }

    /// What the pages of a link work with.
    pub fn linking(&self) -> &Arc<Linking> {
        &self.linking
    }

    /// What the page of a privacy request works with, and what deletes.
    pub fn privacy(&self) -> &Arc<Privacy> {
        &self.privacy
    }

    /// What the tools work with.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// What is fetched beside calls.
    pub(crate) fn beside(&self) -> &Beside {
        &self.desk.beside
    }

    /// Ends what nobody waits for, because the process is about to end.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Runs one call, and says how it ended and how long it took.
    pub async fn call(self: &Arc<Self>, ctx: &TenantContext, call: Call<'_>) -> (Outcome, Duration) {
        let started = self.desk.clock.elapsed();
        let origin = Origin::new(call.client.clone(), Purpose::Call);
        let about = if call.tool == ToolName::AuditQuery { audit_query::about } else { resource };
        let about = about(call.arguments);
        let counted = Counted::begin((&self.desk, ctx, &origin), (call.tool, about.as_ref()), started);
        let outcome = self.audited(ctx, &origin, &call, about, started).await;
        let duration = self.desk.clock.elapsed().saturating_sub(started);
        counted.end(&outcome, duration).await;
        (outcome, duration)
    }

    /// The bracket around every call: nothing happens if its record cannot be opened.
    async fn audited(
        self: &Arc<Self>,
        ctx: &TenantContext,
        origin: &Origin,
        call: &Call<'_>,
        about: Option<AuditResource>,
        started: Duration,
    ) -> Outcome {
        let opening = AuditOpening {
            resource: about,
            ..AuditOpening::new(AuditAction::Tool(call.tool), call.client.clone())
        };
        let span = tracing::info_span!("audit", "stagedoor.audit.class" = opening.class.as_str());
        let mut entry = match self.audit.open(ctx, opening).instrument(span).await {
            Ok(entry) => entry,
            Err(error) => {
                // A full log is said once, where it fills up, and its refusals are counted.
                if !matches!(error, AuditError::LogFull { .. }) {
                    tracing::error!(
                        error = %stagedoor_domain::error::Chain(&error),
                        "a call was refused, because it cannot be audited"
                    );
                }
                return Outcome::Failed(error.public());
            }
        };
        let outcome = self.run(ctx, origin, call).await;
        if let Some(resource) = origin.take_resource() {
            entry.set_resource(resource);
        }
        let duration = self.desk.clock.elapsed().saturating_sub(started);
        entry.close(outcome.for_audit(duration)).await;
        outcome
    }

    /// One call within its bracket.
    pub(crate) async fn run(
        self: &Arc<Self>,
        ctx: &TenantContext,
        origin: &Origin,
        call: &Call<'_>,
    ) -> Outcome {
        if let Some(scope) = call.tool.scope()
            && !ctx.principal().scopes.contains(scope)
        {
            return Outcome::ScopeNeeded(ScopeSet::empty().with(scope));
        }
        if call.tool == ToolName::AccountLink {
            return Box::pin(self.link(ctx, origin, call)).await;
        }
        if call.tool == ToolName::PlaylistTransfer {
            return Box::pin(self.transfer(ctx, origin, call)).await;
        }
        if call.tool == ToolName::PlaylistDedupe
            && let Some(outcome) = Box::pin(self.long_dedupe(ctx, origin, call)).await
        {
            return outcome;
        }
        // Behind a pointer, so that neither the size nor the type of what the tools do is part of every caller's.
        let produced: Pin<Box<dyn Future<Output = Produced> + Send + '_>> =
            Box::pin(self.produce(ctx, origin, call));
        match produced.await {
            Ok(answer) => {
                self.look_beside(ctx, origin, call, &answer);
                Outcome::Answered { body: answer.body, level: answer.level, warnings: origin.take_warnings() }
            }
            Err(error) => Outcome::Failed(error),
        }
    }

    /// The one tool that may have a question instead of an answer.
    async fn link(&self, ctx: &TenantContext, origin: &Origin, call: &Call<'_>) -> Outcome {
        let step = match arguments::read(call.arguments) {
            Ok(arguments) => self.linking.call(ctx, origin, &call.interaction, arguments).await,
            Err(error) => Err(error),
        };
        let answered = match step {
            Ok(Step::Ask(question, state)) => return Outcome::InputRequired { question, state },
            Ok(Step::Answer(answer)) => self.desk.fresh(&answer),
            Err(error) => Err(error),
        };
        match answered {
            Ok(answer) => {
                Outcome::Answered { body: answer.body, level: answer.level, warnings: origin.take_warnings() }
            }
            Err(error) => Outcome::Failed(error),
        }
    }

    /// The tool that is a job from the beginning.
    async fn transfer(&self, ctx: &TenantContext, origin: &Origin, call: &Call<'_>) -> Outcome {
        let called = match arguments::read(call.arguments) {
            Ok(arguments) => transfer::call(&self.desk, ctx, origin, arguments, &call.interaction).await,
            Err(error) => Err(error),
        };
        called.unwrap_or_else(Outcome::Failed)
    }

    /// The tool that is a job if its playlist is long; `None` if it is not.
    async fn long_dedupe(&self, ctx: &TenantContext, origin: &Origin, call: &Call<'_>) -> Option<Outcome> {
        let called = match arguments::read(call.arguments) {
            Ok(arguments) => {
                playlists::long::call(&self.desk, ctx, origin, arguments, &call.interaction).await
            }
            Err(error) => Err(error),
        };
        called.unwrap_or_else(|error| Some(Outcome::Failed(error)))
    }
}
