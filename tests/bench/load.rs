//! The load: as many calls as a server takes, for throughput and CPU, and calls at a rate, for latency. Every
//! answer is compared with what it must be.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use stagedoor_domain::Clock;
use stagedoor_tests::machine::{CpuTime, cpu_time};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::subject::{Subject, Target};
use crate::wire::{Connection, body_of};

/// Full load before anything is counted.
const WARM_UP: Duration = Duration::from_millis(400);
/// Connections of the paced load, each with a thread of its own: a thread wakes more exactly than a timer wheel.
const PACED_CONNECTIONS: u32 = 16;

/// What happened at full load.
#[derive(Debug)]
pub(crate) struct FullLoad {
    /// Calls answered.
    pub(crate) calls: u32,
    /// In this time.
    pub(crate) elapsed: Duration,
    /// For this much CPU of the server.
    pub(crate) cpu: CpuTime,
}

impl FullLoad {
    /// Throughput.
    pub(crate) fn calls_per_second(&self) -> f64 {
        f64::from(self.calls) / self.elapsed.as_secs_f64()
    }
}

/// Calls over `connections` at once, each waiting for its answer, for `lasting`.
pub(crate) async fn saturate(
    subject: &Subject,
    connections: u32,
    lasting: Duration,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<FullLoad> {
    let (calls, stop) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let mut callers = JoinSet::new();
    for _ in 0..connections {
        callers.spawn(call_until(Arc::clone(subject.target()), Arc::clone(&calls), Arc::clone(&stop)));
    }
    let read =
        || Ok::<_, anyhow::Error>((calls.load(Ordering::Relaxed), clock.elapsed(), cpu_time(subject.pid())?));
    tokio::time::sleep(WARM_UP).await;
    let (calls_before, begun, cpu_before) = read()?;
    tokio::time::sleep(lasting).await;
    let (calls_after, ended, cpu_after) = read()?;
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = callers.join_next().await {
        ended.context("a caller panicked")??;
    }
    Ok(FullLoad {
        calls: calls_after.wrapping_sub(calls_before),
        elapsed: ended.saturating_sub(begun),
        cpu: cpu_after.since(cpu_before),
    })
}

async fn call_until(target: Arc<Target>, calls: Arc<AtomicU32>, stop: Arc<AtomicBool>) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    let mut request = target.request.clone();
    let mut received = vec![0; 16 * 1024];
    while !stop.load(Ordering::Relaxed) {
        let number = calls.fetch_add(1, Ordering::Relaxed);
        stream.write_all(request.numbered(number)).await?;
        let mut length = 0;
        let body = loop {
            match stream.read(&mut received[length..]).await? {
                0 => bail!("the server closed a connection"),
                more => length += more,
            }
            if let Some(body) = body_of(&received[..length])? {
                break body;
            }
        };
        target.expected.check(&received[body], number)?;
    }
    Ok(())
}

/// Calls at random times, `per_second` on average, for `lasting`; answers with latencies in nanoseconds.
pub(crate) async fn paced(
    subject: &Subject,
    per_second: f64,
    lasting: Duration,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Histogram<u64>> {
    let each = per_second / f64::from(PACED_CONNECTIONS);
    let mut callers = JoinSet::new();
    for seed in 0..PACED_CONNECTIONS {
        let (target, clock) = (Arc::clone(subject.target()), Arc::clone(clock));
        callers.spawn_blocking(move || pace(&target, each, lasting, seed, clock.as_ref()));
    }
    let mut all = Histogram::new(3)?;
    while let Some(latencies) = callers.join_next().await {
        all.add(latencies.context("a caller panicked")??)?;
    }
    Ok(all)
}

fn pace(
    target: &Target,
    per_second: f64,
    lasting: Duration,
    seed: u32,
    clock: &dyn Clock,
) -> anyhow::Result<Histogram<u64>> {
    let mut dice = StdRng::seed_from_u64(u64::from(seed));
    let mut gap = || Duration::from_secs_f64(-(1.0 - dice.random::<f64>()).ln() / per_second);
    let mut request = target.request.clone();
    let mut connection = Connection::open(target.address)?;
    let mut latencies = Histogram::new(3)?;
    let end = clock.elapsed() + lasting;
    let mut due = clock.elapsed() + gap();
    let mut number = 0;
    while due < end {
        let early = due.checked_sub(clock.elapsed());
        if let Some(early) = early {
            std::thread::sleep(early);
        }
        // A call that was due while the one before it ran has waited since then. Waking late is our own fault.
        let begun = if early.is_some() { clock.elapsed() } else { due };
        let body = connection.call(request.numbered(number))?;
        latencies.record(u64::try_from(clock.elapsed().saturating_sub(begun).as_nanos())?)?;
        target.expected.check(body, number)?;
        due += gap();
        number += 1;
    }
    Ok(latencies)
}
