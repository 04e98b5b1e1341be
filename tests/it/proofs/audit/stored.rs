//! Random tamperings of the stored trail by someone who may do anything in the database, up to computing every hash anew:
//! each is found, and told where it was done. Some are exported as well, by a gateway that knows nothing of them.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use stagedoor_audit::{PayloadView, read_records, verify_export};
use stagedoor_testkit::Stage;
use stagedoor_testkit::proof::{ProofSize, prove_equal, remark};

use super::edits::Place;
use super::trails::{Past, Trail};

const SEED: u64 = 0x57_0ed;
const TABLES: [&str; 5] =
    ["audit_records", "audit_payloads", "audit_chain_heads", "audit_checkpoints", "audit_checkpoint_heads"];
const EXPORTED_OF: u64 = 8;

/// What is known of a trail before anything is done to it.
pub(super) struct Known {
    pub(super) tenant: String,
    other: String,
    /// Those whose payload opens.
    pub(super) records: Vec<(NaiveDate, i64)>,
    /// Number, day, last record.
    checkpoints: Vec<(i64, NaiveDate, i64)>,
}

/// One tampering: statements, and where they have to show.
pub(super) struct Tampering {
    what: &'static str,
    pub(super) sql: String,
    pub(super) place: Place,
    /// Only the archive can tell.
    archive_only: bool,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tampering_with_the_database_is_found_and_placed() {
    let tamperings: u64 = ProofSize::wanted().of(60, 1_000);
    let past = Past::start().await;
    let [ada, bob] = past.trails(ProofSize::wanted().of(36, 60), SEED).await;
    past.erase(ada.people[0]).await;
    let clean = past.verify(&ada).await;
    assert!(clean.is_intact() && clean.erased > 0 && clean.checkpoints > 10, "{clean:?}");
    let known = known(&past, &ada, &bob).await;
    let keys = past.keys(&ada).await;
    keep(&past.stage).await;

    let mut random = StdRng::seed_from_u64(SEED);
    let (mut missed, mut misplaced, mut exported) = (0_u64, 0_u64, 0_u64);
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for number in 0..tamperings {
        let tampering = known.any(&mut random);
        *kinds.entry(tampering.what).or_default() += 1;
        past.stage.sql(&tampering.sql).await;
        let mut reports = vec![past.verify(&ada).await];
        if number % EXPORTED_OF == 0 && !tampering.archive_only {
            exported += 1;
            reports.push(verify_export(&past.export(&ada).await[..], &keys).unwrap());
        }
        for report in reports {
            missed += u64::from(report.is_intact());
            if !tampering.place.is_told(&report) {
                misplaced += 1;
                let faults = &report.faults[..report.faults.len().min(5)];
                remark(format_args!(
                    "{}: {:?}: {faults:?}: {}",
                    tampering.what, tampering.place, tampering.sql
                ));
            }
        }
        past.stage.sql(&each_table("DELETE FROM {}; INSERT INTO {} SELECT * FROM kept.{}")).await;
    }
    remark(format_args!("{exported} exported; {kinds:?}"));
    let after = past.verify(&ada).await;
    assert!(after.is_intact(), "what was put back is what was there: {after:?}");
    past.stage.sql("DROP SCHEMA kept CASCADE").await;
    prove_equal("audit.database_tamperings_not_found", missed, 0);
    prove_equal("audit.database_tamperings_not_placed", misplaced, 0);
    prove_equal("audit.database_tamperings_tried", kinds.values().sum(), tamperings);
}

pub(super) async fn known(past: &Past, ada: &Trail<'_>, bob: &Trail<'_>) -> Known {
    let mut records = Vec::new();
    for day in past.days().iter() {
        let read = read_records(past.stage.reader(), ada.tenant.context(), day, 0, 100_000).await.unwrap();
        let open = read.iter().filter(|view| matches!(view.payload, PayloadView::Open { .. }));
        records.extend(open.map(|view| (day, view.record.seq)));
    }
    let (tenant, other) = (ada.tenant.id(), bob.tenant.id());
    let list = format!(
        "SELECT number, day, seq FROM audit_checkpoints WHERE tenant_id = '{tenant}' ORDER BY number"
    );
    let parse = |line: &str| {
        let mut columns = line.split('|');
        let mut next = || columns.next().unwrap().to_owned();
        (next().parse().unwrap(), next().parse().unwrap(), next().parse().unwrap())
    };
    let checkpoints = past.stage.sql(&list).await.lines().map(parse).collect();
    Known { tenant, other, records, checkpoints }
}

/// Keeps each table as it is, in a schema that no other test looks at: a stage's database is another test's afterwards.
pub(super) async fn keep(stage: &Stage) {
    let copies = each_table("CREATE TABLE kept.{} AS SELECT * FROM {}");
    stage.sql(&format!("DROP SCHEMA IF EXISTS kept CASCADE; CREATE SCHEMA kept; {copies}")).await;
}

pub(super) fn each_table(statement: &str) -> String {
    TABLES.map(|table| statement.replace("{}", table)).join("; ")
}

impl Known {
    fn any(&self, random: &mut StdRng) -> Tampering {
        let (day, seq) = *self.records.choose(random).unwrap();
        let (further_day, further) = *self.records.choose(random).unwrap();
        let chosen = Chosen { known: self, day, seq };
        match random.random_range(0..14) {
            0..3 => chosen.edit(random),
            3 => chosen.delete(),
            4 => chosen.delete_run(random.random_range(2..12)),
            5 if (further_day, further) != (day, seq) => chosen.swap(further_day, further),
            5 | 6 => chosen.payload(random),
            7 => chosen.splice(&self.other, day, random),
            8 => chosen.splice(&self.tenant, further_day, random),
            9 => chosen.cut_off(),
            10 => chosen.cut_off_with_checkpoints(),
            11 => chosen.computed_anew(),
            12 => chosen.deleted_and_computed_anew(),
            _ => self.checkpoint(random),
        }
    }

