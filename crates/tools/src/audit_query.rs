//! `audit_query`: who did what in this tenant, when, and how it ended. The call is on record, as every call is, before
//! anything is looked at. Which records there are is for the crate `audit`.

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use stagedoor_audit::{AuditCursor, AuditFilter, AuditMatch, AuditOrder, AuditResource, PayloadView, query};
use stagedoor_domain::{PublicError, TenantContext, ToolName, UserId};
use uuid::Uuid;

use crate::arguments::{bounded, invalid, read, text};
use crate::cursor;
use crate::desk::Desk;
use crate::origin::Origin;
use crate::records::store_failure;
use crate::reuse::Produced;

/// The longest that a name, an action or an outcome can be.
const LONGEST: usize = 100;

/// What to look for; what is left out does not matter.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryArguments {
    /// A person's user id.
    person: Option<String>,
    /// `key:` and a key's public id, or `job:` and a name.
    agent: Option<String>,
    /// A tool, or another action such as `authenticate`.
    tool: Option<String>,
    /// `ok`, `cancelled` or an error's code; `pending` for what was opened, ended or not.
    outcome: Option<String>,
    /// From then on (RFC 3339).
    from: Option<String>,
    /// Until before then.
    to: Option<String>,
    oldest_first: Option<bool>,
    /// 1-100, default 20.
    limit: Option<u32>,
    cursor: Option<String>,
}

/// A page of records.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct QueryOutput {
    records: Vec<RecordOutput>,
    /// Records that were looked at for this page.
    examined: u64,
    /// Records in that part of the trail whose content was erased with its person, so that a filter cannot tell.
    #[serde(skip_serializing_if = "is_none")]
    erased: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// One record.
#[derive(Debug, Serialize, JsonSchema)]
struct RecordOutput {
    /// When (RFC 3339).
    at: String,
    /// Its place in the chain: day and number.
    position: String,
    call: String,
    /// `erased` with its person, or `altered` in the database; left out if it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<&'static str>,
    /// What was recorded: `record` (opened, closed, call, refusal), `user_id`, `principal`, `action`, `resource`,
    /// `details`, `gdpr_category`.
    #[serde(flatten)]
    #[schemars(with = "Map<String, Value>")]
    event: Map<String, Value>,
}

pub(crate) async fn run(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: QueryArguments,
) -> Produced {
    let limit = bounded("limit", arguments.limit, 20, 100)?;
    let oldest_first = arguments.oldest_first.unwrap_or(false);
    let order = if oldest_first { AuditOrder::OldestFirst } else { AuditOrder::NewestFirst };
    let filter = arguments.filter()?;
    let (tool, binding) = (ToolName::AuditQuery, format!("{filter:?} {oldest_first}"));
    let after: Option<AuditCursor> = match &arguments.cursor {
        None => None,
        Some(sealed) => {
            let page = cursor::open(desk, ctx, origin, (tool, &binding), sealed).await?;
            Some(page.parse().map_err(|_| cursor::invalid("is of a form that is no longer known"))?)
        }
    };
    let page = query(desk.vault(), ctx, &filter, order, after, limit).await;
    let page = page.map_err(|error| store_failure(&error))?;
    if page.stopped_early {
        origin.warn("The search stopped after many records that do not fit; go on with `next_cursor`.");
    }
    let next_cursor = match page.next {
        Some(next) => Some(cursor::seal(desk, ctx, tool, &binding, &next.to_string()).await?),
        None => None,
    };
    let records = page.records.iter().map(record).collect();
    desk.fresh(&QueryOutput { records, examined: page.examined, erased: page.erased, next_cursor })
}

/// What a call's record says before anything is looked at: whose records, and which. `None` if the call will be refused.
pub(crate) fn about(given: Option<&RawValue>) -> Option<AuditResource> {
    let arguments: QueryArguments = read(given).ok()?;
    arguments.filter().ok().as_ref().map(describe)
}

/// A search of the trail as its own record names it.
pub fn describe(filter: &AuditFilter) -> AuditResource {
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let parts = [
        ("person", filter.user.map(|user| user.to_string())),
        ("agent", filter.principal.as_deref().map(str::to_owned)),
        ("action", filter.action.as_deref().map(str::to_owned)),
        ("outcome", filter.outcome.as_deref().map(str::to_owned)),
        ("call", filter.call.map(|call| call.to_string())),
        ("from", filter.from.map(time)),
        ("to", filter.to.map(time)),
    ];
    let parts: Vec<String> =
        parts.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?))).collect();
    let id = if parts.is_empty() { "all".to_owned() } else { parts.join(" ") };
    AuditResource { kind: "audit_filter", id: id.into() }
}

impl QueryArguments {
    fn filter(&self) -> Result<AuditFilter, PublicError> {
        let name = |field, value: &Option<String>| match value {
            Some(value) => text(field, value, LONGEST).map(|value| Some(value.into())),
            None => Ok(None),
        };
        Ok(AuditFilter {
            user: self.person.as_deref().map(person).transpose()?,
            principal: name("agent", &self.agent)?,
            action: name("tool", &self.tool)?,
            outcome: name("outcome", &self.outcome)?,
            from: moment("from", self.from.as_deref())?,
            to: moment("to", self.to.as_deref())?,
            call: None,
        })
    }
}

fn person(text: &str) -> Result<UserId, PublicError> {
    let id: Result<Uuid, _> = text.trim().parse();
    id.map(UserId).map_err(|_| invalid("`person` must be a user id: a UUID."))
}

fn moment(field: &str, text: Option<&str>) -> Result<Option<DateTime<Utc>>, PublicError> {
    let Some(text) = text else { return Ok(None) };
    let at = DateTime::parse_from_rfc3339(text.trim());
    let wrong = |_| invalid(format!("`{field}` must be a time such as 2026-11-22T08:00:00Z."));
    at.map(|at| Some(at.to_utc())).map_err(wrong)
}

fn record(found: &AuditMatch) -> RecordOutput {
    let stored = &found.view.record;
    let mut event = match found.view.json() {
        Some(Value::Object(event)) => event,
        _ => Map::new(),
    };
    // Said already, or about the form of the text only.
    for name in ["version", "event_id", "timestamp"] {
        event.remove(name);
    }
    leave_out_nulls(&mut event);
    RecordOutput {
        at: stored.occurred_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        position: format!("{}.{}", found.day, stored.seq),
        call: stored.call_id.to_string(),
        lost: match found.view.payload {
            PayloadView::Open { .. } => None,
            PayloadView::Erased => Some("erased"),
            PayloadView::Altered => Some("altered"),
        },
        event,
    }
}

/// What is not known costs an agent as much to read as what is.
fn leave_out_nulls(object: &mut Map<String, Value>) {
    object.retain(|_, value| !value.is_null());
    object.values_mut().filter_map(Value::as_object_mut).for_each(leave_out_nulls);
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_none(count: &u64) -> bool {
    *count == 0
}
