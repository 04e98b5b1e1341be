//! The smaller rooms: sessions, database connections, keys.

use std::fmt;

use stagedoor_crypto::KekProvider;
use stagedoor_tools::RefreshOutcome;

use super::{Gauges, Page};

pub(super) fn write(page: &mut Page<'_, '_>, gauges: &Gauges) -> fmt::Result {
    let sessions = gauges.sessions.counts();
    let (open, idle) = gauges.store.connections();
    let (requests_open, requests_late) = gauges.requests.counts();
    let vault = gauges.vault.failures();
    let (bytes, bytes_most) = gauges.signs.database_bytes();
    let counters = [
        ("vault_unreadable", "Sealed values that did not open", vault.unreadable),
        (
            "vault_keys_unavailable",
            "Times that a key to seal or open was not to be had",
            vault.keys_unavailable,
        ),
        ("sessions_opened_cold", "Sessions opened from the database", sessions.opened_cold),
        ("sessions_opened_memory", "Uses of sessions in memory", sessions.opened_memory),
        ("session_rotations", "Sessions that got a new id and seal", sessions.rotations),
        ("session_quarantines", "Sessions that did not open and were set aside", sessions.quarantines),
        ("devices_new", "Devices that were new to an account", sessions.devices_new),
        (
            "devices_exceeded",
            "Times that an account was used from too many devices",
            sessions.devices_exceeded,
        ),
        ("devices_refused", "Calls refused because of the device", sessions.devices_refused),
        ("hijack_attempts", "Handles used by someone else than their owner", sessions.hijack_attempts),
    ];
    for (name, help, value) in counters {
        page.counter(name, help, value)?;
    }
    let refreshes = RefreshOutcome::ALL.iter().zip(sessions.refreshes);
    page.counters(
        "session_refreshes",
        "Refreshes of people's tokens, by how they ended",
        refreshes.map(|(outcome, count)| ([("outcome", outcome.as_str())], count)),
    )?;
    let figures = [
        ("sessions_in_memory", "Opened sessions in memory", sessions.in_memory),
        ("privacy_requests_open", "Requests of people for their data that are not over", requests_open),
        ("privacy_requests_late", "Those that should have been answered by now", requests_late),
        ("store_connections_open", "Database connections open", u64::from(open)),
        ("store_connections_idle", "Database connections idle", idle as u64),
        ("store_bytes", "What the database takes on disk", bytes),
        ("store_bytes_most", "What it may take, by doctor.database_gib; 0 for what it likes", bytes_most),
        ("key_encryption_keys", "Key-encryption keys that unwrap", gauges.keys.ids().len() as u64),
        (
            "key_encryption_trouble",
            "1 while key-encryption keys are missing, damaged or out of reach",
            u64::from(gauges.keys.problem().is_some()),
        ),
    ];
    for (name, help, value) in figures {
        page.gauge(name, help, value)?;
    }
    let skew = gauges.signs.skew().as_secs_f64();
    page.gauges(
        "clock_skew_seconds",
        "How far the clock is from the database's",
        [([("clock", "own")], skew)],
    )
}
