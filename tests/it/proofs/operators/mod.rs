//! The operators' side: keys in great numbers, their changes and ends on every replica, what their use costs.

mod keys;
mod scale;

use std::time::Duration;

use stagedoor_testkit::Stage;

/// Tenants and keys in great numbers, past everything that makes them one by one. Nobody knows the keys' texts.
async fn populate(stage: &Stage, tenants: u32, keys: u32) {
    stage
        .sql(&format!(
            "INSERT INTO tenants (tenant_id, slug, name) SELECT gen_random_uuid(), 'many-' || n, 'Tenant ' || n
            FROM generate_series(1, {tenants}) n"
        ))
        .await;
    stage
        .sql(&format!(
            "INSERT INTO api_keys (tenant_id, key_id, name, mode, pepper_version, digest, scopes)
            SELECT t.tenant_id, lpad(n::text, 12, '0'), 'key ' || n, 'live', 1, sha256(n::text::bytea), '{{catalog:read}}'
            FROM generate_series(1, {keys}) n JOIN tenants t ON t.slug = 'many-' || (n % {tenants} + 1)"
        ))
        .await;
    stage.sql("ANALYZE tenants, api_keys").await;
}

/// In milliseconds, of durations in any order.
fn quantile(durations: &mut [Duration], percent: usize) -> f64 {
    durations.sort_unstable();
    durations[(durations.len() - 1) * percent / 100].as_secs_f64() * 1e3
}
