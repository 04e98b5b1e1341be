//! Leases on generations between replicas: what a replica remembers, for how long, and that a writer waits for it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use stagedoor_crypto::SystemEntropy;
use stagedoor_domain::{Clock, Provider, SystemClock, TenantContext};
use stagedoor_redis_link::RedisLink;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{ManualClock, Server, context, manual_clock, server, user};
use crate::generation::{Change, Forget, Generations};
use crate::{DataScope, GenerationCounters, PlaylistSlot, RedisOptions};

const LISTS: Change = Change::Of(Provider::Spotify, DataScope::Playlists);
const PERSON: u128 = 1;
const HELD_FOR: Duration = Duration::from_millis(1_800);

/// A replica as far as generations are concerned.
struct Replica {
    generations: Arc<Generations>,
    link: Arc<RedisLink>,
    ctx: TenantContext,
    stop: CancellationToken,
}

impl Replica {
    fn of(server: &Server, clock: Arc<dyn Clock>) -> Self {
        let options = RedisOptions {
            command_timeout: Duration::from_secs(10),
            ..RedisOptions::new(server.redis.url())
        };
        Self::with(&options, clock)
    }

    fn with(options: &RedisOptions, clock: Arc<dyn Clock>) -> Self {
        let link = Arc::new(RedisLink::new(options, Arc::new(SystemClock::new())).unwrap());
        let generations =
            Arc::new(Generations::timed(Arc::clone(&link), &SystemEntropy, clock, Forget::new(|_| {})));
        Self { generations, link, ctx: context(1), stop: CancellationToken::new() }
    }

    /// One whose leases are over when the machine's clock says so.
    fn real(server: &Server) -> Self {
        Self::of(server, Arc::new(SystemClock::new()))
    }

    /// Lets it hear the others.
    fn listen(self) -> Self {
        let (generations, stop) = (Arc::clone(&self.generations), self.stop.clone());
        #[expect(clippy::disallowed_methods, reason = "the replica listens until it is dropped")]
        tokio::spawn(async move { generations.run(&stop).await });
        self
    }

    async fn lists(&self) -> u64 {
        self.generations
            .current(&self.ctx, user(PERSON), Provider::Spotify, DataScope::Playlists)
            .await
            .unwrap()
            .scoped
    }

    async fn bump(&self, change: Change) {
        self.generations.bump(&self.ctx, user(PERSON), change).await.unwrap();
    }

