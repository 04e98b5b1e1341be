//! How the counting of calls is doing. What it counts is in the store, for each tenant apart.

use std::fmt;

use super::{Gauges, Page};

pub(super) fn write(page: &mut Page<'_, '_>, gauges: &Gauges) -> fmt::Result {
    let usage = gauges.usage.counts();
    let counters = [
        ("usage_recorded", "Calls and refusals whose figures are in the store", usage.recorded),
        (
            "usage_overflowed",
            "Calls counted without key and tool, because a minute had too many of them",
            usage.overflowed,
        ),
        ("usage_lost", "Calls and refusals whose figures were lost", usage.lost),
    ];
    for (name, help, value) in counters {
        page.counter(name, help, value)?;
    }
    let figures = [
        ("usage_series", "Keys and tools that the present minute counts apart", usage.series),
        ("usage_lines_waiting", "Lines of figures that wait to be written", usage.waiting),
    ];
    for (name, help, value) in figures {
        page.gauge(name, help, value)?;
    }
    Ok(())
}
