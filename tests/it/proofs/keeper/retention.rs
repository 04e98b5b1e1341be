//! Removing a big audit trail: days are dropped, whatever they hold.

use std::fmt::Write as _;
use std::time::Duration;

use chrono::Days;
use stagedoor_keeper::Ending;
use stagedoor_keeper::jobs::retention::{Part, Retention};
use stagedoor_testkit::proof::{ProofSize, prove, prove_equal, remark};
use stagedoor_testkit::{Stage, StageOptions, generous};

/// Days that are over, and tenants.
const DAYS: u64 = 10;
const TENANTS: u64 = 4;
/// DESIGN §8.
const BOUND: Duration = Duration::from_secs(5);

#[tokio::test]
async fn ten_million_audit_rows_go_in_seconds() {
    let size = ProofSize::wanted();
    let rows = size.of(20_000, 10_000_000);
    let stage = Stage::start_with(StageOptions { redis: false, ..StageOptions::default() }).await;
    for tenant in 0..TENANTS {
        stage.tenant(&format!("tenant-{tenant}"), generous()).await;
    }
    fill(&stage, rows / DAYS / TENANTS).await;
    let before = "SELECT count(*) FROM audit_records WHERE day < current_date - 90";
    prove_equal("keeper.audit_rows_before_retention", stage.sql(before).await.parse::<u64>().unwrap(), rows);

    let ended = stage.keep(&Retention::of(Part::Audit)).await;
    assert_eq!(ended.ending, Ending::Succeeded, "{ended}");
    remark(&ended);
    prove_equal("keeper.audit_days_dropped", ended.count("audit_days_dropped"), DAYS);
    prove_equal("keeper.audit_rows_after_retention", stage.sql(before).await.parse::<u64>().unwrap(), 0);
    let took = ended.duration;
    let holds = took < BOUND || !size.judges_time();
    prove("keeper.audit_retention_ms", took.as_millis(), format!("<{}", BOUND.as_millis()), holds);
}

/// Old days with so many records of each tenant, as the gateway's would be on disk: rows, keys, payloads. Days that are
/// over were vacuumed and written out long ago, so nothing of that is under way.
async fn fill(stage: &Stage, records: u64) {
    let today = stage.clock().now().date_naive();
    for back in 0..DAYS {
        let day = today.checked_sub_days(Days::new(100 + back)).unwrap();
        let (name, next) = (day.format("%Y%m%d"), day.succ_opt().unwrap());
        let mut sql = String::new();
        for parent in ["audit_records", "audit_payloads"] {
            write!(
                sql,
                "CREATE TABLE {parent}_p{name} PARTITION OF {parent} FOR VALUES FROM ('{day}') TO ('{next}');
                ALTER TABLE {parent}_p{name} SET (autovacuum_enabled = false);
                ALTER TABLE {parent}_p{name} OWNER TO stagedoor_owner;"
            )
            .unwrap();
        }
        write!(
            sql,
            "INSERT INTO audit_records SELECT t.tenant_id, '{day}', n, 3, '{day}T12:00:00Z', sha256('p'), sha256('h'),
                sha256('c'), t.tenant_id, t.tenant_id, 0 FROM tenants t, generate_series(1, {records}) n;
            INSERT INTO audit_payloads SELECT t.tenant_id, '{day}', gen_random_uuid(), NULL, 100, decode(repeat('00', 4096), 'hex')
                FROM tenants t, generate_series(1, {records} / 100) n;
            INSERT INTO audit_chain_heads (tenant_id, day, seq, hash, sealed_seq)
                SELECT t.tenant_id, '{day}', {records}, sha256('h'), {records} FROM tenants t;"
        )
        .unwrap();
        stage.sql(&sql).await;
    }
    stage.sql("CHECKPOINT").await;
}
