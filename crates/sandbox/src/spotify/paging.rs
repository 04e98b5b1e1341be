//! Offset paging: `limit` and `offset` in, a paging object out.

use serde_json::{Value, json};

use super::Failure;
use crate::exchange::Query;

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) limit: usize,
    pub(super) offset: usize,
}

impl Window {
    /// `limit` from `least` to `most`, `offset` up to `farthest`.
    pub(super) fn of(
        query: &Query,
        default: usize,
        (least, most): (usize, usize),
        farthest: usize,
    ) -> Result<Self, Failure> {
        let number = |name: &str, default: usize, message: &str| match query.get(name) {
            None => Ok(default),
            Some(text) => text.parse::<usize>().map_err(|_| Failure::bad(message)),
        };
        let limit = number("limit", default, "Invalid limit")?;
        let offset = number("offset", 0, "Invalid offset")?;
        if !(least..=most).contains(&limit) {
            return Err(Failure::bad("Invalid limit"));
        }
        if offset > farthest {
            return Err(Failure::bad("Invalid offset"));
        }
        Ok(Self { limit, offset })
    }

    /// The part of `all` in this window.
    pub(super) fn slice<T>(self, all: &[T]) -> &[T] {
        let start = self.offset.min(all.len());
        &all[start..(start + self.limit).min(all.len())]
    }

    /// The paging object around `items`, with links below `url`.
    pub(super) fn page(self, url: &str, query: &Query, total: usize, items: Vec<Value>) -> Value {
        let link = |offset: usize| {
            format!(
                "{url}?{}",
                query.with(&[("offset", offset.to_string()), ("limit", self.limit.to_string())])
            )
        };
        let after = self.offset + self.limit;
        let mut page = json!({
            "href": link(self.offset),
            "limit": self.limit,
            "next": (self.limit > 0 && after < total).then(|| link(after)),
            "offset": self.offset,
            "previous": (self.offset > 0).then(|| link(self.offset.saturating_sub(self.limit))),
            "total": total,
            "items": null,
        });
        // Moved in rather than named above, because the macro would copy them.
        page["items"] = Value::Array(items);
        page
    }
}
