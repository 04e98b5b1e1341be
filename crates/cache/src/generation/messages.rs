//! What replicas tell each other, as text: of bumps, which everybody hears, and that they were heard, which the writer
//! hears.

use std::fmt;
use std::str::FromStr;

use stagedoor_domain::{TenantId, UserId};

use super::{Change, Person, ReplicaId};

/// The channel of bumps.
pub(super) const EVENTS: &str = "sd:events:v1";

/// `bump NONCE WRITER TENANT USER CHANGE HOLDER,HOLDER`: a generation of the person was raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bump {
    pub(super) nonce: u64,
    pub(super) writer: ReplicaId,
    pub(super) person: Person,
    pub(super) change: Change,
    /// The replicas that the writer waits for. The script writes them, after the rest.
    pub(super) holders: Vec<ReplicaId>,
}

/// `ack NONCE REPLICA`: that replica remembers nothing of before the bump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Acknowledgement {
    pub(super) nonce: u64,
    pub(super) replica: ReplicaId,
}

/// The channel on which a replica is answered.
pub(super) fn own_channel(replica: ReplicaId) -> String {
    format!("sd:replica:{replica}:v1")
}

/// A message of another version or make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotUnderstood;

impl fmt::Display for Bump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nonce, writer, person, change, holders } = self;
        write!(f, "bump {nonce} {writer} {} {} {change}", person.tenant, person.user)?;
        for (number, holder) in holders.iter().enumerate() {
            write!(f, "{}{holder}", if number == 0 { ' ' } else { ',' })?;
        }
        Ok(())
    }
}

impl FromStr for Bump {
    type Err = NotUnderstood;

    fn from_str(text: &str) -> Result<Self, NotUnderstood> {
        let mut words = text.split(' ');
        let mut word = || words.next().ok_or(NotUnderstood);
        if word()? != "bump" {
            return Err(NotUnderstood);
        }
        let nonce = parse(word()?)?;
        let writer = parse(word()?)?;
        let (tenant, user) = (parse(word()?)?, parse(word()?)?);
        let change = word()?.parse().map_err(|_| NotUnderstood)?;
        let holders = word().unwrap_or_default().split(',').filter(|name| !name.is_empty());
        let holders = holders.map(parse).collect::<Result<_, _>>()?;
        let person = Person { tenant: TenantId(tenant), user: UserId(user) };
        Ok(Self { nonce, writer, person, change, holders })
    }
}

impl fmt::Display for Acknowledgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ack {} {}", self.nonce, self.replica)
    }
}

impl FromStr for Acknowledgement {
    type Err = NotUnderstood;

    fn from_str(text: &str) -> Result<Self, NotUnderstood> {
        let (nonce, replica) =
            text.strip_prefix("ack ").and_then(|rest| rest.split_once(' ')).ok_or(NotUnderstood)?;
        Ok(Self { nonce: parse(nonce)?, replica: parse(replica)? })
    }
}

fn parse<T: FromStr>(text: &str) -> Result<T, NotUnderstood> {
    text.parse().map_err(|_| NotUnderstood)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn messages_are_read_as_they_were_written() {
        let person = Person { tenant: TenantId(Uuid::from_u128(1)), user: UserId(Uuid::from_u128(2)) };
        let replica = |name: &str| name.parse::<ReplicaId>().unwrap();
        for holders in [vec![], vec![replica("a")], vec![replica("a"), replica("ffffffffffffffff")]] {
            let change = Change::Preferences;
            let bump = Bump { nonce: 7, writer: replica("b"), person, change, holders };
            assert_eq!(bump.to_string().parse(), Ok(bump));
        }
        let acknowledgement = Acknowledgement { nonce: 7, replica: replica("a") };
        assert_eq!(acknowledgement.to_string().parse(), Ok(acknowledgement));
        for odd in ["", "bump", "bump 1 2 3 4", "ack 1", "hello 1 2"] {
            assert_eq!(odd.parse::<Bump>(), Err(NotUnderstood), "{odd}");
            assert_eq!(odd.parse::<Acknowledgement>(), Err(NotUnderstood), "{odd}");
        }
    }
}
