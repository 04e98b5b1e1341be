//! What people agreed to and took back: one row for each decision, never changed, with a statement that the tenant
//! signed. What a decision allows is `tools`'.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SubsecRound, Utc};
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};
use stagedoor_crypto::{KeyOwner, SealContext, VerifyingKey};
use stagedoor_domain::ids::uuid_v7;
use stagedoor_domain::{ConsentId, ConsentPurpose, ErrorCode, TenantContext, UserId};
use uuid::Uuid;

use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::signing_keys;
use crate::transaction::TenantTransaction;

/// What stands before a statement in what is signed.
const DOMAIN: &[u8] = b"stagedoor/consent/1\n";
const FORMAT: &str = "stagedoor/consent/1";
const ALGORITHM: &str = "Ed25519";
const REVISION: i64 = 1;

/// A decision of a person on one purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Its id.
    pub id: ConsentId,
    /// What it is about.
    pub purpose: ConsentPurpose,
    /// Of that person on that purpose, from 1; the highest holds.
    pub number: i64,
    /// Whether the person agreed; otherwise they declined, or took it back.
    pub granted: bool,
    /// The version of the tenant's policy that they were shown.
    pub policy_version: String,
    /// When.
    pub decided_at: DateTime<Utc>,
    /// What shows it to others.
    pub proof: Proof,
}

/// A statement about a decision, and the tenant's signature over `stagedoor/consent/1`, a line feed, and the statement.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// JSON, to the byte as it was signed: format, tenant, person, consent, purpose, decision, number, policy version and
    /// address, time, and the principal and program that told of it.
    pub statement: String,
    /// The tenant's key that signed it.
    pub key_id: Uuid,
    /// `Ed25519`.
    pub algorithm: String,
    /// Base64url without padding.
    pub signature: String,
}

impl Proof {
    /// Whether `key` signed it.
    pub fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        let signature = URL_SAFE_NO_PAD.decode(&self.signature).unwrap_or_default();
        self.key_id == key.id() && key.verify(&[DOMAIN, self.statement.as_bytes()].concat(), &signature)
    }
}

/// What a person has decided about a purpose last, as far as it can be read.
#[derive(Debug)]
pub struct Standing {
    /// What it is about.
    pub purpose: ConsentPurpose,
    /// The number of the decision.
    pub number: i64,
    /// The decision; [`StoreError::Damaged`] if its row is not what its proof says.
    pub decision: Result<Decision, StoreError>,
}

/// A decision to be kept.
#[derive(Debug, Clone, Copy)]
pub struct NewDecision<'a> {
    /// Whose it is.
    pub user: UserId,
    /// What it is about.
    pub purpose: ConsentPurpose,
    /// Whether they agree.
    pub granted: bool,
    /// The version of the policy that they were shown.
    pub policy_version: &'a str,
    /// Where that can be read.
    pub policy_url: Option<&'a str>,
    /// The program that told of it, in its own words.
    pub software: Option<&'a str>,
    /// The number of the decision that it follows; 0 for the first.
    pub after: i64,
}

/// What is signed.
#[derive(Serialize, Deserialize)]
struct Statement {
    format: String,
    tenant: Uuid,
    person: Uuid,
    consent: Uuid,
    purpose: ConsentPurpose,
    decision: String,
    number: i64,
    policy_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_url: Option<String>,
    decided_at: DateTime<Utc>,
    principal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    software: Option<String>,
}

/// The last decision of `user` on each purpose that this build knows; none for those that were never asked about.
pub async fn current(
    vault: &KeyVault,
    context: &TenantContext,
    user: UserId,
) -> Result<Vec<Standing>, StoreError> {
    let read = async |tx: &mut TenantTransaction| {
        let rows = sqlx::query_as!(
            Row,
            "SELECT DISTINCT ON (purpose) consent_id, purpose, number, decision, policy_version, decided_at, proof
            FROM consents WHERE tenant_id = $1 AND user_id = $2 ORDER BY purpose, number DESC",
            tx.tenant_id().0,
            user.0
        );
        Ok::<_, StoreError>(rows.fetch_all(tx.connection()).await?)
    };
    let mut standing = Vec::new();
    for row in vault.store().with_tenant(context, read).await? {
        let Ok(purpose) = row.purpose.parse() else { continue };
        let number = row.number;
        let decision = match open(vault, context, user, purpose, row).await {
            Err(error) if error.is_transient() => return Err(error),
            decision => decision.map_err(StoreError::or_damaged("consent", ErrorCode::Internal)),
        };
        standing.push(Standing { purpose, number, decision });
    }
    Ok(standing)
}

