//! The entry format, which later versions must go on reading.

use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use proptest::prelude::*;

use super::{TestSealer, context};
use crate::Reader;
use crate::entry::{Entry, MAX_BODY, decode, encode};

fn stored(body: Vec<u8>) -> Entry {
    Entry {
        body: Bytes::from(body),
        stored_at: DateTime::from_timestamp_millis(1_790_000_000_123).unwrap(),
        life: Duration::from_mins(5),
    }
}

#[tokio::test]
async fn the_bytes_are_as_documented() {
    let bytes = encode(&context(1), None, Reader::Tenant, "key", &stored(b"body".to_vec())).await.unwrap();
    assert_eq!(bytes.len(), 2 + 17 + 4 + 32);
    assert_eq!(bytes[..3], [1, 0, 0]);
    assert_eq!(bytes[3..11], 1_790_000_000_123_i64.to_be_bytes());
    assert_eq!(bytes[11..19], 300_000_u64.to_be_bytes());
    assert_eq!(&bytes[19..23], b"body");
}

#[tokio::test]
async fn only_what_is_above_one_kibibyte_is_compressed() {
    for (size, compressed) in [(1_024, false), (1_025, true), (MAX_BODY, true)] {
        let bytes =
            encode(&context(1), None, Reader::Tenant, "key", &stored(vec![b'x'; size])).await.unwrap();
        assert_eq!((bytes[2] == 1, bytes.len() < size), (compressed, compressed), "{size} bytes");
        assert_eq!(decode(&context(1), None, Reader::Tenant, "key", &bytes).await.unwrap().body.len(), size);
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(body in prop::collection::vec(any::<u8>(), 0..5_000), sealed: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let sealer = sealed.then_some(&TestSealer as &dyn crate::Sealer);
        runtime.block_on(async {
            let (ctx, stored) = (context(1), stored(body));
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
        for head in [&[][..], &[1, 0], &[1, 1]] {
            let bytes = [head, &bytes[..]].concat();
            prop_assert!(runtime.block_on(decode(&context(1), sealer, Reader::Tenant, "key", &bytes)).is_err());
        }
    }
}
