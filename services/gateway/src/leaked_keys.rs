//! Reports of keys that were found in public, in the form of GitHub's secret scanning alerts, from anyone: whoever holds a
//! key that works could do worse with it, so having it is all the proof that is asked for. Such a key is revoked at once,
//! an agent's as well as the admin API's, and its tenant's trail says so. Made-up ones are counted as one guess, and keep no real one from being
//! revoked.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::{Deserialize, Serialize};
use stagedoor_audit::{AuditAction, AuditClient, AuditError, AuditOpening, AuditOutcome, AuditResource};
use stagedoor_crypto::digest::sha256;
use stagedoor_crypto::{KeyMode, Peppers, PlainApiKey};
use stagedoor_domain::error::Chain;
use stagedoor_domain::text::clean;
use stagedoor_domain::{ErrorCode, PublicError};
use stagedoor_storage::api_keys::ReportedKey;
use stagedoor_storage::{Store, StoreError};
use tokio::sync::Semaphore;

use crate::client::Client;
use crate::problem::Problem;
use crate::state::AppState;
use crate::{client, tenancy};

/// Who does it, on the audit trail.
const JOB: &str = "leak_report";
/// The longest report, in bytes, and the most findings in one.
const LONGEST: usize = 256 * 1024;
const MOST: usize = 100;
/// The longest name of a type that is said back, in characters.
const LONGEST_TYPE: usize = 100;
/// A key may be stored anew while it is looked at, under a newer pepper; once.
const TRIES: usize = 2;
/// Reports that are judged at a time; the others wait, so that they leave the database to the calls.
const AT_ONCE: usize = 2;

/// What judging reports takes.
#[derive(Debug)]
pub struct LeakReports {
    store: Store,
    peppers: Arc<Peppers>,
    judging: Semaphore,
}

/// One text that looks like a key. Where it was found is not kept.
#[derive(Deserialize)]
struct Finding {
    token: String,
    #[serde(rename = "type", default)]
    kind: String,
}

/// What became of it.
#[derive(Serialize)]
struct Verdict {
    /// SHA-256 of the text, in hexadecimal digits.
    token_hash: String,
    /// As the report has it.
    token_type: String,
    label: Label,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Label {
    /// A key, which does not work any more.
    TruePositive,
    /// None that is or was ours.
    FalsePositive,
}

/// What a finding is.
enum Judged {
    /// A key, which does not work any more.
    Ours,
    NotOurs {
        /// It has a key's checksum, as only a made-up one has.
        looks_like_it: bool,
    },
}

/// Why a report was not judged to its end.
enum Failure {
    Guessed(PublicError),
    Store(StoreError),
    Audit(AuditError),
}

impl LeakReports {
    /// Judges by the keys in `store`.
    pub fn new(store: Store, peppers: Arc<Peppers>) -> Self {
        Self { store, peppers, judging: Semaphore::new(AT_ONCE) }
    }

