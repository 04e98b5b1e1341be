//! What a person has set and agreed to, as far as it decides what becomes of their calls: remembered as other rows are,
//! and in force on every replica as soon as a change is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use stagedoor_domain::error::Chain;
use stagedoor_domain::preferences::{CacheLayer, PrivacyLayer, SearchLayer};
use stagedoor_domain::{ConsentPurpose, Preferences, PreferencesLayer, PublicError, TenantContext, UserId};
use stagedoor_storage::{KeyVault, consents, preferences};

use crate::consents::{State, required};
use crate::desk::Desk;
use crate::origin::Origin;
use crate::records::store_failure;
use crate::settling::Settling;

/// What a person has set, and the versions of the policy that they agreed to and have not taken back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    preferences: PreferencesLayer,
    decided: Vec<Decided>,
}

/// A decision as far as it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Decided {
    purpose: ConsentPurpose,
    granted: bool,
    policy_version: Box<str>,
}

impl Wishes {
    /// What is done where it cannot be known what the person wants: whatever they want, it is not more than that.
    pub(crate) fn careful() -> Self {
        Self {
            preferences: PreferencesLayer {
                search_defaults: SearchLayer { include_explicit: Some(false), ..SearchLayer::default() },
                cache_preferences: CacheLayer { enable_cache: Some(false), cache_duration: None },
                privacy: PrivacyLayer { enable_analytics: Some(false), share_usage_data: Some(false) },
                ..PreferencesLayer::default()
            },
            decided: Vec::new(),
        }
    }

    /// As the store has them.
    pub(crate) async fn load(
        vault: &KeyVault,
        ctx: &TenantContext,
        user: UserId,
    ) -> Result<Self, PublicError> {
        let preferences = match preferences::load(vault, ctx, user).await {
            Ok(stored) => stored.preferences,
            Err(error) if error.is_transient() => return Err(store_failure(&error)),
            Err(error) => {
                store_failure(&error);
                Self::careful().preferences
            }
        };
        let decided = match consents::current(vault, ctx, user).await {
            Ok(standing) => standing.into_iter().filter_map(decided).collect(),
            Err(error) if error.is_transient() => return Err(store_failure(&error)),
            Err(error) => {
                store_failure(&error);
                Vec::new()
            }
        };
        Ok(Self { preferences, decided })
    }

    /// What is in effect, the tenant's defaults included.
    pub(crate) fn preferences(&self, ctx: &TenantContext) -> Preferences {
        Preferences::of(&self.preferences, &ctx.tenant().settings.preferences)
    }

    /// How the person's consent to `purpose` stands under the tenant's present policy.
    pub(crate) fn consent(&self, ctx: &TenantContext, purpose: ConsentPurpose) -> State {
        let decided = self.decided.iter().find(|decided| decided.purpose == purpose);
        State::of(ctx, decided.map(|decided| (decided.granted, &*decided.policy_version)))
    }

    /// Whether it may be counted what the person's calls do.
    pub(crate) fn counts_usage(&self, ctx: &TenantContext) -> bool {
        self.preferences(ctx).privacy.enable_analytics
            && self.consent(ctx, ConsentPurpose::Analytics) == State::Granted
    }
}

fn decided(standing: consents::Standing) -> Option<Decided> {
    // What does not open is told where it is found, and agreed to by nobody.
    let decision = standing.decision.inspect_err(|error| drop(store_failure(error))).ok()?;
    let policy_version = decision.policy_version.into_boxed_str();
    Some(Decided { purpose: decision.purpose, granted: decision.granted, policy_version })
}

impl Desk {
    /// What is in effect for whoever the call acts for.
    pub(crate) async fn preferences(&self, ctx: &TenantContext) -> Preferences {
        self.wishes(ctx).await.preferences(ctx)
    }

    /// Whether it may be counted what the call does: not of a person who has switched analytics off, or has not
    /// consented to it under the tenant's present policy. A key that acts for no person tells nothing of one.
    pub async fn counts_usage(&self, ctx: &TenantContext) -> bool {
        ctx.user().is_none() || self.wishes(ctx).await.counts_usage(ctx)
    }

    /// For processing that needs a consent: that the person has given it, for the policy that the tenant has now, and
    /// has not taken it back, on any replica.
    ///
    /// # Errors
    ///
    /// `consent_required`; `user_required` for a key that acts for no person.
    pub async fn require_consent(
        &self,
        ctx: &TenantContext,
        purpose: ConsentPurpose,
    ) -> Result<(), PublicError> {
        crate::desk::acting_for(ctx)?;
        required(ctx, purpose, self.wishes(ctx).await.consent(ctx, purpose))
    }

    pub(crate) async fn wishes(&self, ctx: &TenantContext) -> Arc<Wishes> {
        match ctx.user() {
            Some(user) => self.records.wishes(ctx, user).await,
            None => Arc::default(),
        }
    }
}

/// What has to follow a write of what a person wants or has agreed to, whether or not it is known to have been done: no
/// replica goes by what was there before.
pub(crate) struct Announcement {
    settling: Settling,
    /// Replicas that could not be told may go by what was there before until they forget it.
    late: Arc<AtomicBool>,
}

impl Announcement {
    /// To be made before the write begins.
    pub(crate) fn of(desk: &Desk, ctx: &TenantContext, user: UserId) -> Self {
        let (cache, records) = (Arc::clone(&desk.cache), Arc::clone(&desk.records));
        let late = Arc::new(AtomicBool::new(false));
        let (of, unheard) = (ctx.clone(), Arc::clone(&late));
        let settling = Settling::new(desk.spawn(), async move {
            records.forget_wishes(&of, user).await;
            if let Err(error) = cache.bump_preferences(&of, user).await {
                unheard.store(true, Ordering::Relaxed);
                tracing::warn!(error = %Chain(&error), "other replicas may go by earlier preferences for half a minute");
            }
        });
        Self { settling, late }
    }

    /// Made after the write and before its reply, which says so if not everybody has heard it.
    pub(crate) async fn make(self, origin: &Origin) {
        self.settling.now().await;
        if self.late.load(Ordering::Relaxed) {
            origin.warn(
                "This is stored, but other replicas could not be told: calls that they serve may go by what was set \
                 before for up to half a minute.",
            );
        }
    }
}
