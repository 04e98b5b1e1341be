//! `consent_get` and `consent_set`: what a person has agreed to, for which version of the tenant's policy, and what shows
//! it. A decision counts on every replica before it is answered.

use chrono::SecondsFormat;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_audit::AuditResource;
use stagedoor_domain::{ConsentPurpose, ErrorCode, PrivacyTerms, PublicError, TenantContext, UserId};
use stagedoor_storage::StoreError;
use stagedoor_storage::consents::{self, Decision, NewDecision, Proof};

use crate::accounts::NoArguments;
use crate::arguments::invalid;
use crate::desk::{Desk, acting_for};
use crate::origin::Origin;
use crate::records::store_failure;
use crate::reuse::Produced;
use crate::wishes::Announcement;

/// How often a decision is tried again that another one came before.
const ATTEMPTS: usize = 5;
/// Stands for the policy's version where a consent is taken back while the tenant names none.
const UNNAMED: &str = "unnamed";

/// What the person has decided.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetArguments {
    #[schemars(with = "String", extend("enum" = ConsentPurpose::ALL))]
    purpose: ConsentPurpose,
    granted: bool,
    /// That the person was shown; needed to grant.
    policy_version: Option<String>,
}

/// What a person has agreed to, and what that is about.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ConsentsOutput {
    /// The version that consents are asked for now.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_url: Option<String>,
    consents: Vec<ConsentOutput>,
}

/// How one purpose stands.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ConsentOutput {
    #[schemars(with = "String")]
    purpose: ConsentPurpose,
    state: State,
    /// What a consent allows.
    allows: &'static str,
    /// The version that was decided about.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_version: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<ProofOutput>,
}

/// A statement that the tenant signed.
#[derive(Debug, Serialize, JsonSchema)]
struct ProofOutput {
    statement: String,
    key_id: String,
    algorithm: String,
    signature: String,
}

/// How a person's consent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    NeverAsked,
    Granted,
    Withdrawn,
    /// It was given for another version of the policy.
    Outdated,
}

impl State {
    /// What a decision, if there is one, means under the tenant's present policy.
    pub(crate) fn of(ctx: &TenantContext, decided: Option<(bool, &str)>) -> Self {
        match decided {
            None => Self::NeverAsked,
            Some((false, _)) => Self::Withdrawn,
            Some((true, version)) if terms(ctx).policy_version.as_deref() == Some(version) => Self::Granted,
            Some((true, _)) => Self::Outdated,
        }
    }
}

/// That processing for `purpose` may happen, which it may not without a consent.
pub(crate) fn required(
    ctx: &TenantContext,
    purpose: ConsentPurpose,
    state: State,
) -> Result<(), PublicError> {
    let why = match state {
        State::Granted => return Ok(()),
        State::NeverAsked => "has not consented to",
        State::Withdrawn => "has declined or withdrawn the consent to",
        State::Outdated => "has consented to an earlier version of the policy only for",
    };
    let told = PublicError::new(ErrorCode::ConsentRequired, format!("The person {why} {purpose}."));
    Err(match &terms(ctx).policy_version {
        Some(version) => told.hint(format!(
            "Show the person version {version} of the policy{}; if they agree, call consent_set, then call again.",
            address(terms(ctx))
        )),
        None => told.hint("Nobody can consent until the tenant's operator names a version of its policy."),
    })
}

/// `consent_get`.
pub(crate) async fn get(desk: &Desk, ctx: &TenantContext, _arguments: NoArguments) -> Produced {
    let user = acting_for(ctx)?;
    let mut standing = load(desk, ctx, user).await?;
    let mut found = Vec::with_capacity(ConsentPurpose::ALL.len());
    for purpose in ConsentPurpose::ALL {
        let at = standing.iter().position(|standing| standing.purpose == *purpose);
        let decision = match at.map(|at| standing.swap_remove(at)) {
            Some(standing) => Some(standing.decision.map_err(|error| store_failure(&error))?),
            None => None,
        };
        found.push(shown(ctx, *purpose, decision));
    }
    let PrivacyTerms { policy_version, policy_url } = terms(ctx).clone();
    desk.fresh(&ConsentsOutput { policy_version, policy_url, consents: found })
}

/// `consent_set`.
pub(crate) async fn set(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: SetArguments,
) -> Produced {
    let user = acting_for(ctx)?;
    let SetArguments { purpose, granted, policy_version } = arguments;
    let policy_version = &*version_shown(terms(ctx), granted, policy_version)?;
    let mut answer = Err(changed());
    for _ in 0..ATTEMPTS {
        let standing = load(desk, ctx, user).await?.into_iter().find(|standing| standing.purpose == purpose);
        let mut after = 0;
        if let Some(standing) = standing {
            after = standing.number;
            match standing.decision {
                Ok(same) if same.granted == granted && same.policy_version == policy_version => {
                    return desk.fresh(&shown(ctx, purpose, Some(same)));
                }
                Ok(_) => {}
                Err(damage) => {
                    store_failure(&damage);
                    origin.warn("The decision that was stored could not be read; this one takes its place.");
                }
            }
        }
        let new = NewDecision {
            user,
            purpose,
            granted,
            policy_version,
            policy_url: terms(ctx).policy_url.as_deref(),
            software: origin.client().software.as_deref(),
            after,
        };
        answer = decide(desk, ctx, origin, new).await;
        if !answer.as_ref().is_err_and(|error| error.code == ErrorCode::Conflict) {
            break;
        }
    }
    let decision = answer?;
    origin.about(AuditResource { kind: "consent", id: decision.id.to_string().into() });
    desk.fresh(&shown(ctx, purpose, Some(decision)))
}

