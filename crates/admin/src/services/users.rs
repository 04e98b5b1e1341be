//! `UserService`. Erasing people is `privacy`'s.

use stagedoor_domain::UserId;
use stagedoor_proto::admin::v1::{
    CreateUserRequest, GetUserRequest, ListUsersRequest, ListUsersResponse, UpdateUserRequest, User,
};
use stagedoor_storage::users::records::{self, UserCursor, UserRecord};
use stagedoor_storage::users::{self, User as Person};
use stagedoor_storage::{StoreError, TenantTransaction};

use crate::call::AdminCall;
use crate::error::AdminError;
use crate::fields::Problems;
use crate::mask::Mask;
use crate::{etag, page, standing, texts, times};

/// The longest subject of a token, in bytes (`OpenID` Connect Core 1.0 §2).
const LONGEST_SUBJECT: usize = 255;

/// Adds a person.
pub async fn create_user(call: &AdminCall, request: CreateUserRequest) -> Result<User, AdminError> {
    standing::living(call)?;
    let id = UserId(call.new_id());
    let mut problems = Problems::default();
    let person = Person {
        id,
        external_subject: problems.take(subject(&request.external_subject)),
        label: problems.take(label(&request.label)),
    };
    problems.check()?;
    call.write(call.context(), async |tx| {
        if call.is_new(tx).await? {
            users::insert(tx, &person).await.map_err(|error| taken(error, &person))?;
        }
        Ok(shown(&found(tx, id).await?))
    })
    .await
}

/// Tells of a person.
pub async fn get_user(call: &AdminCall, request: GetUserRequest) -> Result<User, AdminError> {
    let id = texts::id("user_id", &request.user_id)?;
    let read = async |tx: &mut TenantTransaction| found(tx, id).await;
    Ok(shown(&call.store().with_tenant(call.context(), read).await?))
}

/// Lists people, the oldest first.
pub async fn list_users(
    call: &AdminCall,
    request: ListUsersRequest,
) -> Result<ListUsersResponse, AdminError> {
    let size = page::size(request.page_size)?;
    let after = page::after::<UserCursor>(&request.page_token)?;
    let subject = Some(request.external_subject.as_str()).filter(|subject| !subject.is_empty());
    let list = async |tx: &mut TenantTransaction| records::list(tx, subject, after, size + 1).await;
    let mut listed = call.store().with_tenant(call.context(), list).await?;
    let next_page_token = page::cut(&mut listed, size, |last| last.cursor().to_string());
    Ok(ListUsersResponse { users: listed.iter().map(shown).collect(), next_page_token })
}

/// Changes a person's label or subject.
pub async fn update_user(call: &AdminCall, request: UpdateUserRequest) -> Result<User, AdminError> {
    standing::living(call)?;
    let id = texts::id("user_id", &request.user_id)?;
    let mask = Mask::new(request.update_mask.as_ref(), &["external_subject", "label"])?;
    let mut problems = Problems::default();
    let new_subject = mask
        .changes("external_subject", !request.external_subject.is_empty())
        .then(|| problems.take(subject(&request.external_subject)));
    let new_label =
        mask.changes("label", !request.label.is_empty()).then(|| problems.take(label(&request.label)));
    problems.check()?;
    call.write(call.context(), async |tx| {
        let record = records::lock(tx, id).await?.ok_or_else(|| unknown(id))?;
        etag::check(&request.etag, &shown(&record).etag)?;
        let person = Person {
            id,
            external_subject: new_subject.unwrap_or(record.user.external_subject),
            label: new_label.unwrap_or(record.user.label),
        };
        records::update(tx, &person).await.map_err(|error| taken(error, &person))?;
        Ok(shown(&found(tx, id).await?))
    })
    .await
}

/// The person of that id.
pub(crate) async fn found(tx: &mut TenantTransaction, id: UserId) -> Result<UserRecord, AdminError> {
    records::get(tx, id).await?.ok_or_else(|| unknown(id))
}

pub(crate) fn unknown(id: UserId) -> AdminError {
    AdminError::unknown("person", id.to_string())
}

fn taken(error: StoreError, person: &Person) -> AdminError {
    match error {
        StoreError::AlreadyExists(_) => {
            AdminError::exists("person", person.external_subject.clone().unwrap_or_default())
        }
        error => error.into(),
    }
}

fn subject(given: &str) -> Result<Option<String>, AdminError> {
    if given.is_empty() {
        return Ok(None);
    }
    if given.len() <= LONGEST_SUBJECT && !given.chars().any(char::is_control) {
        return Ok(Some(given.to_owned()));
    }
    let wanted = format!("It must be at most {LONGEST_SUBJECT} bytes, on one line.");
    Err(AdminError::field("external_subject", wanted))
}

fn label(given: &str) -> Result<String, AdminError> {
    if given.is_empty() { Ok(String::new()) } else { texts::name("label", given).map(str::to_owned) }
}

fn shown(record: &UserRecord) -> User {
    let mut user = User {
        user_id: record.user.id.to_string(),
        external_subject: record.user.external_subject.clone().unwrap_or_default(),
        label: record.user.label.clone(),
        linked_accounts: i32::try_from(record.linked_accounts).unwrap_or(i32::MAX),
        etag: String::new(),
        create_time: Some(times::timestamp(record.created_at)),
    };
    user.etag = etag::of(&User { linked_accounts: 0, ..user.clone() });
    user
}
