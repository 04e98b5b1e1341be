//! Patches: JSON merge patch (RFC 7396), and server-side apply as far as maps go; lists are replaced whole.

use serde_json::Value;

/// Applies a merge patch.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    for (name, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut target[name.as_str()], value);
        }
    }
}

/// Applies `new` over what the same manager applied `before`: what it names no more goes.
pub(crate) fn apply(target: &mut Value, before: &Value, new: &Value) {
    let Some(named) = new.as_object() else {
        *target = new.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    for name in before.as_object().into_iter().flat_map(serde_json::Map::keys) {
        if !named.contains_key(name) {
            target.as_object_mut().unwrap().remove(name);
        }
    }
    for (name, value) in named.iter().filter(|(_, value)| !value.is_null()) {
        let before = before.get(name).unwrap_or(&Value::Null);
        apply(&mut target[name.as_str()], before, value);
    }
}
