//! Shared queues: who may do what in one, and how much there may be of them.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::scope::closed_set;

closed_set!(
    /// What a person may do in a shared queue; each role may do what those before it may.
    QueueRole, QueueRoleSet, "A set of roles." {
        Listener = "listener",
        Voter = "voter",
        Editor = "editor",
        Owner = "owner",
    }
);

impl JsonSchema for QueueRole {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "QueueRole".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "enum": Self::ALL.iter().map(|role| role.as_str()).collect::<Vec<_>>() })
    }
}

/// How much there may be of a tenant's shared queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QueueLimits {
    /// Queues that one person owns.
    pub per_person: u32,
    /// Items in one queue; not more than a playlist takes at a time.
    pub items: u32,
    /// People in one queue.
    pub members: u32,
}

impl QueueLimits {
    /// The most that a tenant may set.
    pub const MOST: Self = Self { per_person: 200, items: 500, members: 500 };
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { per_person: 20, items: 500, members: 100 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_what_those_before_it_may() {
        assert!(QueueRole::Owner > QueueRole::Editor && QueueRole::Editor > QueueRole::Voter);
        assert!(QueueRole::Voter > QueueRole::Listener);
    }
}