/// The version that a decision is about: the one that was shown, which for a consent has to be the present one.
fn version_shown(terms: &PrivacyTerms, granted: bool, shown: Option<String>) -> Result<String, PublicError> {
    if let Some(shown) = shown.as_deref().filter(|shown| !PrivacyTerms::is_version(shown)) {
        let wanted = "1 to 32 letters, digits, dots, hyphens and underscores";
        let found: String = shown.chars().take(40).collect();
        return Err(invalid(format!("`policy_version` is {found:?}, but must be of {wanted}.")));
    }
    match (&terms.policy_version, shown) {
        // What is taken back is taken back, whatever was shown.
        (present, shown) if !granted => {
            Ok(shown.or_else(|| present.clone()).unwrap_or_else(|| UNNAMED.to_owned()))
        }
        (None, _) => {
            let message =
                "The tenant names no version of its policy, so nobody can consent to it. Nothing was kept.";
            Err(PublicError::new(ErrorCode::Conflict, message)
                .hint("The tenant's operator has to set `privacy.policy_version`."))
        }
        (Some(present), Some(shown)) if *present == shown => Ok(shown),
        (Some(present), Some(shown)) => {
            let message = format!("The policy is at version {present}, not {shown}. Nothing was kept.");
            let hint = format!("Show the person version {present}{} and ask again.", address(terms));
            Err(PublicError::new(ErrorCode::Conflict, message).hint(hint))
        }
        (Some(present), None) => Err(invalid(format!(
            "`policy_version` is missing: the version of the policy that the person was shown. It is at {present} \
             now{}.",
            address(terms)
        ))),
    }
}

/// Keeps a decision. Whether or not it is known to have been kept, no replica goes by what was decided before.
async fn decide(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    new: NewDecision<'_>,
) -> Result<Decision, PublicError> {
    let announcement = Announcement::of(desk, ctx, new.user);
    let decided = consents::decide(desk.vault(), ctx, new).await;
    announcement.make(origin).await;
    decided.map_err(|error| match error {
        StoreError::Changed(_) => changed(),
        error => store_failure(&error),
    })
}

async fn load(
    desk: &Desk,
    ctx: &TenantContext,
    user: UserId,
) -> Result<Vec<consents::Standing>, PublicError> {
    consents::current(desk.vault(), ctx, user).await.map_err(|error| store_failure(&error))
}

fn shown(ctx: &TenantContext, purpose: ConsentPurpose, decision: Option<Decision>) -> ConsentOutput {
    let decided = decision.as_ref().map(|decision| (decision.granted, &*decision.policy_version));
    let state = State::of(ctx, decided);
    let (mut policy_version, mut decided_at, mut consent, mut proof) = (None, None, None, None);
    if let Some(decision) = decision {
        policy_version = Some(decision.policy_version);
        decided_at = Some(decision.decided_at.to_rfc3339_opts(SecondsFormat::Secs, true));
        consent = Some(decision.id.to_string());
        let Proof { statement, key_id, algorithm, signature } = decision.proof;
        proof = Some(ProofOutput { statement, key_id: key_id.to_string(), algorithm, signature });
    }
    ConsentOutput { purpose, state, allows: allows(purpose), policy_version, decided_at, consent, proof }
}

/// What is done with a person's data that would not be done without the consent, today.
fn allows(purpose: ConsentPurpose) -> &'static str {
    match purpose {
        ConsentPurpose::Analytics => {
            "Counting as the person's and the key's, in figures kept for 30 days, which tools their calls use, how they \
             end and how long they take, and naming key and tool in the log of requests, while the preference \
             privacy.enable_analytics is on; and, where the operator allows it, keeping what the person played and adding \
             it up. Without it calls count only in sums that name neither, and no play is kept or shown."
        }
        ConsentPurpose::Marketing => "Nothing today; it would be asked for before anything is offered.",
    }
}

fn terms(ctx: &TenantContext) -> &PrivacyTerms {
    &ctx.tenant().settings.privacy
}

fn address(terms: &PrivacyTerms) -> String {
    terms.policy_url.as_ref().map(|url| format!(" ({url})")).unwrap_or_default()
}

fn changed() -> PublicError {
    PublicError::new(
        ErrorCode::Conflict,
        "The consents were changed by someone else meanwhile. Nothing was kept.",
    )
    .hint("Read them with consent_get, then call again.")
}
