//! Persons who were forgotten: for a while a mark stands in Redis that no generations are made for them, so that whatever of
//! theirs is still under way leaves nothing. The mark names neither them nor their tenant.

use std::fmt::Write;
use std::sync::OnceLock;
use std::time::Duration;

use stagedoor_crypto::digest::sha256;
use stagedoor_redis_link::{RedisLink, Unavailable};

use super::{Person, script};

/// Longer than anything that began before can take.
const LIFE: Duration = Duration::from_hours(1);
/// Slots of a Redis Cluster (Redis Cluster specification, "Key distribution model").
const SLOTS: u16 = 16_384;

/// Marks the person as forgotten.
pub(super) async fn mark(link: &RedisLink, person: Person) -> Result<(), Unavailable> {
    let mut set = redis::cmd("SET");
    set.arg(key(person)).arg("").arg("PX").arg(script::millis(LIFE));
    link.run(|mut connection| async move { set.exec_async(&mut connection).await }).await
}

/// The mark's key, in the slot of the person's generations, whose key has no hash tag: a script reads both.
pub(super) fn key(person: Person) -> String {
    let digest = sha256(&[person.tenant.0.as_bytes(), person.user.0.as_bytes()]);
    let digest = digest[..16].iter().fold(String::with_capacity(32), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let tag = tags()[usize::from(slot(&script::key(person)))];
    format!("sd:forgotten:v1:{{{tag}}}:{digest}")
}

/// For each slot the smallest number whose digits are in it.
fn tags() -> &'static [u32] {
    static TAGS: OnceLock<Vec<u32>> = OnceLock::new();
    TAGS.get_or_init(|| {
        let (mut tags, mut left) = (vec![None; usize::from(SLOTS)], usize::from(SLOTS));
        let mut numbers = 0_u32..;
        while left > 0
            && let Some(number) = numbers.next()
        {
            let tag = &mut tags[usize::from(slot(&number.to_string()))];
            if tag.is_none() {
                *tag = Some(number);
                left -= 1;
            }
        }
        tags.into_iter().flatten().collect()
    })
}

/// CRC-16/XMODEM, as Redis Cluster spreads keys by.
fn slot(text: &str) -> u16 {
    let crc = text.bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    });
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use stagedoor_domain::{TenantId, UserId};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_mark_is_where_the_generations_are_and_does_not_name_the_person() {
        // The specification's example, and those of its text.
        assert_eq!(slot("123456789"), 0x31C3);
        assert_eq!(tags().len(), usize::from(SLOTS));
        for number in 0..100 {
            let person =
                Person { tenant: TenantId(Uuid::from_u128(7)), user: UserId(Uuid::from_u128(number)) };
            let key = key(person);
            let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).unwrap().0;
            assert_eq!(slot(tag), slot(&script::key(person)));
            assert!(!key.contains(&person.user.to_string()), "{key}");
        }
    }
}
