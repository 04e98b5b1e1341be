//! Records as they are printed: a line for each, for people or as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};
use stagedoor_audit::{AuditCursor, AuditMatch, PayloadView};

use super::{Output, print};

/// What a search came to.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) shown: u64,
    pub(super) examined: u64,
    pub(super) erased: u64,
}

/// Prints records as they are found.
#[derive(Debug)]
pub(super) struct Rows {
    output: Output,
    headed: bool,
}

impl Rows {
    pub(super) fn new(output: Output) -> Self {
        Self { output, headed: false }
    }

    pub(super) fn add(&mut self, found: &AuditMatch) -> anyhow::Result<()> {
        match self.output {
            Output::Json => print(&format!("{}\n", line(found))),
            Output::Text => {
                if !std::mem::replace(&mut self.headed, true) {
                    print(&row(["time", "record", "action", "outcome", "agent", "about", "person"], "call"))?;
                }
                print(&text(found))
            }
        }
    }

    pub(super) fn end(&self, found: &Found, next: Option<&AuditCursor>) -> anyhow::Result<()> {
        let next = next.map(ToString::to_string);
        match self.output {
            Output::Json => print(&format!(
                "{}\n",
                json!({
                    "records": found.shown,
                    "examined": found.examined,
                    "erased": found.erased,
                    "next_cursor": next,
                })
            )),
            Output::Text => {
                let mut text = format!("{} records of {} examined", found.shown, found.examined);
                if found.erased > 0 {
                    let _ = write!(text, "; {} were erased and cannot be told by this filter", found.erased);
                }
                if let Some(next) = next {
                    let _ = write!(text, "; there are more: --cursor {next}");
                }
                text.push('\n');
                print(&text)
            }
        }
    }
}

/// The record's own text, and its place in the chain.
fn line(found: &AuditMatch) -> Value {
    let record = &found.view.record;
    json!({
        "day": found.day,
        "seq": record.seq,
        "at": record.occurred_at,
        "call": record.call_id,
        "state": state(&found.view.payload),
        "event": found.view.json(),
    })
}

fn state(payload: &PayloadView) -> &'static str {
    match payload {
        PayloadView::Open { .. } => "open",
        PayloadView::Erased => "erased",
        PayloadView::Altered => "altered",
    }
}

fn text(found: &AuditMatch) -> String {
    let record = &found.view.record;
    let event = found.view.json().unwrap_or_default();
    let member = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let kind = match found.view.payload {
        PayloadView::Open { .. } => member(&event["record"]),
        ref other => state(other).to_owned(),
    };
    let about = match event["resource"]["id"].as_str() {
        Some(id) => id.to_owned(),
        None => "-".to_owned(),
    };
    let time = record.occurred_at.format("%Y-%m-%d %H:%M:%S%.3f").to_string();
    row(
        [
            &time,
            &kind,
            &member(&event["action"]),
            &member(&event["details"]["outcome"]),
            &member(&event["principal"]),
            &about,
            &member(&event["user_id"]),
        ],
        &record.call_id.to_string(),
    )
}

fn row([time, record, action, outcome, agent, about, person]: [&str; 7], call: &str) -> String {
    format!("{time:<23} {record:<7} {action:<18} {outcome:<20} {agent:<20} {about:<32} {person:<36} {call}\n")
}
