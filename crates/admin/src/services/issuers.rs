//! `IssuerService`. What an issuer is, and what its tokens are worth, is for `domain::issuer` and the gateway.

use stagedoor_domain::issuer::{InvalidIssuer, SigningAlgorithm, SigningAlgorithms, UserProvisioning};
use stagedoor_domain::{Issuer as Registered, IssuerId};
use stagedoor_proto::admin::v1::{
    CreateIssuerRequest, DeleteIssuerRequest, DeleteIssuerResponse, GetIssuerRequest, Issuer,
    ListIssuersRequest, ListIssuersResponse, UpdateIssuerRequest, UserProvisioning as Provisioning,
};
use stagedoor_storage::issuers::{self, StoredIssuer};
use stagedoor_storage::{TenantTransaction, tenant_records};

use crate::call::AdminCall;
use crate::error::AdminError;
use crate::fields::{self, Problems};
use crate::mask::Mask;
use crate::page::{self, Place};
use crate::{etag, standing, texts, times};

/// What may be changed; another address is another issuer.
const CHANGEABLE: [&str; 9] = [
    "jwks_uri",
    "algorithms",
    "subject_claim",
    "subject_prefix",
    "scope_map",
    "toolsets",
    "read_only",
    "user_provisioning",
    "disabled",
];

/// Registers an issuer.
pub async fn create_issuer(call: &AdminCall, request: CreateIssuerRequest) -> Result<Issuer, AdminError> {
    standing::living(call)?;
    let given = request.issuer.unwrap_or_default();
    let id = IssuerId(call.new_id());
    let new = read(&given, Registered::new(id, given.issuer.clone()), |_| true)?;
    checked(call, &new)?;
    call.write(call.context(), async |tx| {
        if !call.is_new(tx).await? {
            return Ok(shown(call, &found(tx, id).await?));
        }
        // One at a time, so that two that come together see each other.
        tenant_records::lock(tx).await?;
        let others = issuers::list(tx).await?;
        if others.iter().any(|other| other.issuer.url == new.url) {
            return Err(AdminError::exists("issuer", &new.url));
        }
        if others.len() >= Registered::MOST {
            return Err(AdminError::not_in_state(
                format!("The tenant has {} issuers, which is as many as it may have.", others.len()),
                "Delete one that is no longer used.",
            ));
        }
        refuse_same_people(&new, &others)?;
        Ok(shown(call, &issuers::insert(tx, &new).await?))
    })
    .await
}

/// Tells of an issuer.
pub async fn get_issuer(call: &AdminCall, request: GetIssuerRequest) -> Result<Issuer, AdminError> {
    let id = id_of(&request.issuer_id)?;
    let read = async |tx: &mut TenantTransaction| found(tx, id).await;
    Ok(shown(call, &call.store().with_tenant(call.context(), read).await?))
}

/// Lists a tenant's issuers.
pub async fn list_issuers(
    call: &AdminCall,
    request: ListIssuersRequest,
) -> Result<ListIssuersResponse, AdminError> {
    let listed = call.store().with_tenant(call.context(), async |tx| issuers::list(tx).await).await?;
    let paging = (request.page_size, request.page_token.as_str());
    let (listed, next_page_token) =
        page::of_few(listed, paging, |stored| Place { at: stored.created_at, id: stored.issuer.id.0 })?;
    let issuers = listed.iter().map(|stored| shown(call, stored)).collect();
    Ok(ListIssuersResponse { issuers, next_page_token })
}

/// Changes what is accepted of an issuer.
pub async fn update_issuer(call: &AdminCall, request: UpdateIssuerRequest) -> Result<Issuer, AdminError> {
    standing::living(call)?;
    let id = id_of(&request.issuer_id)?;
    let mask = Mask::new(request.update_mask.as_ref(), &CHANGEABLE)?;
    let given = request.issuer.unwrap_or_default();
    call.write(call.context(), async |tx| {
        tenant_records::lock(tx).await?;
        let stored = found(tx, id).await?;
        etag::check(&request.etag, &shown(call, &stored).etag)?;
        if !given.issuer.is_empty() && given.issuer != stored.issuer.url {
            return Err(AdminError::field(
                "issuer.issuer",
                "An issuer's address cannot be changed: another address is another issuer.",
            ));
        }
        let changes = |field: &str| mask.changes(field, is_set(&given, field));
        let changed = read(&given, stored.issuer.clone(), changes)?;
        if changed == stored.issuer {
            return Ok(shown(call, &stored));
        }
        checked(call, &changed)?;
        refuse_same_people(&changed, &issuers::list(tx).await?)?;
        Ok(shown(call, &issuers::update(tx, &changed, Some(stored.revision)).await?))
    })
    .await
}

