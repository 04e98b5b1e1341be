//! Says what is wrong with a tenant's settings: once for each tenant and state of them, however often they are read.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use stagedoor_domain::{SettingsProblem, TenantId, TenantSlug};

/// What this process told.
static TOLD: Told = Told(Mutex::new(None));

/// Logs `problems`, unless the same were the last that this process saw of the tenant.
pub(crate) fn tell(tenant: TenantId, slug: &TenantSlug, problems: &[SettingsProblem]) {
    if TOLD.is_new(tenant, problems) {
        for problem in problems {
            tracing::warn!(%tenant, %slug, member = %problem.path, "tenants.settings: {problem}; the default holds");
        }
    }
}

/// The last problems of each tenant that has any, as a digest.
struct Told(Mutex<Option<HashMap<TenantId, u64>>>);

impl Told {
    /// The most tenants that are remembered; with more of them problems are told again now and then.
    const MOST: usize = 1_024;

    fn is_new(&self, tenant: TenantId, problems: &[SettingsProblem]) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = told.get_or_insert_default();
        if problems.is_empty() {
            told.remove(&tenant);
            return false;
        }
        if told.len() >= Self::MOST && !told.contains_key(&tenant) {
            told.clear();
        }
        let mut hasher = DefaultHasher::new();
        problems.hash(&mut hasher);
        let digest = hasher.finish();
        told.insert(tenant, digest) != Some(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_of_a_tenants_settings_is_told_once() {
        let told = Told(Mutex::new(None));
        let problem =
            |text: &str| [SettingsProblem { path: "limits.serch".to_owned(), problem: text.to_owned() }];
        let tenant = |number: u128| TenantId(uuid::Uuid::from_u128(number));
        assert!(!told.is_new(tenant(1), &[]), "nothing is wrong");
        assert!(told.is_new(tenant(1), &problem("one")));
        assert!(!told.is_new(tenant(1), &problem("one")), "it was told");
        assert!(told.is_new(tenant(2), &problem("one")), "another tenant's is another");
        assert!(told.is_new(tenant(1), &problem("two")), "something else is wrong");
        assert!(!told.is_new(tenant(1), &[]));
        assert!(told.is_new(tenant(1), &problem("two")), "it was mended and is wrong again");
        for number in 0..5_000 {
            told.is_new(tenant(number), &problem("one"));
            assert!(told.0.lock().unwrap().as_ref().unwrap().len() <= Told::MOST);
        }
    }
}