    /// The first checkpoint that covers a record.
    pub(super) fn covering(&self, day: NaiveDate, seq: i64) -> Place {
        let covers = |(_, of, last): &&(i64, NaiveDate, i64)| *of == day && *last >= seq;
        let (number, ..) = self.checkpoints.iter().find(covers).unwrap();
        Place::Checkpoint { number: *number, line: 0 }
    }

    fn checkpoint(&self, random: &mut StdRng) -> Tampering {
        let (number, ..) = *self.checkpoints.choose(random).unwrap();
        let change = *[
            "SET hash = sha256(hash)",
            "SET seq = seq + 100000",
            "SET signature = set_byte(signature, 7, get_byte(signature, 7) # 1)",
            "SET previous_digest = sha256(previous_digest)",
            "SET signed_at = signed_at + interval '1 second'",
        ]
        .choose(random)
        .unwrap();
        let which = format!("tenant_id = '{}' AND number = {number}", self.tenant);
        let (what, sql) = if random.random_bool(0.3) {
            ("deletion of a checkpoint", format!("DELETE FROM audit_checkpoints WHERE {which}"))
        } else {
            ("edit of a checkpoint", format!("UPDATE audit_checkpoints {change} WHERE {which}"))
        };
        Tampering { what, sql, place: Place::Checkpoint { number, line: 0 }, archive_only: false }
    }
}

/// A record that something is done to.
pub(super) struct Chosen<'a> {
    pub(super) known: &'a Known,
    pub(super) day: NaiveDate,
    pub(super) seq: i64,
}

