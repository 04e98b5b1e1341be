//! What must hold for any file that claims to be an audit export: the body of a fuzz target, which the property tests call
//! too. In builds for tests and fuzzing only.

use serde_json::value::RawValue;
use stagedoor_crypto::{SignedLinesWriter, SigningKey};
use uuid::Uuid;

use crate::verify_export;

/// A file is judged or refused, in a report that does not grow with it; nobody without the key makes one that is intact.
///
/// # Panics
/// If that does not hold for `data`.
pub fn audit_export(data: &[u8]) {
    let key = SigningKey::from_seed(Uuid::from_u128(7), &[7; 32]).expect("32 bytes are a seed");
    let keys = [key.verifying_key()];
    if let Ok(report) = verify_export(data, &keys) {
        assert!(!report.is_intact());
    }
    // The same lines in a file that is signed, so that what stands in them is judged alone.
    let mut writer = SignedLinesWriter::default();
    let mut file = Vec::new();
    for line in data.split(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(line).trim().to_owned();
        if text.starts_with("{\"manifest\":") {
            continue;
        }
        let Ok(raw) = RawValue::from_string(text) else { continue };
        file.extend(writer.push(&raw).expect("JSON is JSON"));
    }
    file.extend(writer.finish(&key));
    if let Ok(report) = verify_export(file.as_slice(), &keys) {
        assert!(report.faults.len() <= 10_000);
        assert!(report.faults.iter().all(|fault| fault.to_string().len() < 1_000));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    #[test]
    fn every_seed_is_judged_or_refused() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/audit_export");
        let seeds: Vec<_> = std::fs::read_dir(folder).unwrap().map(|seed| seed.unwrap().path()).collect();
        assert!(!seeds.is_empty());
        for seed in seeds {
            super::audit_export(&std::fs::read(seed).unwrap());
        }
    }

    proptest! {
        #[test]
        fn lines_of_any_kind_are_judged(
            days in prop_oneof![Just(("2026-11-22", "2026-11-23")), Just(("0001-01-01", "9999-12-31"))],
            lines in prop::collection::vec((
                prop::sample::select(vec!["record", "head", "checkpoint", "mark", "other"]),
                prop_oneof![any::<i64>(), -2_i64..5],
                prop::sample::select(vec!["2026-11-22", "2026-11-23", "1000-01-01", "nonsense"]),
                "[0-9a-f]{62,66}",
            ), 0..12),
        ) {
            let tenant = "00000000-0000-0000-0000-000000000001";
            let mut file = vec![serde_json::json!({
                "format": "stagedoor/audit-export/1", "tenant": tenant, "from": days.0, "to": days.1,
                "exported_at": "2026-11-22T00:00:00Z", "checkpoints": null, "keys": [],
            }).to_string()];
            for (kind, number, day, hex) in lines {
                let signature = hex.repeat(2);
                let line = match kind {
                    "record" => serde_json::json!({
                        "day": day, "seq": number, "type": 1, "at": number, "previous_hash": hex, "hash": hex,
                        "commitment": hex, "missing": "erased",
                    }),
                    "head" => serde_json::json!({ "day": day, "seq": number, "hash": hex }),
                    "checkpoint" => serde_json::json!({
                        "tenant": tenant, "day": day, "seq": number, "hash": hex, "number": number,
                        "previous_digest": hex, "signed_at": number, "signature": signature,
                        "key_id": "00000000-0000-0000-0000-000000000007",
                    }),
                    _ => serde_json::json!({
                        "first_line": number, "digests": hex, "signature": signature,
                        "key_id": "00000000-0000-0000-0000-000000000007",
                    }),
                };
                file.push(serde_json::json!({ kind: line }).to_string());
            }
            super::audit_export(file.join("\n").as_bytes());
        }
    }
}
