//! What was asked of the sandbox: a counter an operation, and the latest requests. Tokens, codes and secrets stay out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use stagedoor_domain::Provider;

const KEPT: usize = 1000;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoggedRequest {
    /// The provider it was meant for.
    pub provider: Provider,
    /// The operation, e.g. `GET /tracks/{id}`.
    pub operation: String,
    /// The method.
    pub method: String,
    /// The path below `/spotify` without `/v1`, or below `/tidal` without `/v2`.
    pub path: String,
    /// The query as it was sent; on pages for consent without what only the two ends may know.
    pub query: Option<String>,
    /// The body as text; at the token endpoints only the grant type, on pages for consent as the query.
    pub body: String,
    /// Header names, lower case, in the order sent.
    pub headers: Vec<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Journal {
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    counts: BTreeMap<Provider, BTreeMap<String, u64>>,
    grant_types: BTreeMap<Provider, BTreeMap<String, u64>>,
    latest: VecDeque<LoggedRequest>,
}

impl Journal {
    pub(crate) fn record(&self, request: LoggedRequest) {
        let mut pages = self.lock();
        *pages.counts.entry(request.provider).or_default().entry(request.operation.clone()).or_default() += 1;
        if pages.latest.len() == KEPT {
            pages.latest.pop_front();
        }
        pages.latest.push_back(request);
    }

    pub(crate) fn count_grant_type(&self, provider: Provider, grant_type: &str) {
        // The name is the caller's to choose; what no endpoint knows is counted as one.
        let known = ["authorization_code", "client_credentials", "refresh_token"].contains(&grant_type);
        let name = if known { grant_type } else { "other" };
        *self.lock().grant_types.entry(provider).or_default().entry(name.to_owned()).or_default() += 1;
    }

    pub(crate) fn grant_types(&self, provider: Provider) -> BTreeMap<String, u64> {
        self.lock().grant_types.get(&provider).cloned().unwrap_or_default()
    }

    pub(crate) fn counts(&self, provider: Provider) -> BTreeMap<String, u64> {
        self.lock().counts.get(&provider).cloned().unwrap_or_default()
    }

    pub(crate) fn latest(&self) -> Vec<LoggedRequest> {
        self.lock().latest.iter().cloned().collect()
    }

    pub(crate) fn reset(&self) {
        *self.lock() = Pages::default();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
