//! What an answer says, apart from when it was asked and how it goes on: a digest by which the cache learns whether it
//! changed, and the cursor of its next page.

use serde::Serialize;
use serde_json::Value;
use stagedoor_crypto::digest::sha256;

/// The member that tells when an answer was fetched.
const FETCHED_AT: &str = "cached_at";
/// The member that carries a cursor. Its text is another each time it is sealed.
const CURSOR: &str = "next_cursor";

/// The member that tells how much there is in all, which moves at the services while what is shown stays the same.
const TOTAL: &str = "total";

/// What is noted of an answer besides its bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    /// The same for two answers that say the same.
    pub(crate) fingerprint: [u8; 32],
    /// The cursor of the next page. `None` where there is none, and where several kinds go on: nobody can tell which
    /// of them will be asked for.
    pub(crate) next: Option<Box<str>>,
}

/// Notes what an answer says.
pub(crate) fn note(answer: &impl Serialize) -> Result<Noted, serde_json::Error> {
    let mut value = serde_json::to_value(answer)?;
    let mut cursors = Vec::new();
    take_out(&mut value, &mut cursors);
    let next = if cursors.len() == 1 { cursors.pop().map(String::into_boxed_str) } else { None };
    Ok(Noted { fingerprint: sha256(&[value.to_string().as_bytes()]), next })
}

/// Takes out what differs between two answers that say the same; that there is a next page stays in.
fn take_out(value: &mut Value, cursors: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.remove(FETCHED_AT);
            members.remove(TOTAL);
            for (name, value) in members {
                if name == CURSOR && value.is_string() {
                    if let Value::String(cursor) = std::mem::replace(value, Value::Bool(true)) {
                        cursors.push(cursor);
                    }
                } else {
                    take_out(value, cursors);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| take_out(value, cursors)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(answer: &Value) -> Noted {
        note(answer).unwrap()
    }

    #[test]
    fn only_what_an_answer_says_counts() {
        let page = |at: &str, cursor: &str, title: &str| {
            of(
                &json!({ "tracks": { "items": [{ "title": title }], "next_cursor": cursor, "total": at.len() + cursor.len() }, "cached_at": at }),
            )
        };
        let first = page("2026-01-01T00:00:00Z", "sealed", "So What");
        assert_eq!(first.fingerprint, page("2026-01-02T00:00:00Z", "sealed anew", "So What").fingerprint);
        assert_ne!(first.fingerprint, page("2026-01-01T00:00:00Z", "sealed", "So what").fingerprint);
        let last = of(&json!({ "tracks": { "items": [{ "title": "So What" }] } }));
        assert_ne!(first.fingerprint, last.fingerprint, "that there is a next page is said too");
    }

    #[test]
    fn the_next_page_is_known_where_there_is_one_only() {
        let section = |cursor: Option<&str>| match cursor {
            Some(cursor) => json!({ "items": [], "next_cursor": cursor }),
            None => json!({ "items": [] }),
        };
        let next = |tracks, albums| {
            of(&json!({ "tracks": section(tracks), "albums": section(albums) })).next.map(String::from)
        };
        assert_eq!(next(Some("a"), None).as_deref(), Some("a"));
        assert_eq!(next(None, Some("b")).as_deref(), Some("b"));
        assert_eq!(next(None, None), None);
        assert_eq!(next(Some("a"), Some("b")), None, "which one will be followed is not known");
    }
}
