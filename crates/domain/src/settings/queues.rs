//! How the bounds of a tenant's shared queues are read.

use serde_json::Value;

use super::{Reader, member};
use crate::queue::QueueLimits;

impl Reader {
    /// Bounds within those of the house; one that is out of them is as if it were not set.
    pub(super) fn queues(&mut self, path: &str, value: &Value) -> QueueLimits {
        const MEMBERS: [&str; 3] = ["per_person", "items", "members"];
        let (mut limits, most) = (QueueLimits::default(), QueueLimits::MOST);
        for (name, value) in self.members(path, value, &MEMBERS).into_iter().flatten() {
            let (bound, most) = match name.as_str() {
                "per_person" => (&mut limits.per_person, most.per_person),
                "items" => (&mut limits.items, most.items),
                "members" => (&mut limits.members, most.members),
                _ => continue,
            };
            let wanted = value.as_u64().and_then(|number| u32::try_from(number).ok());
            match wanted.filter(|number| (1..=most).contains(number)) {
                Some(number) => *bound = number,
                None => self.wrong(&member(path, name), value, &format!("a whole number from 1 to {most}")),
            }
        }
        limits
    }
}
