//! Which fields an update changes (google.aip.dev/134): those of its mask or, without one, those that it sets.

use prost_types::FieldMask;

use crate::error::{AdminError, Violation};

/// The fields of an update.
#[derive(Debug)]
pub(crate) struct Mask {
    /// `None` means those that are set.
    named: Option<Vec<String>>,
}

impl Mask {
    /// The mask of a request of which `known` fields may be changed. `*` names all of them.
    pub(crate) fn new(given: Option<&FieldMask>, known: &[&str]) -> Result<Self, AdminError> {
        let Some(given) = given.filter(|mask| !mask.paths.is_empty()) else {
            return Ok(Self { named: None });
        };
        if given.paths.iter().any(|path| path == "*") {
            return Ok(Self { named: Some(known.iter().map(|&path| path.to_owned()).collect()) });
        }
        let unknown: Vec<_> = given.paths.iter().filter(|path| !known.contains(&path.as_str())).collect();
        if unknown.is_empty() {
            return Ok(Self { named: Some(given.paths.clone()) });
        }
        let violation = |path: &String| Violation {
            field: "update_mask".to_owned(),
            description: format!("{path:?} cannot be changed; wanted: {}.", known.join(", ")),
        };
        Err(AdminError::fields(unknown.into_iter().map(violation).collect()))
    }

    /// Whether the field of that name is changed, `is_set` being whether the request holds a value for it.
    pub(crate) fn changes(&self, field: &str, is_set: bool) -> bool {
        self.named.as_ref().map_or(is_set, |named| named.iter().any(|path| path == field))
    }
}
