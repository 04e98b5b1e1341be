//! Entries of Redis that someone or something changed: each is a miss and counted, none is an answer.

use std::time::Duration;

use super::{TestSealer, ask, catalogue, context, manual_clock, peek, playlists, server};
use crate::entry::{HEAD, MAX_BODY};
use crate::{Cache, Level};

/// Both ways of protecting entries.
fn caches(server: &super::Server, clock: &std::sync::Arc<super::ManualClock>) -> [Cache; 2] {
    let patience = Duration::from_secs(10);
    [
        server.cache_with(clock, patience, Some(std::sync::Arc::new(TestSealer))),
        server.cache_with(clock, patience, None),
    ]
}

#[tokio::test]
async fn a_flipped_bit_anywhere_is_a_miss() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    for (which, writer) in caches(&server, &clock).into_iter().enumerate() {
        let key = catalogue(&ctx, &format!("miles {which}"));
        ask(&writer, &ctx, &key, &"answer ".repeat(400)).await;
        let [name] = &server.answer_keys().await[..] else { panic!("one entry was stored") };
        let good = server.bytes(name).await;
        let [sealed, plain] = caches(&server, &clock);
        let reader = if which == 0 { sealed } else { plain };
        for position in 0..good.len() {
            let mut bad = good.clone();
            bad[position] ^= 1 << (position % 8);
            server.overwrite(name, &bad).await;
            assert_eq!(peek(&reader, &ctx, &key).await, None, "byte {position}");
        }
        assert_eq!(reader.counters().poisoned, u64::try_from(good.len()).unwrap());
        server.overwrite(name, &good[..good.len() - 1]).await;
        assert_eq!(peek(&reader, &ctx, &key).await, None);
        server.overwrite(name, &good).await;
        assert_eq!(peek(&reader, &ctx, &key).await.unwrap().level, Level::L2);
        redis::cmd("DEL").arg(name).exec_async(&mut server.connection().await).await.unwrap();
    }
}

#[tokio::test]
async fn another_keys_bytes_are_a_miss() {
    let (server, clock) = (server().await, manual_clock());
    let (first, second) = (context(1), context(2));
    for writer in caches(&server, &clock) {
        ask(&writer, &first, &catalogue(&first, "a"), "first").await;
        ask(&writer, &second, &catalogue(&second, "a"), "second").await;
        let [one, two] = &server.answer_keys().await[..] else { panic!("two entries were stored") };
        server.overwrite(two, &server.bytes(one).await).await;
        for reader in caches(&server, &clock) {
            assert_eq!(peek(&reader, &second, &catalogue(&second, "a")).await, None);
            assert_eq!(reader.counters().poisoned, 1);
        }
        let fetched = ask(&caches(&server, &clock)[0], &second, &catalogue(&second, "a"), "fetched").await;
        assert_eq!(&fetched.body[..], b"fetched");
        let healed = peek(&caches(&server, &clock)[0], &second, &catalogue(&second, "a")).await.unwrap();
        assert_eq!((healed.level, &healed.body[..]), (Level::L2, &b"fetched"[..]), "a fetch puts it right");
        redis::cmd("DEL").arg(&[one, two][..]).exec_async(&mut server.connection().await).await.unwrap();
    }
}

#[tokio::test]
async fn an_entry_of_an_earlier_version_is_a_miss_and_no_alarm() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    for (reader, key) in caches(&server, &clock).into_iter().zip(["sealed", "plain"]) {
        let key = catalogue(&ctx, key);
        server.overwrite(&key.render(None), b"\x01\x00of a release before this one").await;
        assert_eq!(ask(&reader, &ctx, &key, "fetched").await.level, Level::Fetched);
        assert_eq!(reader.counters().poisoned, 0);
    }
}

#[tokio::test]
async fn an_unsealed_entry_is_no_answer_where_entries_are_sealed() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let [sealing, plain] = caches(&server, &clock);
    let key = catalogue(&ctx, "miles");
    ask(&plain, &ctx, &key, "forged with a fitting digest").await;
    assert_eq!(peek(&sealing, &ctx, &key).await, None);
    assert_eq!(sealing.counters().poisoned, 1);
}

#[tokio::test]
async fn a_decompression_bomb_is_a_miss() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let [_, plain] = caches(&server, &clock);
    let key = catalogue(&ctx, "miles");
    ask(&plain, &ctx, &key, "good").await;
    let [name] = &server.answer_keys().await[..] else { panic!("one entry was stored") };
    for (size, found) in [(MAX_BODY, true), (MAX_BODY + 1, false), (512 * 1024 * 1024, false)] {
        let good = server.bytes(name).await;
        let mut inner = vec![1];
        inner.extend(&good[HEAD + 1..HEAD + 57]);
        inner.extend(zstd::bulk::compress(&vec![0_u8; size], 1).unwrap());
        let length = u64::try_from(name.len()).unwrap().to_be_bytes();
        let digest = stagedoor_crypto::digest::sha256(&[&length, name.as_bytes(), &inner]);
        server.overwrite(name, &[&good[..HEAD], &inner[..], &digest[..]].concat()).await;
        let [_, reader] = caches(&server, &clock);
        assert_eq!(peek(&reader, &ctx, &key).await.is_some(), found, "{size} bytes");
        assert_eq!(reader.counters().poisoned, u64::from(!found));
    }
}

#[tokio::test]
async fn a_persons_answers_are_sealed_or_stay_here() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let [sealing, plain] = caches(&server, &clock);
    ask(&plain, &ctx, &playlists(&ctx, 1), "my secret taste").await;
    assert_eq!(server.answer_keys().await, Vec::<String>::new(), "nothing left the process");
    assert_eq!(ask(&plain, &ctx, &playlists(&ctx, 1), "").await.level, Level::L1);

    ask(&sealing, &ctx, &playlists(&ctx, 1), "my secret taste").await;
    let [name] = &server.answer_keys().await[..] else { panic!("one entry was stored") };
    let bytes = server.bytes(name).await;
    assert!(!bytes.windows(6).any(|window| window == b"secret"));
}
