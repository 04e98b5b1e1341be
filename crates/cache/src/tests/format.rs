//! The entry format, which later versions must go on reading.

use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use proptest::prelude::*;

use super::{TestSealer, context};
use crate::Reader;
use crate::entry::{DecodeError, Entry, MAX_BODY, decode, encode};

fn stored(body: Vec<u8>) -> Entry {
    Entry {
        body: Bytes::from(body),
        stored_at: DateTime::from_timestamp_millis(1_790_000_000_123).unwrap(),
        life: Duration::from_mins(5),
        took: Duration::from_millis(250),
        fingerprint: [7; 32],
        next: None,
        absent: false,
        brief: false,
    }
}

#[tokio::test]
async fn the_bytes_are_as_documented() {
    let bytes = encode(&context(1), None, Reader::Tenant, "key", &stored(b"body".to_vec())).await.unwrap();
    assert_eq!(bytes.len(), 10 + 57 + 4 + 32);
    assert_eq!(bytes[..2], [2, 0]);
    assert_eq!(bytes[2..10], 1_790_000_000_123_i64.to_be_bytes());
    assert_eq!(bytes[10], 0);
    assert_eq!(bytes[11..19], 1_790_000_000_123_i64.to_be_bytes());
    assert_eq!(bytes[19..27], 300_000_u64.to_be_bytes());
    assert_eq!(bytes[27..31], 250_u32.to_be_bytes());
    assert_eq!(bytes[31..63], [7; 32]);
    assert_eq!(bytes[63..67], [0; 4]);
    assert_eq!(&bytes[67..71], b"body");
}

#[tokio::test]
async fn an_entry_of_the_version_before_is_no_answer_and_no_alarm() {
    let mut bytes =
        encode(&context(1), None, Reader::Tenant, "key", &stored(b"body".to_vec())).await.unwrap();
    bytes[0] = 1;
    let decoded = decode(&context(1), None, Reader::Tenant, "key", &bytes).await;
    assert!(matches!(decoded, Err(DecodeError::Earlier)), "{decoded:?}");
}

#[tokio::test]
async fn only_what_is_above_one_kibibyte_is_compressed() {
    for (size, compressed) in [(1_024, false), (1_025, true), (MAX_BODY, true)] {
        let bytes =
            encode(&context(1), None, Reader::Tenant, "key", &stored(vec![b'x'; size])).await.unwrap();
        assert_eq!((bytes[10] == 1, bytes.len() < size), (compressed, compressed), "{size} bytes");
        assert_eq!(decode(&context(1), None, Reader::Tenant, "key", &bytes).await.unwrap().body.len(), size);
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        body in prop::collection::vec(any::<u8>(), 0..5_000),
        next in prop::option::of("[a-z]{1,50}"),
        absent: bool,
        sealed: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let sealer = sealed.then_some(&TestSealer as &dyn crate::Sealer);
        runtime.block_on(async {
            let (ctx, stored) = (context(1), Entry { next: next.map(Into::into), absent, ..stored(body) });
            let bytes = encode(&ctx, sealer, Reader::Tenant, "key", &stored).await.unwrap();
            prop_assert_eq!(decode(&ctx, sealer, Reader::Tenant, "key", &bytes).await.unwrap(), stored);
            prop_assert!(decode(&ctx, sealer, Reader::Tenant, "other", &bytes).await.is_err());
            Ok(())
        })?;
    }

    #[test]
    fn garbage_is_refused_and_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), sealed: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let sealer = sealed.then_some(&TestSealer as &dyn crate::Sealer);
        for head in [&[][..], &[2, 0], &[2, 1], &[1, 0]] {
            let bytes = [head, &bytes[..]].concat();
            prop_assert!(runtime.block_on(decode(&context(1), sealer, Reader::Tenant, "key", &bytes)).is_err());
        }
    }
}
