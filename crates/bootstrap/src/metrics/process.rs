//! What the process takes of its machine (SEED-T §6.2, system metrics), read from `/proc` when metrics are asked for. On
//! systems without one these figures are absent. Files are those of the folder that the process works in.

use std::fmt;
use std::path::Path;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// The figures of this process.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        if let Some(seconds) = read("/proc/self/stat").as_deref().and_then(cpu_seconds) {
            let counter = ConstCounter::new(seconds);
            let help = "Time that the process has had of the processors";
            counter.encode(encoder.encode_descriptor(
                "process_cpu_seconds",
                help,
                None,
                MetricType::Counter,
            )?)?;
        }
        let resident = read("/proc/self/statm").as_deref().and_then(resident_bytes);
        let files = std::fs::read_dir("/proc/self/fd").ok().map(|open| open.count() as u64);
        let (space, free) = space(Path::new("."));
        let gauges = [
            ("process_resident_memory_bytes", "Memory that the process takes", resident),
            ("process_open_fds", "Files and connections that are open", files),
            ("filesystem_size_bytes", "Size of the file system that the process works in", space),
            ("filesystem_available_bytes", "What is free of it", free),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                let gauge = ConstGauge::new(value);
                gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
            }
        }
        if let Some((received, sent)) = read("/proc/self/net/dev").as_deref().and_then(network_bytes) {
            for (name, help, value) in [
                (
                    "process_network_receive_bytes",
                    "Bytes that came in over the network of the process",
                    received,
                ),
                ("process_network_transmit_bytes", "Bytes that went out over it", sent),
            ] {
                let counter = ConstCounter::new(value);
                counter.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
            }
        }
        Ok(())
    }
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// Fields 14 and 15 of `/proc/[pid]/stat`, in ticks; the second field is a name in parentheses that may hold anything.
#[expect(clippy::cast_precision_loss, reason = "ticks of a lifetime are known to more digits than matter")]
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let user: u64 = fields.nth(11)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The second field of `/proc/[pid]/statm`, in pages.
fn resident_bytes(statm: &str) -> Option<u64> {
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Received and sent by every interface of the network namespace but the loopback.
fn network_bytes(dev: &str) -> Option<(u64, u64)> {
    let mut interfaces = dev.lines().skip(2).filter_map(|line| line.split_once(':'));
    interfaces.try_fold((0, 0), |(received, sent), (name, counts)| {
        if name.trim() == "lo" {
            return Some((received, sent));
        }
        let mut counts = counts.split_whitespace();
        let more: u64 = counts.next()?.parse().ok()?;
        let out: u64 = counts.nth(7)?.parse().ok()?;
        Some((received + more, sent + out))
    })
}

/// Size, and what of it anyone may take.
fn space(folder: &Path) -> (Option<u64>, Option<u64>) {
    let Ok(found) = rustix::fs::statvfs(folder) else { return (None, None) };
    (Some(found.f_blocks * found.f_frsize), Some(found.f_bavail * found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_writes_is_read() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 5 100 200";
        let ticks = f64::from(u32::try_from(rustix::param::clock_ticks_per_second()).unwrap());
        let found = cpu_seconds(stat).unwrap() * ticks;
        assert!((found - 300.0).abs() < 1e-9, "{found}");
        assert_eq!(resident_bytes("900 12 5 1 0 300 0"), Some(12 * rustix::param::page_size() as u64));
        let dev = "Inter-|   Receive |  Transmit\n face |bytes packets |bytes\n    lo: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n  \
            eth0: 100 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n  eth1: 11 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n";
        assert_eq!(network_bytes(dev), Some((111, 27)));
        assert_eq!((cpu_seconds("7 (a"), resident_bytes("900")), (None, None));
    }

    #[test]
    fn a_folder_is_on_some_disk() {
        let (size, free) = space(Path::new("."));
        assert!(size.unwrap() > 0 && free.unwrap() <= size.unwrap());
    }
}
