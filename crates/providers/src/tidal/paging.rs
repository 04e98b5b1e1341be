//! Page tokens for Tidal, whose pages have a length of its own choosing. A token says where Tidal's page starts, how
//! many of its entries were handed out already, and Tidal's cursor.

use stagedoor_domain::Provider;

use super::document::Links;
use crate::error::ProviderError;

/// A place in a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Position {
    /// The index, in the whole list, of the first entry of Tidal's page.
    pub(super) start: u32,
    /// How many entries of that page come before this place.
    pub(super) skip: u32,
    /// Tidal's cursor; `None` is its first page.
    pub(super) cursor: Option<String>,
}

/// The entries of a page that are handed out, each with its index in the whole list.
pub(super) struct Slice<'a, T> {
    pub(super) entries: Vec<(u32, &'a T)>,
    pub(super) next: Option<Position>,
}

impl Position {
    /// The place that `token` names; no token is the start.
    pub(super) fn parse(token: Option<&str>) -> Result<Self, ProviderError> {
        let Some(token) = token else { return Ok(Self::default()) };
        let mut parts = token.splitn(3, '.');
        let mut number = || parts.next()?.parse::<u32>().ok();
        let numbers = number().zip(number());
        match (numbers, parts.next()) {
            (Some((start, skip)), Some(cursor)) => {
                let cursor = (!cursor.is_empty()).then(|| cursor.to_owned());
                Ok(Self { start, skip, cursor })
            }
            _ => Err(ProviderError::InvalidPage { provider: Provider::Tidal }),
        }
    }

    pub(super) fn to_token(&self) -> String {
        format!("{}.{}.{}", self.start, self.skip, self.cursor.as_deref().unwrap_or_default())
    }

    /// The `page[cursor]` parameter.
    pub(super) fn parameter(&self) -> Option<(&'static str, &str)> {
        self.cursor.as_deref().map(|cursor| ("page[cursor]", cursor))
    }

    /// At most `limit` of `entries`, which are Tidal's page at this place.
    pub(super) fn slice<'a, T>(&self, entries: &'a [T], links: Option<&Links>, limit: u32) -> Slice<'a, T> {
        let first = self.start.saturating_add(self.skip);
        let taken: Vec<_> =
            (first..).zip(entries.iter().skip(self.skip as usize).take(limit.max(1) as usize)).collect();
        let count = u32::try_from(taken.len()).unwrap_or(u32::MAX);
        let length = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        let after = self.skip.saturating_add(count);
        let next = if after < length {
            Some(Self { skip: after, ..self.clone() })
        } else {
            let cursor =
                links.and_then(Links::next_cursor).filter(|cursor| Some(cursor) != self.cursor.as_ref());
            cursor.map(|cursor| Self {
                start: self.start.saturating_add(length),
                skip: 0,
                cursor: Some(cursor),
            })
        };
        Slice { entries: taken, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(cursor: &str) -> Links {
        serde_json::from_value(serde_json::json!({"self": "/", "meta": {"nextCursor": cursor}})).unwrap()
    }

    #[test]
    fn every_entry_comes_exactly_once_whatever_the_limit() {
        let pages = [vec![0, 1, 2, 3, 4], vec![5, 6, 7]];
        for limit in 1..=6 {
            let (mut seen, mut token) = (Vec::new(), None::<String>);
            loop {
                let position = Position::parse(token.as_deref()).unwrap();
                let second = position.cursor.is_some();
                let links = links(if second { "" } else { "a.b.c" });
                let slice = position.slice(&pages[usize::from(second)], Some(&links), limit);
                assert!(slice.entries.iter().all(|(index, value)| index == *value));
                seen.extend(slice.entries.iter().map(|(_, value)| **value));
                token = slice.next.map(|next| next.to_token());
                if token.is_none() {
                    break;
                }
            }
            assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6, 7], "limit {limit}");
        }
    }

    #[test]
    fn a_cursor_that_does_not_move_on_ends_the_list() {
        let position = Position { start: 5, skip: 0, cursor: Some("same".to_owned()) };
        assert!(position.slice(&[1], Some(&links("same")), 10).next.is_none());
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for token in ["", "1", "1.2", "a.b.c", "-1.0.x"] {
            assert!(
                matches!(Position::parse(Some(token)), Err(ProviderError::InvalidPage { .. })),
                "{token}"
            );
        }
    }
}
