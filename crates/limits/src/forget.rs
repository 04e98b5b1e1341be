//! Forgetting principals that are no more, so that nothing is left of who they were: buckets, refusals, penalties and
//! leases.

use redis::cmd;
use stagedoor_domain::TenantContext;
use stagedoor_domain::tenant::PrincipalKind;
use stagedoor_redis_link::Unavailable;

use crate::limiter::Limiter;
use crate::script::own_keys;

impl Limiter {
    /// Forgets principals of the context's tenant that cannot call any more: in Redis, and here. What another replica
    /// remembers of them goes there when it is idle. Answers how many keys went from Redis.
    ///
    /// A principal that can still call must not be forgotten: its buckets would be full again.
    pub async fn forget(
        &self,
        ctx: &TenantContext,
        principals: &[PrincipalKind],
    ) -> Result<u64, Unavailable> {
        let tenant = ctx.tenant_id();
        self.forget_here(tenant, principals);
        let (Some(link), false) = (self.link(), principals.is_empty()) else { return Ok(0) };
        let mut unlink = cmd("UNLINK");
        for principal in principals {
            unlink.arg(&own_keys(tenant, &principal.label()));
        }
        link.run(|mut connection| async move { unlink.query_async(&mut connection).await }).await
    }
}
