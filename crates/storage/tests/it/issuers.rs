//! Issuers of tokens: what is stored of them, who sees it, whom their tokens name, and what is left once they are gone.

use stagedoor_domain::issuer::{SigningAlgorithm, SigningAlgorithms, UserProvisioning};
use stagedoor_domain::{
    Issuer, IssuerId, Scope, ScopeSet, TenantContext, TenantSlug, Toolset, ToolsetSet, UserId,
};
use stagedoor_storage::issuers::{self, StoredIssuer};
use stagedoor_storage::{KeyVault, StoreError, TenantTransaction};

use crate::support::Database;

const URL: &str = "https://login.example.com";

fn new_id(vault: &KeyVault) -> IssuerId {
    IssuerId::generate(vault.clock(), vault.entropy())
}

async fn within<T>(
    vault: &KeyVault,
    context: &TenantContext,
    work: impl AsyncFnOnce(&mut TenantTransaction) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    vault.store().with_tenant(context, work).await
}

async fn register(
    database: &Database,
    context: &TenantContext,
    issuer: &Issuer,
) -> Result<StoredIssuer, StoreError> {
    within(&database.admin, context, async |tx| issuers::insert(tx, issuer).await).await
}

async fn named(
    database: &Database,
    context: &TenantContext,
    issuer: &Issuer,
    subject: &str,
) -> Option<UserId> {
    within(&database.vault, context, async |tx| issuers::person(tx, issuer, subject).await).await.unwrap()
}

#[tokio::test]
async fn an_issuer_is_kept_as_it_was_given_and_changed_by_revision() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let mut issuer = Issuer {
        jwks_uri: Some(format!("{URL}/keys")),
        algorithms: SigningAlgorithms::empty().with(SigningAlgorithm::Es384),
        subject_claim: "employee".to_owned(),
        subject_prefix: "corp:".to_owned(),
        scope_map: [(
            "music".to_owned(),
            ScopeSet::empty().with(Scope::CatalogRead).with(Scope::LibraryRead),
        )]
        .into(),
        toolsets: Some(ToolsetSet::empty().with(Toolset::Catalog)),
        read_only: true,
        provisioning: UserProvisioning::Create,
        enabled: false,
        ..Issuer::new(new_id(&database.admin), URL)
    };
    let stored = register(&database, &ada.context, &issuer).await.unwrap();
    assert_eq!((&stored.issuer, stored.revision), (&issuer, 1));
    let again = Issuer::new(new_id(&database.admin), URL);
    let refused = register(&database, &ada.context, &again).await.unwrap_err();
    assert!(matches!(refused, StoreError::AlreadyExists(_)), "{refused:?}");

    issuer.enabled = true;
    issuer.toolsets = None;
    let update = async |revision| {
        within(&database.admin, &ada.context, async |tx| issuers::update(tx, &issuer, revision).await).await
    };
    let changed = update(Some(1)).await.unwrap();
    assert_eq!((&changed.issuer, changed.revision), (&issuer, 2));
    assert!(matches!(update(Some(1)).await, Err(StoreError::Changed(_))));
    assert_eq!(update(None).await.unwrap().revision, 3);
    let unknown = Issuer::new(new_id(&database.admin), URL);
    let missing =
        within(&database.admin, &ada.context, async |tx| issuers::update(tx, &unknown, None).await).await;
    assert!(matches!(missing, Err(StoreError::Missing(_))));

    let delete = async |revision| {
        within(&database.admin, &ada.context, async |tx| issuers::delete(tx, issuer.id, revision).await).await
    };
    assert!(matches!(delete(Some(1)).await, Err(StoreError::Changed(_))));
    assert!(!delete(Some(3)).await.unwrap().issuer.enabled);
    assert!(matches!(delete(None).await, Err(StoreError::Missing(_))));
    let left = within(&database.admin, &ada.context, async |tx| issuers::list(tx).await).await.unwrap();
    assert_eq!(left, []);
    register(&database, &ada.context, &again).await.expect("its address is free again");
}

#[tokio::test]
async fn a_tenant_has_a_bounded_number_of_them() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    for number in 0..Issuer::MOST {
        let issuer = Issuer::new(new_id(&database.admin), format!("{URL}/{number}"));
        register(&database, &ada.context, &issuer).await.unwrap();
    }
    let more = register(&database, &ada.context, &Issuer::new(new_id(&database.admin), URL)).await;
    assert!(matches!(more, Err(StoreError::AlreadyExists(_))), "{more:?}");
    let listed = within(&database.vault, &ada.context, async |tx| issuers::list(tx).await).await.unwrap();
    assert_eq!(listed.len(), Issuer::MOST);
}

