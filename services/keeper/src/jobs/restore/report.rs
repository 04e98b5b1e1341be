//! What a restore says of itself: counts, and for each row that did not come back which one it was.

use serde_json::{Value, json};
use stagedoor_archive::Found;
use stagedoor_domain::TenantContext;
use stagedoor_storage::restore::Tally;

use super::apply::Done;
use crate::run::Run;

/// What was put back from where.
pub(super) struct Report<'a> {
    pub(super) context: &'a TenantContext,
    pub(super) backups: &'a [Found],
    pub(super) done: &'a Done,
    /// Whether it stays.
    pub(super) kept: bool,
}

impl Report<'_> {
    pub(super) fn tell(&self, run: &Run) {
        count(run, self.done);
        for damage in &self.done.damaged {
            run.failed("lost", damage);
        }
        for loss in &self.done.restored.losses {
            run.failed(format_args!("lost: {} {}", loss.table, loss.row), &loss.why);
        }
        if self.done.restored.records_missing > 0 {
            let text = format!(
                "{} records or payloads of days that came back are missing",
                self.done.restored.records_missing
            );
            run.failed("the audit trail", text);
        }
        run.answer(self.text(), self.json());
    }

    fn text(&self) -> String {
        let verb = if self.kept { "came back" } else { "would come back" };
        let restored = &self.done.restored;
        let mut lines = vec![format!("tenant {}", self.context.tenant().slug)];
        lines.extend(self.backups.iter().map(|found| format!("  from {found}")));
        lines.extend(restored.tables.iter().map(|(table, tally)| {
            format!("  {table}: {} of {} {verb}{}", came(tally), tally.given, rest(tally))
        }));
        if restored.people_erased > 0 {
            lines.push(format!("  {} people were erased and stay away", restored.people_erased));
        }
        if restored.erased_again > 0 {
            lines.push(format!(
                "  {} people were erased and are here again: their erasure begins anew",
                restored.erased_again
            ));
        }
        lines.join("\n") + "\n"
    }

    fn json(&self) -> Value {
        let restored = &self.done.restored;
        let tables: serde_json::Map<String, Value> =
            restored.tables.iter().map(|(table, tally)| ((*table).to_owned(), tally_json(tally))).collect();
        json!({
            "tenant_id": self.context.tenant_id(),
            "kept": self.kept,
            "backups": self.backups.iter().map(|found| found.id).collect::<Vec<_>>(),
            "tables": tables,
            "damaged_chunks": self.done.damaged.iter().map(|damage| json!({
                "object": damage.object,
                "what": damage.kind.to_string(),
                "lost": damage.lost.iter().map(|lost| json!({
                    "table": lost.table, "first": lost.first, "rows": lost.rows,
                })).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "losses": restored.losses.iter().map(|loss| json!({
                "table": loss.table, "row": loss.row, "why": loss.why,
            })).collect::<Vec<_>>(),
            "people_erased": restored.people_erased,
            "people_erased_again": restored.erased_again,
            "audit_records_missing": restored.records_missing,
        })
    }
}

/// Adds what was done to the run's counts.
pub(super) fn count(run: &Run, done: &Done) {
    let total = done.restored.total();
    let damaged: u64 = done.damaged.iter().map(stagedoor_archive::Damage::rows).sum();
    run.count("rows_restored", came(&total));
    run.count("rows_there", total.same);
    run.count("rows_kept", total.kept);
    run.count("rows_of_erased_people", total.erased);
    run.count("rows_lost", total.lost + damaged);
    run.count("people_erased", done.restored.people_erased);
}

const fn came(tally: &Tally) -> u64 {
    tally.inserted + tally.replaced
}

fn rest(tally: &Tally) -> String {
    let parts = [
        (tally.same, "there already"),
        (tally.kept, "not in the place of what is there"),
        (tally.erased, "of people who were erased"),
        (tally.lost, "lost"),
        (tally.changed, "changed"),
    ];
    let told = parts.iter().filter(|(rows, _)| *rows > 0).map(|(rows, what)| format!(", {rows} {what}"));
    told.collect()
}

fn tally_json(tally: &Tally) -> Value {
    json!({
        "given": tally.given,
        "inserted": tally.inserted,
        "replaced": tally.replaced,
        "same": tally.same,
        "kept": tally.kept,
        "erased": tally.erased,
        "lost": tally.lost,
        "changed": tally.changed,
    })
}
