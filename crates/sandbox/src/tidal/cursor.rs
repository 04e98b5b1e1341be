//! Opaque paging cursors, good only for the list that they were made for.

use serde_json::{Value, json};

use super::Failure;
use crate::catalogue::mix;
use crate::exchange::Query;

/// How many entries a page has.
pub(super) const PAGE: usize = 20;

/// A list's identity: its path, and the parameters that decide what is in it and in which order.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    path: String,
    query: Query,
    key: u64,
}

impl Listing {
    /// A list that the request itself names.
    pub(super) fn requested(path: String, query: &Query) -> Self {
        let decisive = |name: &str| name.starts_with("filter") || name == "sort";
        let mut key = hash(0, &path);
        for (name, value) in query.0.iter().filter(|(name, _)| decisive(name)) {
            key = hash(hash(key, name), value);
        }
        Self { path, query: query.clone(), key }
    }

    /// A list that is part of a larger document.
    pub(super) fn embedded(path: String) -> Self {
        Self::requested(path, &Query::default())
    }

    /// Where the page asked for starts.
    pub(super) fn start(&self) -> Result<usize, Failure> {
        let Some(cursor) = self.query.get("page[cursor]") else { return Ok(0) };
        self.decode(cursor).ok_or_else(|| Failure::parameter("page[cursor]", "Invalid cursor"))
    }

    /// The page's links; `next` where `more` says that something follows.
    pub(super) fn links(&self, next_start: usize, more: bool) -> Value {
        let mut links = json!({ "self": self.link(&self.query.with(&[])) });
        if more {
            let cursor = self.encode(next_start);
            links["next"] = json!(self.link(&self.query.with(&[("page[cursor]", cursor.clone())])));
            links["meta"] = json!({ "nextCursor": cursor });
        }
        links
    }

    fn link(&self, query: &str) -> String {
        if query.is_empty() { self.path.clone() } else { format!("{}?{query}", self.path) }
    }

    fn encode(&self, start: usize) -> String {
        let masked = start as u64 ^ self.key;
        format!("{masked:016x}{:08x}", mix(masked ^ self.key.rotate_left(17)) >> 32)
    }

    fn decode(&self, cursor: &str) -> Option<usize> {
        let masked = u64::from_str_radix(cursor.get(..16)?, 16).ok()?;
        let start = usize::try_from(masked ^ self.key).ok()?;
        (self.encode(start) == cursor).then_some(start)
    }
}

fn hash(key: u64, text: &str) -> u64 {
    text.bytes().fold(mix(key ^ text.len() as u64), |hash, byte| mix(hash ^ u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::Listing;
    use crate::exchange::Query;

    #[test]
    fn a_cursor_is_good_for_its_own_list_only() {
        let list = Listing::embedded("/albums/1/relationships/items".to_owned());
        let cursor = list.encode(40);
        assert_eq!(list.decode(&cursor), Some(40));
        let query = Query(vec![("page[cursor]".to_owned(), cursor)]);
        let same = Listing::requested("/albums/1/relationships/items".to_owned(), &query);
        assert_eq!(same.start().unwrap(), 40);
        let other = Listing::requested("/albums/2/relationships/items".to_owned(), &query);
        assert!(other.start().is_err());
    }
}