/// Accepts no more tokens of an issuer.
pub async fn delete_issuer(
    call: &AdminCall,
    request: DeleteIssuerRequest,
) -> Result<DeleteIssuerResponse, AdminError> {
    let id = id_of(&request.issuer_id)?;
    call.write(call.context(), async |tx| {
        let stored = found(tx, id).await?;
        etag::check(&request.etag, &shown(call, &stored).etag)?;
        issuers::delete(tx, id, Some(stored.revision)).await?;
        Ok(DeleteIssuerResponse {})
    })
    .await
}

fn id_of(given: &str) -> Result<IssuerId, AdminError> {
    texts::id("issuer_id", given)
}

async fn found(transaction: &mut TenantTransaction, id: IssuerId) -> Result<StoredIssuer, AdminError> {
    let stored = issuers::find(transaction, id).await?;
    stored.ok_or_else(|| AdminError::unknown("issuer", id.to_string()))
}

fn checked(call: &AdminCall, issuer: &Registered) -> Result<(), AdminError> {
    issuer.check(call.rooms().plain_http_issuers).map_err(|InvalidIssuer { field, problem }| {
        let field = if field == "url" { "issuer" } else { field };
        AdminError::field(format!("issuer.{field}"), format!("It is not right: {problem}."))
    })
}

/// Two issuers whose subjects are called alike would each sign in as the other's people.
fn refuse_same_people(issuer: &Registered, all: &[StoredIssuer]) -> Result<(), AdminError> {
    let alike = |other: &&StoredIssuer| {
        let other = &other.issuer;
        other.id != issuer.id && other.enabled && other.subject_prefix == issuer.subject_prefix
    };
    match all.iter().find(alike) {
        Some(other) if issuer.enabled => Err(AdminError::field(
            "issuer.subject_prefix",
            format!(
                "{} has the same one: each of the two could sign in as the other's people. Take another, or disable one of them.",
                other.issuer.url
            ),
        )),
        _ => Ok(()),
    }
}

/// Puts those of `given`'s fields that are to be changed into `issuer`. What is wrong is told of all of them at once.
fn read(
    given: &Issuer,
    mut issuer: Registered,
    changes: impl Fn(&str) -> bool,
) -> Result<Registered, AdminError> {
    let mut problems = Problems::default();
    if changes("jwks_uri") {
        issuer.jwks_uri = (!given.jwks_uri.is_empty()).then(|| given.jwks_uri.clone());
    }
    if changes("algorithms") {
        issuer.algorithms = algorithms(&given.algorithms, &mut problems);
    }
    if changes("subject_claim") {
        let claim = if given.subject_claim.is_empty() { "sub" } else { &given.subject_claim };
        claim.clone_into(&mut issuer.subject_claim);
    }
    if changes("subject_prefix") {
        issuer.subject_prefix.clone_from(&given.subject_prefix);
    }
    if changes("scope_map") {
        let scopes = |(value, scopes): (&String, &String)| {
            let names: Vec<_> = scopes.split_whitespace().map(str::to_owned).collect();
            let read = fields::scopes(&format!("issuer.scope_map[{value:?}]"), &names);
            (value.clone(), problems.take(read))
        };
        issuer.scope_map = given.scope_map.iter().map(scopes).collect();
    }
    if changes("toolsets") {
        issuer.toolsets = problems.take(fields::toolsets("issuer.toolsets", &given.toolsets));
    }
    if changes("read_only") {
        issuer.read_only = given.read_only;
    }
    if changes("user_provisioning") {
        let named = problems.take(fields::known("issuer.user_provisioning", given.user_provisioning));
        issuer.provisioning = match named {
            Some(Provisioning::Create) => UserProvisioning::Create,
            Some(Provisioning::Existing | Provisioning::Unspecified) | None => UserProvisioning::Existing,
        };
    }
    if changes("disabled") {
        issuer.enabled = !given.disabled;
    }
    problems.check().map(|()| issuer)
}

/// The signatures of a field; none stands for the usual ones.
fn algorithms(given: &[String], problems: &mut Problems) -> SigningAlgorithms {
    if given.is_empty() {
        return SigningAlgorithms::usual();
    }
    let mut read = SigningAlgorithms::empty();
    for (index, name) in given.iter().enumerate() {
        match name.parse::<SigningAlgorithm>() {
            Ok(algorithm) => read = read.with(algorithm),
            Err(problem) => {
                problems.note(format!("issuer.algorithms[{index}]"), format!("It is none: {problem}."));
            }
        }
    }
    read
}

/// Whether an update sets a field that no mask names.
fn is_set(given: &Issuer, field: &str) -> bool {
    match field {
        "jwks_uri" => !given.jwks_uri.is_empty(),
        "algorithms" => !given.algorithms.is_empty(),
        "subject_claim" => !given.subject_claim.is_empty(),
        "subject_prefix" => !given.subject_prefix.is_empty(),
        "scope_map" => !given.scope_map.is_empty(),
        "toolsets" => !given.toolsets.is_empty(),
        "read_only" => given.read_only,
        "user_provisioning" => given.user_provisioning != 0,
        "disabled" => given.disabled,
        _ => false,
    }
}

