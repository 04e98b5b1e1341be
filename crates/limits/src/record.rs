//! One line for each decision of the shared buckets, enough to decide it again in sequence. Written as the field
//! `decision` of a trace event with the target `stagedoor_limits::decisions`; `replay` reads it.
//!
//! `decide now=µs tenant=id principal=label cost=n extra=n lead=µs taken=n penalty=since/length
//! steps=refusals/within/block,… own=n buckets=field:window:interval:denominator:whole:part,…` and
//! `charge now=µs tenant=id principal=label-or-minus field=name micros=n whole=µs`.

use std::fmt;

use stagedoor_domain::TenantContext;
use stagedoor_domain::tenant::PrincipalKind;

use crate::local::Debt;
use crate::plan::Plan;
use crate::script::{Ask, Taken};

/// Records what the script answered.
pub(crate) fn decided(ctx: &TenantContext, plan: &Plan, ask: Ask, taken: &Taken) {
    tracing::trace!(
        target: "stagedoor_limits::decisions",
        decision = %Decided { ctx, plan, ask, taken },
    );
}

/// Records what an outage's calls were charged.
pub(crate) fn charged(debts: &[Debt], answer: &[u64]) {
    let Some((now, wholes)) = answer.split_first() else { return };
    for (debt, whole) in debts.iter().zip(wholes) {
        let decision = Charged { debt, now: *now, whole: *whole };
        tracing::trace!(target: "stagedoor_limits::decisions", %decision);
    }
}

pub(crate) struct Decided<'a> {
    pub(crate) ctx: &'a TenantContext,
    pub(crate) plan: &'a Plan,
    pub(crate) ask: Ask,
    pub(crate) taken: &'a Taken,
}

impl fmt::Display for Decided<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ctx, plan, ask: Ask { cost, extra, lead }, taken } = self;
        let (tenant, label) = (ctx.tenant_id(), ctx.principal().label());
        let penalty = taken.penalty.map_or((0, 0), |penalty| (penalty.since, penalty.length));
        write!(f, "decide now={} tenant={tenant} principal={label} cost={cost} extra={extra}", taken.now)?;
        write!(f, " lead={lead} taken={} penalty={}/{} steps=", taken.calls, penalty.0, penalty.1)?;
        for (index, step) in plan.steps.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{}/{}/{}", step.refusals, step.within, step.block)?;
        }
        write!(f, " own={} buckets=", plan.own)?;
        for (index, (rate, arrival)) in plan.rates.iter().zip(&taken.arrivals).enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{}:{}:{}:", rate.field, rate.window_us, rate.interval)?;
            write!(f, "{}:{}:{}", rate.denominator, arrival.whole, arrival.part)?;
        }
        Ok(())
    }
}

struct Charged<'a> {
    debt: &'a Debt,
    now: u64,
    whole: u64,
}

impl fmt::Display for Charged<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Debt { tenant, principal, field, micros, .. } = self.debt;
        let label = principal.as_ref().map_or_else(|| "-".to_owned(), PrincipalKind::label);
        write!(f, "charge now={} tenant={tenant} principal={label}", self.now)?;
        write!(f, " field={field} micros={micros} whole={}", self.whole)
    }
}
