//! Envelopes and what they are bound to: whatever is altered, moved, cut or rolled back does not open.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use stagedoor_crypto::{DataKey, KeyOwner, SealContext, SystemEntropy};
use stagedoor_domain::{TenantId, UserId};
use stagedoor_testkit::proof::{ProofSize, prove_equal};
use uuid::Uuid;

const TABLES: [&str; 3] = ["provider_sessions", "provider_apps", "link_attempts"];
const COLUMNS: [&str; 3] = ["access_token", "refresh_token", "client_secret"];

#[test]
fn no_mutation_of_an_envelope_or_its_place_opens() {
    let mutations: u32 = ProofSize::wanted().of(10_000, 100_000);
    let mut random = StdRng::seed_from_u64(0x5ea1);
    let key = DataKey::generate(Uuid::from_u128(7), KeyOwner::Subject(UserId(Uuid::nil())), &SystemEntropy);
    let mut accepted = 0;
    for _ in 0..mutations {
        let plain: Vec<u8> = (0..random.random_range(0..200)).map(|_| random.random()).collect();
        let place = any_place(&mut random);
        let sealed = key.seal(&place, &plain, &SystemEntropy);
        assert_eq!(key.open(&place, &sealed).unwrap().as_slice(), plain, "unaltered, it opens");
        let opened = if random.random_bool(0.5) {
            key.open(&place, &altered(&mut random, &sealed))
        } else {
            key.open(&moved(&mut random, place), &sealed)
        };
        accepted += u64::from(opened.is_ok());
    }
    prove_equal(&format!("sessions.envelope_mutations_accepted_of_{mutations}"), accepted, 0);
}

fn any_place(random: &mut StdRng) -> SealContext {
    SealContext {
        tenant: TenantId(Uuid::from_u128(random.random())),
        table: TABLES[random.random_range(0..TABLES.len())],
        column: COLUMNS[random.random_range(0..COLUMNS.len())],
        row: Uuid::from_u128(random.random()),
        revision: random.random(),
    }
}

/// The envelope with one to four bits turned, cut short, made longer, or with two of its bytes exchanged.
fn altered(random: &mut StdRng, sealed: &[u8]) -> Vec<u8> {
    let mut altered = sealed.to_vec();
    while altered == sealed {
        match random.random_range(0..4) {
            0 => {
                for _ in 0..random.random_range(1..=4) {
                    let at = random.random_range(0..altered.len());
                    altered[at] ^= 1 << random.random_range(0..8);
                }
            }
            1 => altered.truncate(random.random_range(0..sealed.len())),
            2 => altered.extend((0..random.random_range(1..40)).map(|_| random.random::<u8>())),
            _ => {
                let (one, other) =
                    (random.random_range(0..altered.len()), random.random_range(0..altered.len()));
                altered.swap(one, other);
            }
        }
    }
    altered
}

/// Another place in one respect.
fn moved(random: &mut StdRng, place: SealContext) -> SealContext {
    let bit = 1_u128 << random.random_range(0..128);
    let other = |all: [&'static str; 3], this: &str| {
        all.into_iter().find(|name| *name != this).expect("three differ from one")
    };
    match random.random_range(0..5) {
        0 => SealContext { tenant: TenantId(Uuid::from_u128(place.tenant.0.as_u128() ^ bit)), ..place },
        1 => SealContext { table: other(TABLES, place.table), ..place },
        2 => SealContext { column: other(COLUMNS, place.column), ..place },
        3 => SealContext { row: Uuid::from_u128(place.row.as_u128() ^ bit), ..place },
        _ => SealContext { revision: place.revision ^ (1 << random.random_range(0..63)), ..place },
    }
}
