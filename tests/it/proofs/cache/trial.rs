//! The trial that `oracle` judges: three gateway processes behind networks that lose one broadcast in ten, people of two
//! tenants with equal ids who write and read over any replica.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use stagedoor_domain::{Clock, Provider};
use stagedoor_testkit::proof::{ProofSize, prove, prove_equal, prove_time, remark};
use stagedoor_testkit::{Client, GatewayProcess, KeySpec, LossyBroadcast, Stage, Twin, generous};

use super::oracle::{Operation, What, judge};

const REPLICAS: usize = 3;
const LOST_PER_THOUSAND: u32 = 100;
const SEED: u64 = 0x0a_ac1e;

struct Plan {
    people_of_each_tenant: usize,
    readers_of_each_person: usize,
    writes_of_each_person: u64,
    reads_for_each_write: u64,
}

impl Plan {
    fn wanted() -> Self {
        let size = ProofSize::wanted();
        Self {
            people_of_each_tenant: size.of(2, 16),
            readers_of_each_person: 2,
            writes_of_each_person: size.of(12, 313),
            reads_for_each_write: size.of(20, 100),
        }
    }
}

/// A person's playlist, and the person's agent at each replica.
struct Subject {
    number: usize,
    playlist: Value,
    clients: Vec<Client>,
    written: AtomicU64,
    read: AtomicU64,
    done: AtomicBool,
}

struct Trial<'a> {
    clock: &'a dyn Clock,
    /// The contents that are written by turns; which of them, tells person and version.
    tracks: Vec<String>,
    places: HashMap<String, usize>,
    people: usize,
    plan: Plan,
    log: Mutex<Vec<Operation>>,
    failed: AtomicU64,
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_wrote_reads_it_through_every_replica() {
    let stage = Stage::start().await;
    let redis = SocketAddr::from((Ipv4Addr::LOCALHOST, stage.redis().port()));
    let networks = join_all(
        (0..REPLICAS as u64).map(|number| LossyBroadcast::to(redis, LOST_PER_THOUSAND, SEED + number)),
    )
    .await;
    let replicas = join_all(networks.iter().enumerate().map(async |(number, network)| {
        let variables =
            [("STAGEDOOR_CACHE__REDIS_URL", network.url()), ("STAGEDOOR_AUDIT__ENABLED", false.to_string())];
        GatewayProcess::start(&stage, &format!("replica-{number}"), &variables).await
    }))
    .await;
    let twins = [stage.twin(SEED).await, stage.twin(SEED).await];
    let plan = Plan::wanted();
    let people = 2 * plan.people_of_each_tenant;
    let tracks: Vec<String> = stage
        .sandbox()
        .catalogue(Provider::Spotify)
        .tracks()
        .filter(|track| track.blocked_in.is_empty())
        .map(|track| format!("spotify:track:{}", track.id))
        .collect();
    let places = tracks.iter().enumerate().map(|(at, track)| (track.clone(), at)).collect();
    let trial = Trial {
        clock: &**stage.clock(),
        places,
        people,
        tracks,
        plan,
        log: Mutex::default(),
        failed: AtomicU64::new(0),
    };
    let mut subjects = Vec::new();
    for (twin, slug) in twins.iter().zip(["ada", "bob"]) {
        subjects.extend(trial.subjects(&stage, twin, slug, &replicas, subjects.len()).await);
    }
    for number in 0..trial.plan.people_of_each_tenant {
        let other = trial.plan.people_of_each_tenant + number;
        assert_eq!(subjects[number].playlist, subjects[other].playlist, "the tenants' ids are equal");
    }
    trial.run(&subjects).await;

    let log = trial.log.into_inner().unwrap();
    let verdict = judge(&log, people, trial.tracks.len() as u64 / people as u64);
    let lost: u64 = networks.iter().map(LossyBroadcast::lost).sum();
    let passed: u64 = networks.iter().map(LossyBroadcast::passed).sum();
    let share = lost * 1_000 / (lost + passed).max(1);
    prove("cache.broadcasts_lost_per_thousand", share, format_args!(">0 of {}", lost + passed), lost > 0);
    prove_equal("cache.calls_failed", trial.failed.into_inner(), 0);
    prove_equal(&format!("cache.read_your_writes_violations_in_{}", log.len()), verdict.stale, 0);
    prove_equal("cache.reads_of_what_was_not_written", verdict.impossible, 0);
    prove_equal("cache.cross_reader_hits", verdict.foreign, 0);
    prove_time("cache.staleness", verdict.longest_behind.as_secs_f64() * 1e3, 2_000.0);
    let mut hits = 0;
    for replica in &replicas {
        let metrics = replica.metrics().await;
        hits += metrics.sum("cache_calls", &[("outcome", "hit_l1")]);
    }
    prove(
        "cache.reads_from_memory",
        hits,
        format_args!(">={}", verdict.reads / 2),
        hits >= verdict.reads / 2,
    );
}

