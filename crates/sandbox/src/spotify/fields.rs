//! The `fields` parameter: `total,items(added_at,item(name,artists(name)))`, `owner.id`, `!images` and the like.

use serde_json::{Map, Value};

use super::Failure;

/// What of `value` the filter keeps; all of it without a filter.
pub(super) fn only(value: Value, filter: Option<&str>) -> Result<Value, Failure> {
    let Some(filter) = filter.filter(|filter| !filter.is_empty()) else { return Ok(value) };
    let mut rest = filter;
    let selection = parse(&mut rest, 0).filter(|_| rest.is_empty());
    selection.map(|selection| select(value, &selection)).ok_or_else(|| Failure::bad("Invalid fields"))
}

#[derive(Debug, Default)]
struct Selection {
    kept: Vec<(String, Option<Selection>)>,
    dropped: Vec<String>,
}

fn parse(rest: &mut &str, depth: u8) -> Option<Selection> {
    let mut selection = Selection::default();
    if depth > 8 {
        return None;
    }
    loop {
        let except = rest.starts_with('!');
        *rest = rest.trim_start_matches('!');
        let end = rest
            .find(|character: char| !character.is_ascii_alphanumeric() && character != '_')
            .unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if name.is_empty() {
            return None;
        }
        *rest = after;
        let inner = match rest.chars().next() {
            Some('(') => {
                *rest = &rest[1..];
                let inner = parse(rest, depth + 1)?;
                *rest = rest.strip_prefix(')')?;
                Some(inner)
            }
            Some('.') => {
                *rest = &rest[1..];
                Some(parse_path(rest, depth + 1)?)
            }
            _ => None,
        };
        if except {
            selection.dropped.push(name.to_owned());
        } else {
            selection.kept.push((name.to_owned(), inner));
        }
        match rest.strip_prefix(',') {
            Some(after) => *rest = after,
            None => return Some(selection),
        }
    }
}

/// What follows a full stop: one name, with what belongs to it.
fn parse_path(rest: &mut &str, depth: u8) -> Option<Selection> {
    let end = path_end(rest);
    let (mut path, after) = rest.split_at(end);
    let selection = parse(&mut path, depth)?;
    *rest = after;
    path.is_empty().then_some(selection)
}

fn path_end(text: &str) -> usize {
    let mut open = 0_u32;
    for (at, character) in text.char_indices() {
        match character {
            '(' => open += 1,
            ')' | ',' if open == 0 => return at,
            ')' => open -= 1,
            _ => {}
        }
    }
    text.len()
}

fn select(value: Value, selection: &Selection) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(|value| select(value, selection)).collect(),
        Value::Object(mut object) if selection.kept.is_empty() => {
            object.retain(|name, _| !selection.dropped.contains(name));
            Value::Object(object)
        }
        Value::Object(mut object) => {
            let mut selected = Map::new();
            for (name, inner) in &selection.kept {
                if let Some(value) = object.remove(name) {
                    let value = match inner {
                        Some(inner) => select(value, inner),
                        None => value,
                    };
                    selected.insert(name.clone(), value);
                }
            }
            Value::Object(selected)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::only;

    #[test]
    fn a_filter_keeps_what_it_names() {
        let page = json!({ "total": 2, "href": "x", "items": [
            { "added_at": "t", "added_by": { "id": "a", "uri": "u" }, "item": { "name": "n", "album": { "name": "m", "id": "i" } } },
        ] });
        let kept = only(page.clone(), Some("total,items(added_by.id,item(name,album(name)))")).unwrap();
        assert_eq!(
            kept,
            json!({ "total": 2, "items": [
            { "added_by": { "id": "a" }, "item": { "name": "n", "album": { "name": "m" } } },
        ] })
        );
        assert_eq!(
            only(page.clone(), Some("items.item.album.id")).unwrap(),
            json!({ "items": [{ "item": { "album": { "id": "i" } } }] })
        );
        assert_eq!(only(page.clone(), Some("!items,!href")).unwrap(), json!({ "total": 2 }));
        assert!(only(page, Some("items(")).is_err());
    }
}