impl Chosen<'_> {
    fn edit(&self, random: &mut StdRng) -> Tampering {
        let change = [
            "type = CASE type WHEN 3 THEN 1 ELSE 3 END",
            "occurred_at = occurred_at - interval '1 microsecond'",
            "previous_hash = sha256(previous_hash)",
            "hash = sha256(hash)",
            "commitment = sha256(commitment)",
            "call_id = gen_random_uuid()",
            "bundle_position = bundle_position + 1",
            "bundle_id = gen_random_uuid()",
        ];
        let change = change.choose(random).unwrap();
        Self::done("edit", format!("UPDATE audit_records SET {change} WHERE {}", self.which()), self.here())
    }

    fn delete(&self) -> Tampering {
        let sql = format!("DELETE FROM audit_records WHERE {}", self.which());
        Self::done("delete", sql, self.gap(self.seq))
    }

    fn delete_run(&self, records: i64) -> Tampering {
        let last = self.seq + records - 1;
        let sql = format!(
            "DELETE FROM audit_records WHERE {} AND seq BETWEEN {} AND {last}",
            self.of_day(),
            self.seq
        );
        Self::done("delete run", sql, self.gap(last))
    }

    /// Two records of the tenant change places, of one day or of two.
    fn swap(&self, day: NaiveDate, seq: i64) -> Tampering {
        let content = "commitment, call_id, bundle_id, bundle_position";
        let sql = format!(
            "UPDATE audit_records r SET ({content}) = (SELECT {content} FROM audit_records o
                WHERE o.tenant_id = r.tenant_id AND (o.day, o.seq) <> (r.day, r.seq)
                    AND (o.day, o.seq) IN (('{0}', {1}), ('{day}', {seq})))
            WHERE tenant_id = '{2}' AND (day, seq) IN (('{0}', {1}), ('{day}', {seq}))",
            self.day, self.seq, self.known.tenant
        );
        Self::done("swap", sql, self.here())
    }

    fn payload(&self, random: &mut StdRng) -> Tampering {
        let bundle = format!(
            "{} AND bundle_id = (SELECT bundle_id FROM audit_records WHERE {})",
            self.of_day(),
            self.which()
        );
        let offset = random.random_range(0..200);
        let (what, sql) = match random.random_range(0..3) {
            0 => (
                "edit of a payload",
                format!(
                    "UPDATE audit_payloads SET sealed = set_byte(sealed, {offset} % length(sealed),
                        get_byte(sealed, {offset} % length(sealed)) # 1) WHERE {bundle}"
                ),
            ),
            1 => (
                "another payload",
                format!(
                    "UPDATE audit_payloads p SET sealed = (SELECT sealed FROM audit_payloads o
                        WHERE o.tenant_id = p.tenant_id AND o.bundle_id <> p.bundle_id AND o.sealed <> ''
                        ORDER BY o.bundle_id LIMIT 1) WHERE {bundle}"
                ),
            ),
            _ => ("deletion of a payload", format!("DELETE FROM audit_payloads WHERE {bundle}")),
        };
        Self::done(what, sql, self.here())
    }

    /// What another record says, of another tenant or day, in the place of what this one says.
    fn splice(&self, tenant: &str, day: NaiveDate, random: &mut StdRng) -> Tampering {
        let content = "type, commitment, call_id, bundle_id, bundle_position";
        let which = random.random_range(0..20);
        let sql = format!(
            "UPDATE audit_records r SET ({content}) = (SELECT {content} FROM audit_records o
                WHERE o.tenant_id = '{tenant}' AND o.day = '{day}' AND o.call_id <> r.call_id
                ORDER BY o.seq OFFSET {which} LIMIT 1) WHERE {}",
            self.which()
        );
        Self::done("splice", sql, self.here())
    }

    /// The end of a day goes, and its head says that it was never there.
    fn cut_off(&self) -> Tampering {
        let sql = format!("{}; {}", self.rewind(), self.cut());
        Self::done("cut off", sql, self.known.covering(self.day, self.seq))
    }

    /// The same with every checkpoint since: as if the tenant had done nothing more, which only the archive knows better.
    fn cut_off_with_checkpoints(&self) -> Tampering {
        let tenant = &self.known.tenant;
        let Place::Checkpoint { number, .. } = self.known.covering(self.day, self.seq) else {
            unreachable!()
        };
        let sql = format!(
            "{}; {};
            DELETE FROM audit_checkpoints WHERE tenant_id = '{tenant}' AND number >= {number};
            DELETE FROM audit_records WHERE tenant_id = '{tenant}' AND day > '{day}';
            DELETE FROM audit_chain_heads WHERE tenant_id = '{tenant}' AND day > '{day}';
            UPDATE audit_checkpoint_heads SET number = {number} - 1, archived = {number} - 1
                WHERE tenant_id = '{tenant}'",
            self.rewind(),
            self.cut(),
            day = self.day,
        );
        let place = Place::Checkpoint { number, line: 0 };
        Tampering { what: "cut off with checkpoints", sql, place, archive_only: true }
    }

    /// A record says something else, and every hash after it is made to fit.
    pub(super) fn computed_anew(&self) -> Tampering {
        let sql = format!(
            "UPDATE audit_records SET type = CASE type WHEN 3 THEN 1 ELSE 3 END WHERE {}; {}",
            self.which(),
            self.compute_anew()
        );
        Self::done("edited and computed anew", sql, self.known.covering(self.day, self.seq))
    }

    /// A record goes, those after it move up, and every hash is made to fit.
    fn deleted_and_computed_anew(&self) -> Tampering {
        let (day, seq) = (self.of_day(), self.seq);
        let sql = format!(
            "DELETE FROM audit_records WHERE {};
            UPDATE audit_records SET seq = seq + 1000000 WHERE {day} AND seq > {seq};
            UPDATE audit_records SET seq = seq - 1000001 WHERE {day} AND seq > 1000000;
            UPDATE audit_chain_heads SET seq = seq - 1 WHERE {day}; {}",
            self.which(),
            self.compute_anew()
        );
        Self::done("deleted and computed anew", sql, self.known.covering(self.day, self.seq))
    }

    /// The head as it was before the record.
    fn rewind(&self) -> String {
        format!(
            "UPDATE audit_chain_heads SET seq = {seq} - 1,
                hash = (SELECT previous_hash FROM audit_records WHERE {which}) WHERE {day}",
            seq = self.seq,
            which = self.which(),
            day = self.of_day()
        )
    }

    fn cut(&self) -> String {
        format!("DELETE FROM audit_records WHERE {} AND seq >= {}", self.of_day(), self.seq)
    }

    /// Every hash from the record on, and the head.
    fn compute_anew(&self) -> String {
        format!(
            "DO $$
            DECLARE
                link record;
                last bytea := (SELECT COALESCE(
                    (SELECT hash FROM audit_records WHERE {day} AND seq = {seq} - 1),
                    sha256('stagedoor/audit-chain/1'::bytea || uuid_send('{tenant}') || '{date}'::bytea)));
            BEGIN
                FOR link IN SELECT * FROM audit_records WHERE {day} AND seq >= {seq} ORDER BY seq LOOP
                    UPDATE audit_records SET previous_hash = last, hash = sha256(last || int8send(link.seq)
                        || int8send((extract(epoch FROM link.occurred_at) * 1000000)::bigint)
                        || int2send(link.type) || link.commitment)
                    WHERE {day} AND seq = link.seq RETURNING hash INTO last;
                END LOOP;
                UPDATE audit_chain_heads SET hash = last WHERE {day};
            END $$",
            day = self.of_day(),
            seq = self.seq,
            tenant = self.known.tenant,
            date = self.day,
        )
    }

    fn which(&self) -> String {
        format!("{} AND seq = {}", self.of_day(), self.seq)
    }

    fn of_day(&self) -> String {
        format!("tenant_id = '{}' AND day = '{}'", self.known.tenant, self.day)
    }

    fn here(&self) -> Place {
        Place::Record { day: self.day, seq: self.seq, line: 0 }
    }

    fn gap(&self, last: i64) -> Place {
        Place::Between { day: self.day, before: self.seq - 1, after: last + 1 }
    }

    fn done(what: &'static str, sql: String, place: Place) -> Tampering {
        Tampering { what, sql, place, archive_only: false }
    }
}
