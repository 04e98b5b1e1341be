//! Buckets in Redis: one script call over all buckets of a call and the principal's penalty. All keys begin with
//! `sd:{tenant id}:limit:v2:`; the braces are the cluster's hash tag, so one call touches one slot.

use std::fmt::Write as _;

use redis::{Cmd, ErrorKind, FromRedisValue, Script, ServerErrorKind};
use stagedoor_domain::{TenantContext, TenantId};
use stagedoor_redis_link::{RedisLink, Unavailable};

use crate::gcra::Arrival;
use crate::penalty::Running;
use crate::plan::Plan;

/// What is asked of all buckets of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Calls to take, or none; 0 looks.
    pub(crate) cost: u64,
    /// Calls to take besides, as far as there is room.
    pub(crate) extra: u64,
    /// Microseconds within which these are spent.
    pub(crate) lead: u64,
}

impl Ask {
    /// Takes nothing.
    pub(crate) const LOOK: Self = Self { cost: 0, extra: 0, lead: 0 };
    /// Takes one call.
    pub(crate) const ONE: Self = Self { cost: 1, extra: 0, lead: 0 };
}

/// What was taken, and all state afterwards, the buckets in the order of the plan's rates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Calls taken.
    pub(crate) calls: u64,
    /// Microseconds on the clock of whoever keeps the buckets.
    pub(crate) now: u64,
    /// The penalty in force.
    pub(crate) penalty: Option<Running>,
    /// Each bucket's arrival time.
    pub(crate) arrivals: Vec<Arrival>,
}

/// A script whose digest was computed once.
#[derive(Debug)]
pub(crate) struct Program {
    digest: String,
    source: &'static str,
}

impl Program {
    pub(crate) fn new(source: &'static str) -> Self {
        Self { digest: Script::new(source).get_hash().to_owned(), source }
    }

    /// Runs it on `keys`, which share a slot. One round trip, two where the server does not know the script yet.
    pub(crate) async fn run<T: FromRedisValue + Send>(
        &self,
        link: &RedisLink,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<T, Unavailable> {
        let by_digest = command("EVALSHA", &self.digest, keys, arguments);
        link.run(|mut connection| async move {
            match by_digest.query_async(&mut connection).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    command("EVAL", self.source, keys, arguments).query_async(&mut connection).await
                }
                answer => answer,
            }
        })
        .await
    }
}

fn command(name: &str, script: &str, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
    let bytes = keys.iter().map(|key| key.len()).chain(arguments.iter().map(|argument| argument.len()));
    let size = name.len() + script.len() + 4 + bytes.sum::<usize>();
    let mut command = Cmd::with_capacity(3 + keys.len() + arguments.len(), size);
    command.arg(name).arg(script).arg(keys.len());
    for key in keys {
        command.arg(*key);
    }
    for argument in arguments {
        command.arg(*argument);
    }
    command
}

/// The script over buckets.
#[derive(Debug)]
pub(crate) struct BucketScript(Program);

impl BucketScript {
    pub(crate) fn new() -> Self {
        Self(Program::new(include_str!("buckets.lua")))
    }

    /// Takes what is asked from every bucket of `plan`, or nothing.
    pub(crate) async fn take(
        &self,
        link: &RedisLink,
        ctx: &TenantContext,
        plan: &Plan,
        ask: Ask,
    ) -> Result<Taken, Unavailable> {
        let keys = Keys::of(ctx);
        let mut texts = [itoa::Buffer::new(), itoa::Buffer::new(), itoa::Buffer::new()];
        let [cost, extra, lead] = &mut texts;
        let (cost, extra, lead) = (cost.format(ask.cost), extra.format(ask.extra), lead.format(ask.lead));
        let arguments = [&plan.packed[..], cost.as_bytes(), extra.as_bytes(), lead.as_bytes()];
        let answer: Vec<u64> = self.0.run(link, &keys.all(), &arguments).await?;
        parse(&answer, plan).ok_or_else(|| Unavailable::Failed(malformed()))
    }
}

/// What the key of a principal's refusals has after that of its buckets.
const REFUSALS: &str = ":refusals";

/// The keys of one principal's calls, in one text.
struct Keys {
    text: String,
    ends: [usize; 3],
}

impl Keys {
    fn of(ctx: &TenantContext) -> Self {
        let (tenant, label) = (ctx.tenant_id(), ctx.principal().label());
        let mut text = String::with_capacity(240);
        let mut ends = [0; 3];
        own_key(&mut text, tenant, &label);
        ends[0] = text.len();
        tenant_key(&mut text, tenant);
        ends[1] = text.len();
        own_key(&mut text, tenant, &label);
        text.push_str(REFUSALS);
        ends[2] = text.len();
        Self { text, ends }
    }

    fn all(&self) -> [&str; 3] {
        let [own, tenant, refusals] = self.ends;
        [&self.text[..own], &self.text[own..tenant], &self.text[tenant..refusals]]
    }
}

/// Adds the key of the buckets of the principal that `label` names.
pub(crate) fn own_key(text: &mut String, tenant: TenantId, label: &str) {
    write!(text, "sd:{{{tenant}}}:limit:v2:{label}").expect("a String takes all that is written");
}

/// All keys of the principal that `label` names, which share a slot.
pub(crate) fn own_keys(tenant: TenantId, label: &str) -> [String; 2] {
    let mut own = String::with_capacity(120);
    own_key(&mut own, tenant, label);
    let refusals = format!("{own}{REFUSALS}");
    [own, refusals]
}

/// Adds the key of the buckets that all principals share.
pub(crate) fn tenant_key(text: &mut String, tenant: TenantId) {
    write!(text, "sd:{{{tenant}}}:limit:v2").expect("a String takes all that is written");
}

fn parse(answer: &[u64], plan: &Plan) -> Option<Taken> {
    let ([calls, now, since, length], arrivals) = answer.split_first_chunk::<4>()?;
    let (arrivals, []) = arrivals.as_chunks::<2>() else { return None };
    if arrivals.len() != plan.rates.len() {
        return None;
    }
    let arrivals = arrivals
        .iter()
        .zip(&plan.rates)
        .map(|([whole, part], rate)| Arrival { whole: *whole, part: *part, denominator: rate.denominator })
        .collect();
    let penalty = (*length > 0).then_some(Running { since: *since, length: *length });
    Some(Taken { calls: *calls, now: *now, penalty, arrivals })
}

fn malformed() -> redis::RedisError {
    (redis::ErrorKind::UnexpectedReturnType, "the bucket script answered in another shape").into()
}
