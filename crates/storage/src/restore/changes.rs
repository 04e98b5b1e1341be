//! What has to be done with a row before it comes back, and after: what is sealed in it must open; it must be one that the
//! database can have beside what is there.

use serde_json::Value;
use stagedoor_crypto::{KekError, KeyOwner};
use stagedoor_domain::UserId;

use super::error::{Loss, LossKind, RestoreError};
use super::rows::RowOutcome;
use super::tables::{Place, Whose, bytea, bytes, uuid};
use super::tombstones::subject_digest;
use super::{Restorer, trail};
use crate::error::StoreError;

/// A row as it can come back.
pub(super) struct Prepared {
    pub(super) row: Value,
    pub(super) text: String,
    /// Whether it is not to the byte what it was, for good.
    pub(super) changed: bool,
}

impl Restorer<'_> {
    /// The row as it can come back; `None` if it stays away, which is tallied.
    pub(super) async fn prepare(
        &mut self,
        place: &'static Place,
        mut row: Value,
        text: String,
    ) -> Result<Option<Prepared>, RestoreError> {
        if place.whose == Whose::Trail && !self.take_day(place, &row).await? {
            self.restored.tally(place.name).add(RowOutcome::Kept);
            return Ok(None);
        }
        if self.is_leaving(place, &row) {
            self.restored.tally(place.name).add(RowOutcome::Kept);
            return Ok(None);
        }
        let mut changed = false;
        let mut rewritten = false;
        match place.name {
            "users" => {
                // While someone is marked, nothing else of theirs can come: they are marked at the end.
                if let Some(since) = row["erasing_at"].as_str() {
                    let since = since.parse().map_err(|_| RestoreError::Row { table: place.name })?;
                    self.erasing.extend(uuid(&row, "user_id").map(|user| (UserId(user), since)));
                    row["erasing_at"] = Value::Null;
                    rewritten = true;
                }
            }
            "data_keys" => {
                self.keys.offer(&row)?;
                changed = self.keys.adapt(&mut row);
            }
            "signing_keys" => changed = self.retire(&mut row).await?,
            "audit_payloads" => changed = self.empty(&mut row),
            _ => {}
        }
        if let Some(why) = self.look_into(place, &row).await? {
            self.lose(place, &row, why);
            return Ok(None);
        }
        if self.options.replacing && matches!(place.name, "preferences" | "provider_apps") {
            rewritten |= self.raise_revision(place, &mut row).await?;
        }
        let text = if changed || rewritten { row.to_string() } else { text };
        Ok(Some(Prepared { row, text, changed }))
    }

    /// What becomes of a row whose place is taken or missing.
    pub(super) async fn follow(
        &mut self,
        place: &'static Place,
        row: &Value,
        outcome: RowOutcome,
    ) -> Result<RowOutcome, RestoreError> {
        let account = uuid(row, "account_id");
        let outcome = match (place.name, outcome) {
            // The account has a session by another id, or at another revision: there is one for each account.
            ("provider_sessions", RowOutcome::Clash | RowOutcome::Kept) => {
                if self.options.replacing && self.replace_session(row).await? {
                    RowOutcome::Replaced
                } else {
                    RowOutcome::Kept
                }
            }
            (_, RowOutcome::Erased) => {
                self.erased_accounts.extend(account);
                outcome
            }
            (_, RowOutcome::Orphan) if account.is_some_and(|id| self.erased_accounts.contains(&id)) => {
                RowOutcome::Erased
            }
            _ => outcome,
        };
        let there = !matches!(outcome, RowOutcome::Erased | RowOutcome::Orphan | RowOutcome::Clash);
        match place.name {
            "users" if there => self.known.extend(uuid(row, "user_id")),
            "linked_accounts" if there => self.known.extend(account),
            _ => {}
        }
        match outcome {
            RowOutcome::Erased if place.name == "users" => self.restored.people_erased += 1,
            RowOutcome::Clash => {
                let loss =
                    loss(place, row, LossKind::Clash, "another row has what must be unique".to_owned());
                self.restored.losses.push(loss);
            }
            RowOutcome::Orphan => {
                let loss = loss(place, row, LossKind::Orphan, "what it belongs to is not there".to_owned());
                match account {
                    Some(account) => self.orphans.push((loss, account)),
                    None => self.restored.losses.push(loss),
                }
            }
            _ => {}
        }
        if place.name == "data_keys" {
            self.keys.note(row, outcome);
        }
        Ok(outcome)
    }

    /// Whether the row's day comes back: one that was there before stays as it is.
    async fn take_day(&mut self, place: &Place, row: &Value) -> Result<bool, RestoreError> {
        if place.name == "audit_checkpoint_heads" {
            return Ok(true);
        }
        let day = row["day"].as_str().and_then(|day| day.parse().ok());
        let day = day.ok_or(RestoreError::Row { table: place.name })?;
        if self.days_before.contains(&day) {
            return Ok(false);
        }
        if self.days.insert(day) {
            trail::partition(self.transaction, day).await?;
        }
        Ok(true)
    }

    /// One key signs at a time.
    async fn retire(&mut self, row: &mut Value) -> Result<bool, RestoreError> {
        if row["state"] != "active" {
            return Ok(false);
        }
        let taken = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM signing_keys WHERE tenant_id = $1 AND state = 'active' AND key_id <> $2)
                AS "taken!""#,
            self.transaction.tenant_id().0,
            uuid(row, "key_id").ok_or(RestoreError::Row { table: "signing_keys" })?
        )
        .fetch_one(self.transaction.connection())
        .await
        .map_err(StoreError::from)?;
        if taken {
            row["state"] = "retired".into();
        }
        Ok(taken)
    }

    /// What the trail says of someone who was erased: a row without person and contents, as an erasure leaves it.
    fn empty(&self, row: &mut Value) -> bool {
        let tenant = self.transaction.tenant_id();
        let erased = uuid(row, "user_id")
            .is_some_and(|user| self.erased.contains(&subject_digest(tenant, UserId(user))));
        if erased {
            row["user_id"] = Value::Null;
            row["sealed"] = bytea(b"");
        }
        erased
    }

    /// Why a row stays away: something sealed in it does not open, or a key is none. Nothing of whoever was erased is
    /// opened.
    async fn look_into(
        &mut self,
        place: &'static Place,
        row: &Value,
    ) -> Result<Option<String>, RestoreError> {
        let set_aside = row.get("quarantined_at").is_some_and(|at| !at.is_null());
        if set_aside || self.is_erased(row) || !self.has_parents(place, row) {
            return Ok(None);
        }
        for seal in place.seals {
            let sealed = match &row[seal.column] {
                Value::Null => continue,
                sealed => bytes(sealed).ok_or(RestoreError::Row { table: place.name })?,
            };
            // Emptied by an erasure.
            if sealed.is_empty() && place.name == "audit_payloads" {
                continue;
            }
            let context = seal.context(self.transaction.tenant_id(), place.name, row);
            let context = context.ok_or(RestoreError::Row { table: place.name })?;
            let opened = self.keys.open(self.transaction, &context, &sealed, "a value of the backup").await;
            match opened {
                Ok(_) => {}
                Err(RestoreError::Store(error)) if is_the_values(&error) => {
                    return Ok(Some(format!("{} does not open: {error}", seal.column)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Whether whom it belongs to is there. What is not is told by the database, and nothing of it is opened: its keys are
    /// perhaps gone with the person.
    fn has_parents(&self, place: &Place, row: &Value) -> bool {
        let here = |column: &str| uuid(row, column).is_none_or(|id| self.known.contains(&id));
        match place.whose {
            Whose::User => place.name == "users" || (here("user_id") && here_or_own(place, row, &here)),
            Whose::Account => here("account_id"),
            Whose::Tenant | Whose::Trail => true,
        }
    }

    /// Whether it is of someone whose erasure is under way in the database.
    fn is_leaving(&self, place: &Place, row: &Value) -> bool {
        let leaves = |column: &str| uuid(row, column).is_some_and(|id| self.leaving.contains(&id));
        matches!(place.whose, Whose::User | Whose::Account) && (leaves("user_id") || leaves("account_id"))
    }

    fn is_erased(&self, row: &Value) -> bool {
        let tenant = self.transaction.tenant_id();
        uuid(row, "user_id").is_some_and(|user| self.erased.contains(&subject_digest(tenant, UserId(user))))
            || uuid(row, "account_id").is_some_and(|account| self.erased_accounts.contains(&account))
    }

    /// A value that comes into the place of another has a later revision than both, and a seal for that: nobody who
    /// remembers the other takes it for the same.
    async fn raise_revision(&mut self, place: &'static Place, row: &mut Value) -> Result<bool, RestoreError> {
        let tenant = self.transaction.tenant_id();
        let malformed = || RestoreError::Row { table: place.name };
        let [seal] = place.seals else { return Ok(false) };
        let [key] = place.key else { return Ok(false) };
        let id = uuid(row, key).ok_or_else(malformed)?;
        let present = sqlx::query!(
            r#"SELECT revision AS "revision!", document AS sealed FROM preferences
                WHERE $3 = 'preferences' AND tenant_id = $1 AND user_id = $2
            UNION ALL SELECT revision, client_secret FROM provider_apps
                WHERE $3 = 'provider_apps' AND tenant_id = $1 AND app_id = $2"#,
            tenant.0,
            id,
            place.name
        )
        .fetch_optional(self.transaction.connection())
        .await
        .map_err(StoreError::from)?;
        let Some(present) = present else { return Ok(false) };
        let given = row["revision"].as_i64().ok_or_else(malformed)?;
        let sealed = bytes(&row[seal.column]);
        if present.revision == given && present.sealed == sealed {
            return Ok(false);
        }
        let before = seal.context(tenant, place.name, row).ok_or_else(malformed)?;
        row["revision"] = (given.max(present.revision) + 1).into();
        if let Some(sealed) = sealed {
            let opened = self.keys.open(self.transaction, &before, &sealed, "a value of the backup").await?;
            let owner = match place.whose {
                Whose::User => KeyOwner::Subject(UserId(id)),
                _ => KeyOwner::Tenant,
            };
            let key = self.keys.active(self.transaction, owner).await?;
            let after = seal.context(tenant, place.name, row).ok_or_else(malformed)?;
            row[seal.column] = bytea(&key.seal(&after, &opened, self.entropy));
        }
        Ok(true)
    }

    fn lose(&mut self, place: &'static Place, row: &Value, why: String) {
        self.restored.tally(place.name).lost += 1;
        self.restored.losses.push(loss(place, row, LossKind::Sealed, why));
    }
}

fn loss(place: &'static Place, row: &Value, kind: LossKind, why: String) -> Loss {
    Loss { table: place.name, row: place.name_of(row), kind, why }
}

/// An account's own row names an account that is not there yet.
fn here_or_own(place: &Place, row: &Value, here: &impl Fn(&str) -> bool) -> bool {
    place.name == "linked_accounts" || row["account_id"].is_null() || here("account_id")
}

/// Whether it is the value that is at fault, or the wrap of its key; and not a key service that is out of reach.
pub(super) fn is_the_values(error: &StoreError) -> bool {
    match error {
        StoreError::Unreadable { .. } | StoreError::Missing("data key") => true,
        StoreError::KeyUnavailable { source, .. } => matches!(source, KekError::Altered),
        _ => false,
    }
}