    /// The key that the text is, revoked or not.
    async fn find(&self, key: &PlainApiKey) -> Result<Option<ReportedKey>, StoreError> {
        let found = self.store.reported_key(key.mode(), key.id()).await?;
        Ok(found.filter(|found| key.verify(&found.digest, &self.peppers)))
    }
}

/// `POST /leaked-keys`.
pub async fn report(State(state): State<Arc<AppState>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    if let Err(problem) = state.doors.check(authority, &parts.headers) {
        return problem.closing().into_response();
    }
    let client = client::of(&state.proxies, &parts.extensions, &parts.headers);
    let findings = match read(body, state.mcp.body_timeout).await {
        Ok(findings) => findings,
        Err(error) => return Problem::new(error).closing().into_response(),
    };
    // Apart from its caller: what was begun is done.
    let work = judge_all(Arc::clone(&state), findings, client);
    match state.background.spawn(JOB, work).await {
        Ok(Some(Ok(verdicts))) => answer(&verdicts),
        Ok(Some(Err(failure))) => failure.problem().into_response(),
        Ok(None) | Err(_) => Problem::new(PublicError::internal()).into_response(),
    }
}

async fn judge_all(
    state: Arc<AppState>,
    findings: Vec<Finding>,
    client: Client,
) -> Result<Vec<Verdict>, Failure> {
    let mut verdicts = Vec::with_capacity(findings.len());
    let mut made_up = false;
    let _turn = state.leaks.judging.acquire().await;
    for finding in findings {
        let label = match judge(&state, &finding.token, &client).await? {
            Judged::Ours => Label::TruePositive,
            Judged::NotOurs { looks_like_it } => {
                made_up |= looks_like_it;
                Label::FalsePositive
            }
        };
        verdicts.push(Verdict {
            token_hash: hexadecimal(&sha256(&[finding.token.as_bytes()])),
            token_type: clean(&finding.kind, LONGEST_TYPE),
            label,
        });
    }
    // Whoever plants made-up keys beside a real one must not keep it from being revoked: a report is judged to its end.
    if made_up {
        let counted = state.authenticator.record_guess(client.address).await;
        if verdicts.iter().all(|verdict| verdict.label == Label::FalsePositive) {
            counted.map_err(Failure::Guessed)?;
        }
    }
    Ok(verdicts)
}

async fn judge(state: &AppState, token: &str, client: &Client) -> Result<Judged, Failure> {
    // The checksum refuses made-up keys before anything is looked up.
    let Ok(key) = PlainApiKey::parse(token) else { return Ok(Judged::NotOurs { looks_like_it: false }) };
    for _ in 0..TRIES {
        let Some(found) = state.leaks.find(&key).await? else {
            return Ok(Judged::NotOurs { looks_like_it: true });
        };
        if found.revoked || revoke(state, &found, client).await? {
            return Ok(Judged::Ours);
        }
    }
    Err(Failure::Store(StoreError::Changed("the API key")))
}

/// `false` if somebody else did it, or the key was stored anew.
async fn revoke(state: &AppState, key: &ReportedKey, client: &Client) -> Result<bool, Failure> {
    let tenant = Arc::new(key.tenant.clone());
    let ctx = tenancy::establish_job(tenant, JOB, state.clock.as_ref(), state.entropy.as_ref());
    let kind = if key.mode == KeyMode::Admin { "admin_key" } else { "api_key" };
    let client =
        AuditClient { address: Some(client.address), user_agent: client.user_agent.clone(), software: None };
    let opening = AuditOpening {
        resource: Some(AuditResource { kind, id: key.id.as_str().into() }),
        ..AuditOpening::new(AuditAction::KeyLeaked, client)
    };
    let entry = state.audit.open(&ctx, opening).await.map_err(Failure::Audit)?;
    let began = state.clock.elapsed();
    let revoked = state.leaks.store.revoke_leaked_key(key).await;
    let error = match &revoked {
        Ok(true) => None,
        Ok(false) => Some(ErrorCode::Conflict),
        Err(error) => Some(error.public().code),
    };
    entry
        .close(AuditOutcome {
            error,
            response_code: error.map_or(200, ErrorCode::http_status),
            duration: state.clock.elapsed().saturating_sub(began),
            cached: false,
        })
        .await;
    let revoked = revoked?;
    if revoked {
        let (tenant, key) = (key.tenant.slug.as_str(), key.id.as_str());
        tracing::warn!(tenant, key, kind, "a key was found in public, reported, and revoked");
    }
    Ok(revoked)
}

async fn read(body: Body, timeout: Duration) -> Result<Vec<Finding>, PublicError> {
    let collected = tokio::time::timeout(timeout, Limited::new(body, LONGEST).collect()).await;
    let Ok(collected) = collected else {
        return Err(PublicError::new(ErrorCode::BodyTimeout, "The report did not arrive in time."));
    };
    let bytes = collected.map_err(|error| {
        if error.is::<LengthLimitError>() {
            return PublicError::new(ErrorCode::BodyTooLarge, "The report is too long; send several.");
        }
        PublicError::new(ErrorCode::InvalidRequest, "The report broke off before its end.")
    })?;
    findings(&bytes.to_bytes())
}

fn findings(bytes: &Bytes) -> Result<Vec<Finding>, PublicError> {
    let findings: Vec<Finding> = serde_json::from_slice(bytes).map_err(|error| {
        let code = if error.is_data() { ErrorCode::InvalidRequest } else { ErrorCode::MalformedJson };
        PublicError::new(code, "The report is no list of objects that have a `token`.")
            .hint("Send [{\"token\": \"sd_live_…\", \"type\": \"…\", \"url\": \"…\", \"source\": \"…\"}].")
    })?;
    if findings.len() > MOST {
        let message = format!("At most {MOST} findings in one report; this one has {}.", findings.len());
        return Err(PublicError::new(ErrorCode::InvalidRequest, message));
    }
    Ok(findings)
}

fn answer(verdicts: &[Verdict]) -> Response {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
    let body = serde_json::to_vec(verdicts).expect("verdicts are texts");
    ([(CONTENT_TYPE, JSON), (CACHE_CONTROL, NO_STORE)], body).into_response()
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Failure {
    fn problem(self) -> Problem {
        match self {
            Self::Guessed(error) => Problem::new(error),
            Self::Store(error) => {
                tracing::error!(error = %Chain(&error), "a key that was found in public could not be judged");
                Problem::new(error.public())
            }
            Self::Audit(error) => {
                tracing::error!(error = %Chain(&error), "a key that was found in public was not revoked");
                Problem::new(error.public())
            }
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_the_form_of_an_alert() {
        let read = |text: &str| findings(&Bytes::copy_from_slice(text.as_bytes()));
        let one = r#"{"token":"x","type":"t","url":"https://example.com/x","source":"content"}"#;
        assert_eq!(read(&format!("[{one}, {{\"token\":\"y\"}}]")).unwrap_or_default().len(), 2);
        let code = |text: &str| read(text).err().map(|error| error.code);
        assert_eq!(code("[]"), None);
        assert_eq!(code("[{"), Some(ErrorCode::MalformedJson));
        for wrong in ["{}", "[{}]", "[1]", "[{\"token\":1}]"] {
            assert_eq!(code(wrong), Some(ErrorCode::InvalidRequest), "{wrong}");
        }
        assert_eq!(code(&format!("[{}]", vec![one; MOST + 1].join(","))), Some(ErrorCode::InvalidRequest));
    }
}