#[tokio::test]
async fn signing_in_sees_one_tenants_enabled_issuers_and_every_change_of_them() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let find = async |slug: &str| {
        let slug: TenantSlug = slug.parse().unwrap();
        database.vault.store().find_issuers(&slug).await.unwrap()
    };
    let before = find("ada").await.unwrap();
    assert_eq!((before.issuers.len(), before.name.as_str()), (0, "ada"));
    assert!(find("nobody").await.is_none());

    let issuer = Issuer::new(new_id(&database.admin), URL);
    register(&database, &ada.context, &issuer).await.unwrap();
    let other = Issuer { enabled: false, ..Issuer::new(new_id(&database.admin), format!("{URL}/other")) };
    register(&database, &ada.context, &other).await.unwrap();
    let found = find("ada").await.unwrap();
    assert_eq!((found.tenant.id, found.issuers), (ada.context.tenant_id(), vec![issuer.clone()]));
    assert!(found.tenant_revision > before.tenant_revision, "replicas watch the tenant");
    assert_eq!(find("bob").await.unwrap().issuers, []);
    let unseen =
        within(&database.vault, &bob.context, async |tx| issuers::find(tx, issuer.id).await).await.unwrap();
    assert_eq!(unseen, None);

    within(&database.admin, &ada.context, async |tx| issuers::delete(tx, issuer.id, None).await)
        .await
        .unwrap();
    let after = find("ada").await.unwrap();
    assert_eq!(after.issuers, []);
    assert!(after.tenant_revision > found.tenant_revision);
}

#[tokio::test]
async fn a_subject_is_the_person_whom_its_own_issuer_may_name() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let plain = Issuer::new(new_id(&database.admin), URL);
    let bobs = Issuer { id: new_id(&database.admin), ..plain.clone() };
    register(&database, &ada.context, &plain).await.unwrap();
    register(&database, &bob.context, &bobs).await.unwrap();
    // As `inhabit` names them.
    assert_eq!(named(&database, &ada.context, &plain, "ada|ada").await, Some(ada.user));
    assert_eq!(named(&database, &ada.context, &plain, "bob|ada").await, None);
    assert_eq!(named(&database, &ada.context, &bobs, "ada|ada").await, None, "another tenant's issuer");

    // Names that begin so are another's from now on.
    let prefixed = Issuer {
        subject_prefix: "corp:".to_owned(),
        ..Issuer::new(new_id(&database.admin), format!("{URL}/corp"))
    };
    register(&database, &ada.context, &prefixed).await.unwrap();
    database
        .tamper("UPDATE users SET external_subject = 'corp:kim' WHERE external_subject = 'ada|ada'")
        .await;
    assert_eq!(named(&database, &ada.context, &prefixed, "kim").await, Some(ada.user));
    assert_eq!(named(&database, &ada.context, &plain, "corp:kim").await, None);

    database.tamper("UPDATE users SET erasing_at = now() WHERE external_subject = 'corp:kim'").await;
    assert_eq!(named(&database, &ada.context, &prefixed, "kim").await, None, "who is being erased is nobody");
    let accepted = async |user| {
        let check = async |tx: &mut TenantTransaction| issuers::accepted(tx, prefixed.id, user).await;
        within(&database.vault, &ada.context, check).await.unwrap()
    };
    assert_eq!(accepted(ada.user).await, None);
    database.tamper("UPDATE users SET erasing_at = NULL").await;
    assert_eq!(accepted(ada.user).await, Some(prefixed.clone()));
    database.tamper("UPDATE issuers SET enabled = false").await;
    assert_eq!(accepted(ada.user).await, None);
    assert_eq!(named(&database, &ada.context, &prefixed, "kim").await, None);
}

#[tokio::test]
async fn people_are_added_only_where_the_issuer_may_and_once() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let may = Issuer {
        provisioning: UserProvisioning::Create,
        subject_prefix: "corp:".to_owned(),
        ..Issuer::new(new_id(&database.admin), URL)
    };
    let may_not = Issuer::new(new_id(&database.admin), format!("{URL}/other"));
    register(&database, &ada.context, &may).await.unwrap();
    register(&database, &ada.context, &may_not).await.unwrap();
    let add = async |issuer: &Issuer, subject: &str| {
        let user = UserId::generate(database.vault.clock(), database.vault.entropy());
        let write = async |tx: &mut TenantTransaction| issuers::add_person(tx, issuer, subject, user).await;
        within(&database.vault, &ada.context, write).await
    };
    assert_eq!(add(&may_not, "kim").await.unwrap(), None);
    assert_eq!(add(&may_not, "corp:kim").await.unwrap(), None);
    let kim = add(&may, "kim").await.unwrap().unwrap();
    assert_eq!(add(&may, "kim").await.unwrap(), Some(kim), "again is the same");
    assert_eq!(named(&database, &ada.context, &may, "kim").await, Some(kim));
    assert_eq!(database.tamper("SELECT external_subject FROM users WHERE label = ''").await, "corp:kim");
    database.tamper("UPDATE tenants SET status = 'deleting' WHERE slug = 'ada'").await;
    assert!(matches!(add(&may, "lee").await, Err(StoreError::Missing(_))));
    database.tamper("UPDATE tenants SET status = 'deleted', name = '' WHERE slug = 'ada'").await;
    assert_eq!(
        database.tamper("SELECT count(*) FROM issuers").await,
        "0",
        "a deleted tenant is called nothing"
    );
}