fn shown(call: &AdminCall, stored: &StoredIssuer) -> Issuer {
    let issuer = &stored.issuer;
    let provisioning = match issuer.provisioning {
        UserProvisioning::Existing => Provisioning::Existing,
        UserProvisioning::Create => Provisioning::Create,
    };
    let toolsets = issuer.toolsets.iter().flat_map(|toolsets| toolsets.iter());
    let mut shown = Issuer {
        issuer_id: issuer.id.to_string(),
        issuer: issuer.url.clone(),
        audience: call.rooms().endpoint(&call.context().tenant().slug),
        jwks_uri: issuer.jwks_uri.clone().unwrap_or_default(),
        algorithms: issuer.algorithms.iter().map(|algorithm| algorithm.as_str().to_owned()).collect(),
        subject_claim: issuer.subject_claim.clone(),
        scope_map: issuer
            .scope_map
            .iter()
            .map(|(value, scopes)| (value.clone(), scopes.to_string()))
            .collect(),
        toolsets: toolsets.map(|toolset| toolset.as_str().to_owned()).collect(),
        read_only: issuer.read_only,
        user_provisioning: provisioning.into(),
        disabled: !issuer.enabled,
        etag: String::new(),
        create_time: Some(times::timestamp(stored.created_at)),
        update_time: None,
        subject_prefix: issuer.subject_prefix.clone(),
    };
    shown.etag = etag::of(&shown);
    shown.update_time = Some(times::timestamp(stored.updated_at));
    shown
}

#[cfg(test)]
mod tests {
    use stagedoor_domain::{Scope, Toolset};

    use super::*;

    fn registered() -> Registered {
        Registered::new(IssuerId(uuid::Uuid::nil()), "https://login.example.com")
    }

    fn stored(id: u128, prefix: &str, enabled: bool) -> StoredIssuer {
        let issuer = Registered {
            id: IssuerId(uuid::Uuid::from_u128(id)),
            subject_prefix: prefix.to_owned(),
            enabled,
            ..registered()
        };
        StoredIssuer {
            issuer,
            revision: 1,
            created_at: chrono::DateTime::UNIX_EPOCH,
            updated_at: chrono::DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn what_is_not_said_is_as_usual() {
        assert_eq!(read(&Issuer::default(), registered(), |_| true).unwrap(), registered());
    }

    #[test]
    fn only_what_is_to_be_changed_is() {
        let given = Issuer {
            scope_map: [("music".to_owned(), "catalog:read  library:read".to_owned())].into(),
            toolsets: vec!["catalog".to_owned()],
            algorithms: vec!["ES256".to_owned()],
            user_provisioning: Provisioning::Create.into(),
            disabled: true,
            ..Issuer::default()
        };
        let set = |field: &str| is_set(&given, field);
        let changed = read(&given, registered(), set).unwrap();
        assert_eq!(changed.scope_map["music"].to_string(), "catalog:read library:read");
        assert_eq!(changed.toolsets, Some([Toolset::Catalog].into_iter().collect()));
        assert_eq!(changed.algorithms.to_string(), "ES256");
        assert_eq!((changed.provisioning, changed.enabled), (UserProvisioning::Create, false));
        assert_eq!(changed.subject_claim, "sub");
        let back =
            read(&Issuer::default(), changed, |field| field == "scope_map" || field == "disabled").unwrap();
        assert!(back.scope_map.is_empty() && back.enabled);
        assert_eq!(back.provisioning, UserProvisioning::Create, "what the mask does not name stays");
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_field() {
        let given = Issuer {
            algorithms: vec!["ES256".to_owned(), "none".to_owned()],
            toolsets: vec!["everything".to_owned()],
            scope_map: [("music".to_owned(), format!("{} nonsense", Scope::CatalogRead))].into(),
            user_provisioning: 99,
            ..Issuer::default()
        };
        let error = read(&given, registered(), |_| true).unwrap_err();
        let fields: Vec<_> = error.violations.iter().map(|wrong| &*wrong.field).collect();
        assert_eq!(
            fields,
            [
                "issuer.algorithms[1]",
                "issuer.scope_map[\"music\"][1]",
                "issuer.toolsets[0]",
                "issuer.user_provisioning"
            ]
        );
    }

    #[test]
    fn nobody_signs_in_as_the_people_of_another_issuer() {
        let one = stored(1, "a:", true);
        let refused = |issuer: &Registered, all: &[StoredIssuer]| refuse_same_people(issuer, all).is_err();
        assert!(refused(&stored(2, "a:", true).issuer, std::slice::from_ref(&one)));
        assert!(!refused(&stored(2, "a:", false).issuer, std::slice::from_ref(&one)), "while it is disabled");
        assert!(!refused(&stored(2, "b:", true).issuer, std::slice::from_ref(&one)));
        assert!(!refused(&stored(2, "a:", true).issuer, &[stored(1, "a:", false)]));
        assert!(!refused(&one.issuer, std::slice::from_ref(&one)), "itself");
    }
}
