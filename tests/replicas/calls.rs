//! One request of an agent, from asking to the books.

use std::time::Duration;

use serde_json::{Value, json};
use stagedoor_testkit::{Answer, Client};

use crate::ledger::{Kind, Ledger};

/// An agent's key and the way it speaks.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Whose it is: the place of its tenant in the population.
    pub(crate) tenant: usize,
    /// The revision of the protocol.
    pub(crate) revision: &'static str,
    /// Its client.
    pub(crate) client: Client,
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) method: &'static str,
    pub(crate) params: Value,
    /// The tool that it is on record as.
    pub(crate) tool: Option<&'static str>,
    pub(crate) kind: Kind,
}

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The result of JSON-RPC.
    Result(Value),
    /// There is no room in a quota.
    Limited,
    /// It failed, which the books know.
    Failed,
}

impl Wanted {
    /// A call of a tool that changes nothing.
    pub(crate) fn read(tool: &'static str, arguments: &Value) -> Self {
        Self::tool(tool, arguments, Kind::Read)
    }

    /// A call of a tool that changes a playlist.
    pub(crate) fn write(tool: &'static str, arguments: &Value) -> Self {
        Self::tool(tool, arguments, Kind::Write)
    }

    /// A call of a tool.
    pub(crate) fn tool(tool: &'static str, arguments: &Value, kind: Kind) -> Self {
        let params = json!({ "name": tool, "arguments": arguments });
        Self { method: "tools/call", params, tool: Some(tool), kind }
    }

    /// Another request.
    pub(crate) fn method(method: &'static str, params: Value) -> Self {
        Self { method, params, tool: None, kind: Kind::Read }
    }
}

impl Caller {
    /// Sends a request that was due at `due`.
    pub(crate) async fn ask(&self, ledger: &Ledger, wanted: &Wanted, due: Duration) -> Reply {
        let stretch = ledger.stretch();
        let answer = self.client.try_rpc(wanted.method, wanted.params.clone()).await;
        ledger.count(stretch, self.revision, wanted.kind, due);
        // What is answered is on record, whatever the answer is.
        if let Some(tool) = wanted.tool.filter(|_| answer.as_ref().is_ok_and(|answer| answer.status == 200)) {
            *ledger.pages().answered.entry((self.tenant, tool)).or_default() += 1;
        }
        let reply = answer.map_err(|error| format!("{error:?}")).and_then(|answer| read(&answer));
        let what = || wanted.tool.unwrap_or(wanted.method);
        match reply {
            Ok(Some(result)) => Reply::Result(result),
            Ok(None) => Reply::Limited,
            Err(how) => {
                let at = ledger.pages().stretches.last().map(|stretch| stretch.name.clone());
                let at = at.unwrap_or_else(|| "at the start".to_owned());
                ledger.failed(format!(
                    "{at}, {} of {} at {}: {how}",
                    what(),
                    self.revision,
                    self.client.url()
                ));
                Reply::Failed
            }
        }
    }

    /// The same for what nobody is limited in: `None` if it failed.
    pub(crate) async fn result(&self, ledger: &Ledger, wanted: &Wanted, due: Duration) -> Option<Value> {
        match self.ask(ledger, wanted, due).await {
            Reply::Result(result) => Some(result),
            Reply::Failed => None,
            Reply::Limited => {
                ledger.failed(format!("{:?} was refused for its quota", wanted.tool));
                None
            }
        }
    }
}

/// The result, or `None` where a quota refused it.
fn read(answer: &Answer) -> Result<Option<Value>, String> {
    let kind = answer.header("content-type").unwrap_or_default();
    if !kind.contains("json") && !kind.starts_with("text/event-stream") {
        return Err(format!("status {}: {}", answer.status, answer.text()));
    }
    match answer.verdict().as_str() {
        "200 ok" => {
            let result = answer.result();
            if result["isError"] == true || result.is_null() {
                return Err(answer.text());
            }
            Ok(Some(result))
        }
        "200 rate_limited" => Ok(None),
        _ => Err(format!("status {}: {}", answer.status, answer.text())),
    }
}
