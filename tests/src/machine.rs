//! What the operating system knows: cores, and the CPU time and memory of a process (proc(5)).

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// The core of the server under test.
pub const SERVER_CORE: usize = 0;
/// The core of everything else.
pub const LOAD_CORE: usize = 1;

/// Keeps this thread, and whatever it starts from now on, on one core.
#[cfg(target_os = "linux")]
pub fn pin(core: usize) -> anyhow::Result<()> {
    let mut cores = rustix::thread::CpuSet::new();
    cores.set(core);
    rustix::thread::sched_setaffinity(None, &cores).with_context(|| format!("core {core} cannot be had"))
}

/// Keeps this thread, and whatever it starts from now on, on one core.
#[cfg(not(target_os = "linux"))]
pub fn pin(_core: usize) -> anyhow::Result<()> {
    anyhow::bail!("the benchmark needs Linux")
}

/// CPU time that a process has used, all threads together.
#[derive(Debug, Clone, Copy, Default)]
pub struct CpuTime {
    /// In the program.
    pub user: Duration,
    /// In the kernel on its behalf.
    pub system: Duration,
}

impl CpuTime {
    /// What was used since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { user: self.user + other.user, system: self.system + other.system }
    }

    /// In the program and in the kernel.
    pub fn total(self) -> Duration {
        self.user + self.system
    }
}

/// The CPU time of a process so far, in steps of a clock tick.
pub fn cpu_time(pid: u32) -> anyhow::Result<CpuTime> {
    ticks(pid, 11)
}

fn ended_children(pid: u32) -> anyhow::Result<CpuTime> {
    ticks(pid, 13)
}

/// The field `at` of [`stat_fields`] as time in the program, and the next as time in the kernel.
fn ticks(pid: u32, at: usize) -> anyhow::Result<CpuTime> {
    let fields = stat_fields(pid)?;
    let tick = Duration::from_secs(1) / u32::try_from(rustix::param::clock_ticks_per_second())?;
    let time = |at: usize| {
        let ticks = fields.get(at).context("/proc/PID/stat is short")?;
        anyhow::Ok(Duration::from_nanos(ticks * u64::try_from(tick.as_nanos()).unwrap_or_default()))
    };
    Ok(CpuTime { user: time(at)?, system: time(at + 1)? })
}

/// What `/proc/PID/stat` has from its third field on; 0 where that is no number, as the state is none.
fn stat_fields(pid: u32) -> anyhow::Result<Vec<u64>> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    // The command's name, in parentheses, may hold spaces; fields are counted from after it.
    let (_, fields) = stat.rsplit_once(") ").context("/proc/PID/stat has no name")?;
    Ok(fields.split(' ').map(|field| field.trim().parse().unwrap_or_default()).collect())
}

/// The CPU time of a process so far and of its children, ended ones among them: what a server does that has a process
/// for each connection.
pub fn family_cpu_time(pid: u32) -> anyhow::Result<CpuTime> {
    let mut all = ended_children(pid)?.and(cpu_time(pid)?);
    for entry in fs::read_dir("/proc").context("/proc cannot be read")? {
        let name = entry?.file_name();
        let Some(child) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process that ended meanwhile is among the ended ones next time.
        if let Ok(fields) = stat_fields(child)
            && fields.get(1) == Some(&u64::from(pid))
            && let Ok(time) = cpu_time(child)
        {
            all = all.and(time);
        }
    }
    Ok(all)
}

/// The resident memory of a process.
pub fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().context("VmRSS")?;
    Ok(kibibytes * 1024)
}

/// The name of the processor.
pub fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = info.lines().find(|line| line.starts_with("model name"));
    named.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, name)| name).to_owned()
}

/// The release of the kernel.
pub fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}
