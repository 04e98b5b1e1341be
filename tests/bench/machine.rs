//! What the operating system knows: cores, and the CPU time and memory of a process (proc(5)).

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// The core of the server under test.
pub(crate) const SERVER_CORE: usize = 0;
/// The core of everything else.
pub(crate) const LOAD_CORE: usize = 1;

/// Keeps this thread, and whatever it starts from now on, on one core.
#[cfg(target_os = "linux")]
pub(crate) fn pin(core: usize) -> anyhow::Result<()> {
    let mut cores = rustix::thread::CpuSet::new();
    cores.set(core);
    rustix::thread::sched_setaffinity(None, &cores).with_context(|| format!("core {core} cannot be had"))
}

/// Keeps this thread, and whatever it starts from now on, on one core.
#[cfg(not(target_os = "linux"))]
pub(crate) fn pin(_core: usize) -> anyhow::Result<()> {
    anyhow::bail!("the benchmark needs Linux")
}

/// CPU time that a process has used, all threads together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CpuTime {
    /// In the program.
    pub(crate) user: Duration,
    /// In the kernel on its behalf.
    pub(crate) system: Duration,
}

impl CpuTime {
    /// What was used since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

/// The CPU time of a process so far, in steps of a clock tick.
pub(crate) fn cpu_time(pid: u32) -> anyhow::Result<CpuTime> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    // The command's name, in parentheses, may hold spaces; fields 14 and 15 are counted from after it.
    let (_, fields) = stat.rsplit_once(") ").context("/proc/PID/stat has no name")?;
    let mut fields = fields.split(' ').skip(11).map(str::parse::<u64>);
    let mut ticks = || fields.next().context("/proc/PID/stat is short")?.context("/proc/PID/stat");
    let tick = Duration::from_secs(1) / u32::try_from(rustix::param::clock_ticks_per_second())?;
    let time = |ticks: u64| Duration::from_nanos(ticks * u64::try_from(tick.as_nanos()).unwrap_or_default());
    Ok(CpuTime { user: time(ticks()?), system: time(ticks()?) })
}

/// The resident memory of a process.
pub(crate) fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().context("VmRSS")?;
    Ok(kibibytes * 1024)
}

/// The name of the processor.
pub(crate) fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = info.lines().find(|line| line.starts_with("model name"));
    named.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, name)| name).to_owned()
}

/// The release of the kernel.
pub(crate) fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}
