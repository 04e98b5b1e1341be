//! The text form of a recorded decision, as `crate::record` writes it.

use std::str::FromStr;

/// The text is not a recorded decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a recorded decision: {0}")]
pub struct InvalidRecord(String);

/// One recorded event of the shared buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A call, or a look.
    Decided(Decided),
    /// What one bucket was charged for an outage's calls.
    Charged(Charged),
}

/// A decision, all times in microseconds of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    pub now: u64,
    pub tenant: String,
    pub principal: String,
    pub cost: u64,
    pub extra: u64,
    pub lead: u64,
    pub taken: u64,
    /// Start and length of the penalty in force afterwards; 0 0 if none.
    pub penalty: (u64, u64),
    /// Refusals, within, block.
    pub steps: Vec<[u64; 3]>,
    /// How many buckets are the principal's.
    pub own: usize,
    pub buckets: Vec<RecordedBucket>,
}

/// One bucket's rate and its arrival time afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedBucket {
    pub field: String,
    pub window: u64,
    pub interval: u64,
    pub denominator: u64,
    pub whole: u64,
    pub part: u64,
}

/// A debt that was paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charged {
    pub now: u64,
    pub tenant: String,
    /// `-` for what all principals share.
    pub principal: String,
    pub field: String,
    pub micros: u64,
    pub whole: u64,
}

impl Record {
    /// Reads the field `decision` of one trace event.
    pub fn parse(text: &str) -> Result<Self, InvalidRecord> {
        read(text).ok_or_else(|| InvalidRecord(text.to_owned()))
    }

    /// The server's time in microseconds.
    pub fn now(&self) -> u64 {
        match self {
            Self::Decided(decided) => decided.now,
            Self::Charged(charged) => charged.now,
        }
    }

    /// Calls taken.
    pub fn taken(&self) -> u64 {
        match self {
            Self::Decided(decided) => decided.taken,
            Self::Charged(_) => 0,
        }
    }
}

impl FromStr for Record {
    type Err = InvalidRecord;

    fn from_str(text: &str) -> Result<Self, InvalidRecord> {
        Self::parse(text)
    }
}

fn read(text: &str) -> Option<Record> {
    let (kind, rest) = text.split_once(' ')?;
    let mut members = rest.split(' ');
    let mut take = |name: &str| members.next()?.strip_prefix(name)?.strip_prefix('=');
    let record = match kind {
        "decide" => Record::Decided(Decided {
            now: take("now")?.parse().ok()?,
            tenant: take("tenant")?.to_owned(),
            principal: take("principal")?.to_owned(),
            cost: take("cost")?.parse().ok()?,
            extra: take("extra")?.parse().ok()?,
            lead: take("lead")?.parse().ok()?,
            taken: take("taken")?.parse().ok()?,
            penalty: numbers(take("penalty")?, '/').map(|[since, length]| (since, length))?,
            steps: list(take("steps")?).map(|step| numbers(step, '/')).collect::<Option<_>>()?,
            own: take("own")?.parse().ok()?,
            buckets: list(take("buckets")?).map(bucket).collect::<Option<_>>()?,
        }),
        "charge" => Record::Charged(Charged {
            now: take("now")?.parse().ok()?,
            tenant: take("tenant")?.to_owned(),
            principal: take("principal")?.to_owned(),
            field: take("field")?.to_owned(),
            micros: take("micros")?.parse().ok()?,
            whole: take("whole")?.parse().ok()?,
        }),
        _ => return None,
    };
    members.next().is_none().then_some(record)
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(|part| !part.is_empty())
}

fn numbers<const COUNT: usize>(text: &str, separator: char) -> Option<[u64; COUNT]> {
    let numbers: Vec<u64> = text.split(separator).map(|part| part.parse().ok()).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

fn bucket(text: &str) -> Option<RecordedBucket> {
    let (field, rest) = text.split_once(':')?;
    let [window, interval, denominator, whole, part] = numbers(rest, ':')?;
    Some(RecordedBucket { field: field.to_owned(), window, interval, denominator, whole, part })
}