impl Trial<'_> {
    /// The people of one tenant, each with a playlist that holds version 0.
    async fn subjects(
        &self,
        stage: &Stage,
        twin: &Twin,
        slug: &str,
        replicas: &[GatewayProcess],
        first: usize,
    ) -> Vec<Subject> {
        let tenant = stage.tenant_of(twin, slug, generous()).await;
        tenant.set_up(Provider::Spotify).await;
        let mut subjects = Vec::new();
        for number in first..first + self.plan.people_of_each_tenant {
            let user = tenant.person("Robin").await;
            tenant.link(user, Provider::Spotify).await;
            let key = tenant.key(&KeySpec::for_user(user)).await;
            let clients: Vec<Client> = replicas.iter().map(|replica| replica.client(slug, &key)).collect();
            let created = clients[0].call("playlist_create", json!({ "name": "Versions" })).await;
            let playlist = created["playlist"]["ref"].clone();
            let subject = Subject {
                number,
                playlist,
                clients,
                written: AtomicU64::new(0),
                read: AtomicU64::new(0),
                done: AtomicBool::new(false),
            };
            subject.clients[0].call("playlist_add", self.version(&subject, 0)).await;
            subjects.push(subject);
        }
        subjects
    }

    async fn run(&self, subjects: &[Subject]) {
        let writers = subjects.iter().map(|subject| self.write(subject));
        let readers = subjects.iter().flat_map(|subject| {
            (0..self.plan.readers_of_each_person).map(move |reader| self.read(subject, reader as u64))
        });
        tokio::join!(join_all(writers), join_all(readers));
    }

    async fn write(&self, subject: &Subject) {
        let mut random = StdRng::seed_from_u64(SEED ^ subject.number as u64);
        for version in 1..=self.plan.writes_of_each_person {
            let replica = random.random_range(0..REPLICAS);
            let began = self.clock.elapsed();
            let answer = subject.clients[replica].tool("playlist_add", self.version(subject, version)).await;
            let ended = self.clock.elapsed();
            if answer.verdict() == "200 ok" {
                self.note(subject, began, ended, What::Wrote);
            } else {
                remark(answer.text());
                self.failed.fetch_add(1, Ordering::Relaxed);
                break;
            }
            subject.written.store(version, Ordering::Release);
            // At once, through the others.
            for other in (0..REPLICAS).filter(|other| *other != replica) {
                self.look(subject, other).await;
            }
        }
        subject.done.store(true, Ordering::Release);
    }

    /// Reads as fast as the writes allow: as many for each write as planned.
    async fn read(&self, subject: &Subject, reader: u64) {
        let mut random = StdRng::seed_from_u64(SEED ^ ((subject.number as u64) << 8) ^ (reader + 1));
        loop {
            let done = subject.done.load(Ordering::Acquire);
            let due = (subject.written.load(Ordering::Acquire) + 1) * self.plan.reads_for_each_write;
            if subject.read.fetch_add(1, Ordering::Relaxed) < due {
                self.look(subject, random.random_range(0..REPLICAS)).await;
            } else if done {
                return;
            } else {
                subject.read.fetch_sub(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    async fn look(&self, subject: &Subject, replica: usize) {
        let began = self.clock.elapsed();
        let arguments = json!({ "ref": subject.playlist, "limit": 1 });
        let answer = subject.clients[replica].tool("playlist_get", arguments).await;
        let ended = self.clock.elapsed();
        if answer.verdict() != "200 ok" {
            remark(answer.text());
            self.failed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let content = answer.result();
        let first = content["structuredContent"]["items"][0]["track"]["ref"].as_str().unwrap_or_default();
        let what = match self.places.get(first) {
            Some(at) if at % self.people == subject.number => What::Saw((at / self.people) as u64),
            _ => What::SawForeign,
        };
        self.note(subject, began, ended, what);
    }

    /// The arguments that make a version.
    fn version(&self, subject: &Subject, version: u64) -> Value {
        let tokens = self.tracks.len() / self.people;
        let token = usize::try_from(version).unwrap_or_default() % tokens;
        let track = &self.tracks[subject.number + token * self.people];
        json!({ "ref": subject.playlist, "tracks": [track], "position": 0 })
    }

    fn note(&self, subject: &Subject, began: Duration, ended: Duration, what: What) {
        self.log.lock().unwrap().push(Operation { person: subject.number, began, ended, what });
    }
}