    fn counters(&self) -> GenerationCounters {
        self.generations.counters()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn key() -> String {
    let ctx = context(1);
    format!("sd:{}:generation:v2:{}", ctx.tenant_id(), user(PERSON))
}

impl Server {
    /// Lets the hash be the person's first, although the server has only begun.
    pub(super) async fn know_all_holders(&self) {
        self.set_field("unknown", "0").await;
        self.set_field("made", "0").await;
    }

    async fn set_field(&self, field: &str, value: &str) {
        let mut set = redis::cmd("HSET");
        set.arg(key()).arg(field).arg(value).exec_async(&mut self.connection().await).await.unwrap();
    }

    async fn field(&self, field: &str) -> String {
        redis::cmd("HGET").arg(key()).arg(field).query_async(&mut self.connection().await).await.unwrap()
    }

    async fn until_heard_by(&self, listeners: u64) {
        let mut connection = self.connection().await;
        loop {
            let mut ask = redis::cmd("PUBSUB");
            let (_, count): (String, u64) =
                ask.arg("NUMSUB").arg("sd:events:v1").query_async(&mut connection).await.unwrap();
            if count == listeners {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn frozen(clock: &Arc<ManualClock>) -> Arc<dyn Clock> {
    Arc::clone(clock) as Arc<dyn Clock>
}

#[tokio::test]
async fn a_lease_needs_no_trip_and_is_renewed_once_for_all_readers() {
    let (server, clock) = (server().await, manual_clock());
    let replica = Replica::of(&server, frozen(&clock));
    let first = replica.lists().await;
    let trips = replica.link.trips();
    clock.advance(HELD_FOR.saturating_sub(Duration::from_millis(1)));
    for _ in 0..100 {
        assert_eq!(replica.lists().await, first);
        replica.generations.preferences(&replica.ctx, user(PERSON)).await.unwrap();
        replica.generations.account(&replica.ctx, user(PERSON), Provider::Tidal).await.unwrap();
    }
    assert_eq!((replica.link.trips() - trips, replica.counters().renewals), (0, 1));

    clock.advance(Duration::from_millis(1));
    assert_eq!(replica.counters().leases, 0);
    let readers = join_all((0..500).map(|_| replica.lists())).await;
    assert!(readers.iter().all(|read| *read == first));
    assert_eq!((replica.link.trips() - trips, replica.counters().renewals), (1, 2));
    assert_eq!(replica.counters().leases, 1);
}

#[tokio::test]
async fn a_writer_goes_on_when_every_holder_has_acknowledged() {
    let (server, clock) = (server().await, manual_clock());
    // Their leases are never over, so that nothing but the message can have ended them.
    let [writer, reader, other] = [(); 3].map(|()| Replica::of(&server, frozen(&clock)).listen());
    server.until_heard_by(3).await;
    let before = reader.lists().await;
    assert_eq!(other.lists().await, before);
    server.know_all_holders().await;
    writer.bump(LISTS).await;
    assert!(reader.lists().await > before);
    assert_eq!(other.lists().await, reader.lists().await);
    let GenerationCounters { bump_waits, acknowledged, waited_out, .. } = writer.counters();
    assert_eq!((bump_waits, acknowledged, waited_out), (1, 1, 0));
}

#[tokio::test]
async fn a_writer_with_nobody_to_wait_for_does_not() {
    let (server, clock) = (server().await, manual_clock());
    let writer = Replica::of(&server, frozen(&clock));
    let before = writer.lists().await;
    server.know_all_holders().await;
    writer.bump(LISTS).await;
    assert!(writer.lists().await > before);
    assert_eq!((writer.counters().bumps, writer.counters().bump_waits), (1, 0));
}

#[tokio::test]
async fn a_replica_that_hears_nothing_is_waited_for() {
    let server = server().await;
    let (writer, deaf) = (Replica::real(&server).listen(), Replica::real(&server));
    for _ in 0..2 {
        let before = deaf.lists().await;
        server.know_all_holders().await;
        writer.bump(LISTS).await;
        assert!(deaf.lists().await > before, "a read after the write is never old");
    }
    assert_eq!((writer.counters().acknowledged, writer.counters().waited_out), (0, 2));
}

#[tokio::test]
async fn a_hash_of_another_server_hides_holders() {
    let server = server().await;
    let (writer, deaf) = (Replica::real(&server), Replica::real(&server));
    let before = deaf.lists().await;
    server.know_all_holders().await;
    server.set_field("server", "another").await;
    // The writer's own reading makes it anew, without the other.
    writer.lists().await;
    writer.bump(LISTS).await;
    assert!(deaf.lists().await > before);
}

#[tokio::test]
async fn a_new_hash_hides_holders_while_the_server_is_new() {
    let server = server().await;
    let replica = Replica::real(&server);
    let mut connection = server.connection().await;
    loop {
        let uptime = uptime(&mut connection).await;
        redis::cmd("DEL").arg(key()).exec_async(&mut connection).await.unwrap();
        replica.bump(LISTS).await;
        let [made, unknown] = ["made", "unknown"].map(|field| server.field(field));
        let (made, unknown) = join(made, unknown).await;
        let hidden = unknown.parse::<u64>().unwrap() - made.parse::<u64>().unwrap();
        // A second may have passed between the question and the bump.
        let possible = [uptime, uptime + 1]
            .map(|seconds| 2_000_000.min(3_000_000_u64.saturating_sub(seconds * 1_000_000)));
        let later = self::uptime(&mut connection).await;
        assert!(possible.contains(&hidden) || later > uptime + 1, "{hidden} µs after {uptime} s");
        if uptime >= 3 {
            assert_eq!(hidden, 0);
            return;
        }
        sleep(Duration::from_millis(200)).await;
    }
}

async fn uptime(connection: &mut redis::aio::MultiplexedConnection) -> u64 {
    let mut ask = redis::cmd("INFO");
    let information: String = ask.arg("server").query_async(connection).await.unwrap();
    let line = information.lines().find_map(|line| line.strip_prefix("uptime_in_seconds:"));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_new_hash_after_a_failure_hides_holders() {
    let server = server().await;
    let (writer, deaf) = (Replica::real(&server), Replica::real(&server));
    let before = deaf.lists().await;
    redis::cmd("DEL").arg(key()).exec_async(&mut server.connection().await).await.unwrap();
    writer.lists().await;
    server.set_field("unknown", "0").await;
    writer.link.note_lost();
    writer.bump(LISTS).await;
    assert!(deaf.lists().await > before);
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_hides_holders() {
    let server = server().await;
    let (writer, deaf) = (Replica::real(&server), Replica::real(&server));
    let before = deaf.lists().await;
    writer.lists().await;
    server.redis.kill().await;
    let (bumped, restarted) = join(
        async { while writer.generations.bump(&writer.ctx, user(PERSON), LISTS).await.is_err() {} },
        server.redis.restart(),
    )
    .await;
    let () = bumped;
    restarted.unwrap();
    let after = loop {
        if let Some(after) =
            deaf.generations.current(&deaf.ctx, user(PERSON), Provider::Spotify, DataScope::Playlists).await
        {
            break after.scoped;
        }
    };
    assert!(after > before);
}

#[tokio::test]
async fn an_older_state_of_the_disk_is_not_believed() {
    let (server, clock) = (server().await, manual_clock());
    let (writer, reader) = (Replica::of(&server, frozen(&clock)), Replica::of(&server, frozen(&clock)));
    writer.bump(LISTS).await;
    let before = reader.lists().await;
    let stored = server.field("spotify.playlists").await;
    writer.bump(LISTS).await;
    let after = writer.lists().await;
    // As a server would have it that had lost the second bump.
    server.set_field("spotify.playlists", &stored).await;
    clock.advance(HELD_FOR);
    assert_eq!(reader.lists().await, before, "the same server is believed");
    server.set_field("server", "another").await;
    clock.advance(HELD_FOR);
    let now = reader.lists().await;
    assert!(now > after && now > before, "no number is used twice");
}

#[tokio::test]
async fn bumps_at_once_are_all_waited_for() {
    let (server, clock) = (server().await, manual_clock());
    let replicas = [(); 4].map(|()| Replica::of(&server, frozen(&clock)).listen());
    server.until_heard_by(4).await;
    let mut before = replicas[0].lists().await;
    for _ in 0..10 {
        let read = join_all(replicas.iter().map(Replica::lists)).await;
        assert_eq!(read, [before; 4]);
        server.know_all_holders().await;
        let bumps = join_all(replicas.iter().map(|replica| replica.bump(LISTS)));
        // Others read all the while, and must not keep what they read half-way.
        let reads = async {
            for _ in 0..20 {
                join_all(replicas.iter().map(Replica::lists)).await;
            }
        };
        join(bumps, reads).await;
        let after = join_all(replicas.iter().map(Replica::lists)).await;
        assert!(after.iter().all(|number| *number == after[0] && *number > before), "{after:?}");
        before = after[0];
    }
    let waited_out: u64 = replicas.iter().map(|replica| replica.counters().waited_out).sum();
    assert_eq!(waited_out, 0);
}

#[tokio::test]
async fn a_lost_connection_is_made_again() {
    let (server, clock) = (server().await, manual_clock());
    let [writer, reader] = [(); 2].map(|()| Replica::of(&server, frozen(&clock)).listen());
    server.until_heard_by(2).await;
    let mut kill = redis::cmd("CLIENT");
    let killed: u64 =
        kill.arg("KILL").arg("TYPE").arg("pubsub").query_async(&mut server.connection().await).await.unwrap();
    assert_eq!(killed, 2);
    server.until_heard_by(2).await;
    let before = reader.lists().await;
    server.know_all_holders().await;
    writer.bump(LISTS).await;
    assert!(reader.lists().await > before);
    assert_eq!(writer.counters().waited_out, 0);
}

#[tokio::test]
async fn a_short_outage_delays_a_write_and_defers_nothing() {
    let server = server().await;
    let options = RedisOptions::new(server.redis.url());
    let writer = Replica::with(&options, Arc::new(SystemClock::new()));
    let reader = Replica::real(&server);
    let before = reader.lists().await;
    while writer.generations.preferences(&writer.ctx, user(PERSON)).await.is_none() {}
    server.redis.pause();
    let resume = async {
        while !writer.link.is_down() {
            sleep(Duration::from_millis(5)).await;
        }
        server.redis.resume();
    };
    join(writer.bump(LISTS), resume).await;
    assert!(reader.lists().await > before);
    assert_eq!(writer.counters().deferred, 0);
}

#[tokio::test]
async fn each_scope_has_its_own_number() {
    let (server, clock) = (server().await, manual_clock());
    let writer = Replica::of(&server, frozen(&clock));
    let (one, two) = (PlaylistSlot::of("a"), PlaylistSlot::of("b"));
    assert_ne!(one, two);
    let [one, two] = [one, two].map(DataScope::Playlist);
    let scopes = [one, two, DataScope::Playlists, DataScope::Library, DataScope::Account];
    let numbers = async || {
        let mut numbers = Vec::new();
        for provider in Provider::ALL {
            for scope in scopes {
                let read = writer.generations.current(&writer.ctx, user(PERSON), *provider, scope).await;
                numbers.push(read.unwrap().scoped);
            }
        }
        numbers.push(writer.generations.preferences(&writer.ctx, user(PERSON)).await.unwrap());
        numbers
    };
    numbers().await;
    let all_places = |change: Change| match change {
        Change::Of(Provider::Spotify, DataScope::Playlist(_)) => vec![0, 2],
        Change::Of(Provider::Tidal, DataScope::Account) => vec![9],
        _ => vec![10],
    };
    for change in [
        Change::Of(Provider::Spotify, one),
        Change::Of(Provider::Tidal, DataScope::Account),
        Change::Preferences,
    ] {
        let before = numbers().await;
        server.know_all_holders().await;
        writer.bump(change).await;
        let after = numbers().await;
        let raised: Vec<_> = (0..before.len()).filter(|place| after[*place] > before[*place]).collect();
        assert_eq!(raised, all_places(change));
        assert_eq!(before.iter().zip(&after).filter(|(before, after)| before > after).count(), 0);
    }
}