struct Row {
    consent_id: Uuid,
    purpose: String,
    number: i64,
    decision: String,
    policy_version: String,
    decided_at: DateTime<Utc>,
    proof: Vec<u8>,
}

/// The decision of a row, if its proof says the same.
async fn open(
    vault: &KeyVault,
    context: &TenantContext,
    user: UserId,
    purpose: ConsentPurpose,
    row: Row,
) -> Result<Decision, StoreError> {
    let place = place(context, ConsentId(row.consent_id));
    let opened = vault.open(context, &place, &row.proof, "a consent's proof").await?;
    let unusable = || StoreError::not_understood("consents.proof", "another statement than its row");
    let proof: Proof = serde_json::from_slice(&opened).map_err(|_| unusable())?;
    let said: Statement = serde_json::from_str(&proof.statement).map_err(|_| unusable())?;
    let same = said.person == user.0
        && said.purpose == purpose
        && said.number == row.number
        && said.decision == row.decision
        && said.policy_version == row.policy_version
        && said.decided_at == row.decided_at;
    if !same {
        return Err(unusable());
    }
    Ok(Decision {
        id: ConsentId(row.consent_id),
        purpose,
        number: row.number,
        granted: row.decision == GRANTED,
        policy_version: row.policy_version,
        decided_at: row.decided_at,
        proof,
    })
}

const GRANTED: &str = "granted";
const WITHDRAWN: &str = "withdrawn";

/// Keeps a decision of which `context`'s principal tells. [`StoreError::Changed`] if another one came before it,
/// [`StoreError::Missing`] if there is no such person.
#[expect(clippy::missing_panics_doc, reason = "it cannot: a statement is plain data")]
pub async fn decide(
    vault: &KeyVault,
    context: &TenantContext,
    new: NewDecision<'_>,
) -> Result<Decision, StoreError> {
    let id = ConsentId(uuid_v7(vault.clock(), vault.entropy()));
    // As exact as it is stored.
    let decided_at = vault.clock().now().trunc_subsecs(6);
    let number = new.after + 1;
    let decision = if new.granted { GRANTED } else { WITHDRAWN };
    let statement = Statement {
        format: FORMAT.to_owned(),
        tenant: context.tenant_id().0,
        person: new.user.0,
        consent: id.0,
        purpose: new.purpose,
        decision: decision.to_owned(),
        number,
        policy_version: new.policy_version.to_owned(),
        policy_url: new.policy_url.map(str::to_owned),
        decided_at,
        principal: context.principal().label(),
        software: new.software.map(str::to_owned),
    };
    let proof = prove(vault, context, &statement).await?;
    let bytes = Zeroizing::new(serde_json::to_vec(&proof).expect("a proof is plain data"));
    let sealed = vault.seal(context, KeyOwner::Subject(new.user), &place(context, id), &bytes).await?;
    let write = async |tx: &mut TenantTransaction| {
        let insert = sqlx::query!(
            "INSERT INTO consents
                (tenant_id, consent_id, user_id, purpose, number, decision, policy_version, decided_at, proof)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            tx.tenant_id().0,
            id.0,
            new.user.0,
            new.purpose.as_str(),
            number,
            decision,
            new.policy_version,
            decided_at,
            sealed
        );
        insert.execute(tx.connection()).await.map_err(|error| {
            match StoreError::or_exists("consent")(error) {
                StoreError::AlreadyExists(_) => StoreError::Changed("the consents"),
                StoreError::Query(error) => StoreError::or_missing("person")(error),
                error => error,
            }
        })?;
        Ok::<_, StoreError>(())
    };
    vault.store().with_tenant(context, write).await?;
    Ok(Decision {
        id,
        purpose: new.purpose,
        number,
        granted: new.granted,
        policy_version: new.policy_version.to_owned(),
        decided_at,
        proof,
    })
}

async fn prove(
    vault: &KeyVault,
    context: &TenantContext,
    statement: &Statement,
) -> Result<Proof, StoreError> {
    let key = signing_keys::active(vault, context).await?;
    let statement = serde_json::to_string(statement).expect("a statement is plain data");
    let signature = key.sign(&[DOMAIN, statement.as_bytes()].concat());
    Ok(Proof {
        statement,
        key_id: key.id(),
        algorithm: ALGORITHM.to_owned(),
        signature: URL_SAFE_NO_PAD.encode(signature),
    })
}

fn place(context: &TenantContext, id: ConsentId) -> SealContext {
    SealContext {
        tenant: context.tenant_id(),
        table: "consents",
        column: "proof",
        row: id.0,
        revision: REVISION,
    }
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proof").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}
