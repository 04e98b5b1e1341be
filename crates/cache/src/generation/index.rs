//! Which entries in Redis are a person's from a provider, so that they go when the account is unlinked.
//!
//! An entry is stored first and noted then, under the number of the account that it was fetched under. The bump comes
//! before its note, which is refused, and whoever stored the entry removes it; or after it, and finds the entry.

use std::time::Duration;

use redis::Script;
use stagedoor_domain::Provider;
use stagedoor_redis_link::{RedisLink, Unavailable};

use super::{Change, DataScope, Person, script};

/// Entries of one person at one provider; the one that ends first gives way.
const MOST: usize = 1_000;

#[derive(Debug)]
pub(crate) struct EntryIndex(Script);

/// What became of a note.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It is there; these entries have no note any more.
    Instead(Vec<String>),
    /// The account has changed since the entry was fetched.
    Gone,
}

impl EntryIndex {
    pub(crate) fn new() -> Self {
        Self(Script::new(include_str!("index.lua")))
    }

    /// Notes an entry that lies there for `life`.
    pub(crate) async fn note(
        &self,
        link: &RedisLink,
        (person, provider): (Person, Provider),
        account: u64,
        (entry, life): (&str, Duration),
    ) -> Result<Noted, Unavailable> {
        let mut call = self.0.key(script::key(person));
        call.key(key(person, provider)).arg(Change::Of(provider, DataScope::Account).to_string());
        call.arg(account).arg(entry).arg(script::millis(life).max(1)).arg(MOST);
        let mut answer: Vec<String> =
            link.run(|mut connection| async move { call.invoke_async(&mut connection).await }).await?;
        let noted = answer.first().is_some_and(|word| word == "noted");
        Ok(if noted { Noted::Instead(answer.split_off(1)) } else { Noted::Gone })
    }

    /// Removes all entries that are noted.
    pub(crate) async fn remove_all(
        &self,
        link: &RedisLink,
        person: Person,
        provider: Provider,
    ) -> Result<(), Unavailable> {
        let index = key(person, provider);
        let mut range = redis::cmd("ZRANGE");
        range.arg(&index).arg(0).arg(-1);
        let entries: Vec<String> =
            link.run(|mut connection| async move { range.query_async(&mut connection).await }).await?;
        if entries.is_empty() {
            return Ok(());
        }
        unlink(link, &entries).await?;
        // Not the whole index: something may have been noted under the new account meanwhile.
        let mut remove = redis::cmd("ZREM");
        remove.arg(index).arg(entries);
        link.run(|mut connection| async move { remove.exec_async(&mut connection).await }).await
    }
}

/// Removes entries, whichever slots they are in. Answers how many there were.
pub(crate) async fn unlink(link: &RedisLink, entries: &[String]) -> Result<u64, Unavailable> {
    if entries.is_empty() {
        return Ok(0);
    }
    let mut unlink = redis::cmd("UNLINK");
    unlink.arg(entries);
    link.run(|mut connection| async move { unlink.query_async(&mut connection).await }).await
}

/// The keys that are there for a person besides entries: the generations, and the index of entries of each provider. All
/// are in one slot.
pub(crate) fn keys_of(person: Person) -> Vec<String> {
    let indexes = Provider::ALL.iter().map(|provider| key(person, *provider));
    std::iter::once(script::key(person)).chain(indexes).collect()
}

/// In the slot of the person's generations.
fn key(person: Person, provider: Provider) -> String {
    format!("sd:{}:entries:v1:{provider}:{{{}}}", person.tenant, script::key(person))
}
