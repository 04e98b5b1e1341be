//! A record's text: one JSON object with SEED-T §5.2's fields. Its bytes are committed to by the chain, so they are
//! made once and never again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use stagedoor_crypto::DataKey;
use uuid::Uuid;

use crate::event::{AuditClient, Ending, Event};
use crate::hex;

#[derive(Serialize)]
struct Payload<'a> {
    version: u8,
    event_id: Uuid,
    record: &'static str,
    timestamp: String,
    user_id: Option<Uuid>,
    session_id: Option<Uuid>,
    principal: &'a str,
    event_type: &'static str,
    action: &'static str,
    resource: Option<Resource<'a>>,
    details: Details<'a>,
    gdpr_category: &'static str,
}

#[derive(Serialize)]
struct Resource<'a> {
    r#type: &'static str,
    id: &'a str,
}

#[derive(Serialize)]
struct Details<'a> {
    ip_address: Option<&'a str>,
    user_agent: Option<&'a str>,
    software: Option<&'a str>,
    outcome: &'static str,
    response_code: Option<u16>,
    processing_time_ms: Option<f64>,
    cached: Option<bool>,
}

/// Codes of addresses, user agents and programs under one tenant's key, kept for one batch, in which few clients repeat.
/// Each calendar month (UTC) has codes of its own, so that those of two months cannot be joined.
pub(crate) struct ClientCodes {
    month: String,
    addresses: HashMap<IpAddr, String>,
    texts: HashMap<(Text, Arc<str>), String>,
}

/// What a code is of, besides addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Text {
    UserAgent,
    Software,
}

impl Text {
    const fn column(self) -> &'static str {
        match self {
            Self::UserAgent => "audit.user_agent",
            Self::Software => "audit.software",
        }
    }
}

impl ClientCodes {
    /// The codes of records of the month that `at` is in.
    pub(crate) fn of_month(at: DateTime<Utc>) -> Self {
        Self { month: at.format("%Y-%m").to_string(), addresses: HashMap::new(), texts: HashMap::new() }
    }

    fn learn(&mut self, tenant_key: &DataKey, event: &Event) {
        let month = &self.month;
        if let Some(address) = event.client.address {
            let value = address.to_string();
            self.addresses
                .entry(address)
                .or_insert_with(|| code(tenant_key, "audit.client_address", month, value.as_bytes()));
        }
        for (kind, text) in event.client.texts() {
            self.texts
                .entry((kind, text.clone()))
                .or_insert_with(|| code(tenant_key, kind.column(), month, text.as_bytes()));
        }
    }

    fn text(&self, kind: Text, text: Option<&Arc<str>>) -> Option<&str> {
        text.map(|text| self.texts[&(kind, text.clone())].as_str())
    }
}

impl AuditClient {
    fn texts(&self) -> impl Iterator<Item = (Text, &Arc<str>)> {
        let agent = self.user_agent.iter().map(|text| (Text::UserAgent, text));
        agent.chain(self.software.iter().map(|text| (Text::Software, text)))
    }
}

/// 128 bits of a blind index, in hexadecimal.
fn code(tenant_key: &DataKey, column: &str, month: &str, value: &[u8]) -> String {
    let index = tenant_key.blind_index(&format!("{column}/{month}"), value);
    hex::encode(&index[..16])
}

/// The text of `event`.
pub(crate) fn write(event: &Event, tenant_key: &DataKey, codes: &mut ClientCodes) -> Vec<u8> {
    codes.learn(tenant_key, event);
    let (outcome, response_code, duration, cached) = match event.ending {
        Ending::Pending => ("pending", None, None, None),
        Ending::Cancelled(duration) => ("cancelled", None, Some(duration), None),
        Ending::Done(done) => (
            done.error.map_or("ok", stagedoor_domain::ErrorCode::as_str),
            Some(done.response_code),
            Some(done.duration),
            Some(done.cached),
        ),
    };
    let label = event.context.principal().label();
    let refused = event.kind == crate::event::RecordKind::Refusal;
    let payload = Payload {
        version: 2,
        event_id: event.context.call().0,
        record: event.kind.as_str(),
        timestamp: event.at.to_rfc3339_opts(SecondsFormat::Micros, true),
        user_id: event.context.user().map(|user| user.0),
        session_id: event.session.map(|session| session.0),
        principal: if refused { event.claimed.as_deref().unwrap_or("unknown") } else { &label },
        event_type: event.event_type(),
        action: event.action.as_str(),
        resource: event
            .resource
            .as_ref()
            .map(|resource| Resource { r#type: resource.kind, id: &resource.id }),
        details: Details {
            ip_address: event.client.address.map(|address| codes.addresses[&address].as_str()),
            user_agent: codes.text(Text::UserAgent, event.client.user_agent.as_ref()),
            software: codes.text(Text::Software, event.client.software.as_ref()),
            outcome,
            response_code,
            processing_time_ms: duration.map(|duration| duration.as_secs_f64() * 1_000.0),
            cached,
        },
        gdpr_category: event.category.as_str(),
    };
    to_json(&payload)
}

fn to_json(payload: &Payload<'_>) -> Vec<u8> {
    let mut text = Vec::with_capacity(512);
    payload
        .serialize(&mut Serializer::with_formatter(&mut text, Rounded))
        .expect("a struct of texts and numbers is always JSON");
    text
}

/// Milliseconds to three digits: a duration is not known to the nanosecond.
struct Rounded;

impl Formatter for Rounded {
    fn write_f64<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, value: f64) -> std::io::Result<()> {
        write!(writer, "{value:.3}")
    }
}
