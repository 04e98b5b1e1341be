//! A mix of agent calls as a gateway would see it over one afternoon and evening: who calls what, when. Made by a
//! seeded generator, kept as text in `tests/mix/calls.txt`; `tests/mix/README.md` has the assumptions.
//! Names no item of any catalogue: music is meant by its popularity rank, playlists by their person's count.

mod call;
mod ceiling;
mod chance;
mod day;
mod people;
mod session;

pub use call::{Agent, Call, InvalidCall, Population, Query, Timed};
pub use ceiling::{Ceiling, Outcomes};
pub use day::generate;
pub use people::{CATALOGUE, Person, people};

/// The seed of the mix that is kept.
pub const SEED: u64 = 0x5ea7_0a6e;

/// The mix that is kept, one call a line.
pub const KEPT: &str = include_str!("../../mix/calls.txt");

/// The mix that is kept.
///
/// # Errors
/// If a line is no call.
pub fn kept() -> Result<Vec<Timed>, InvalidCall> {
    KEPT.lines().map(str::parse).collect()
}

/// The mix as it is kept: one call a line.
pub fn text(calls: &[Timed]) -> String {
    let mut text = String::new();
    for call in calls {
        text.push_str(&call.to_string());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kept_mix_is_what_the_generator_makes() {
        let made = text(&generate(SEED));
        let differs = made.lines().zip(KEPT.lines()).position(|(made, kept)| made != kept);
        assert!(
            made == KEPT,
            "they differ from line {differs:?} on; make it again with: cargo run -p stagedoor-tests --bin stagedoor-mix > tests/mix/calls.txt"
        );
        assert!(KEPT.len() <= 600_000, "{} bytes", KEPT.len());
    }

    #[test]
    fn a_call_is_read_back_as_it_was_written() {
        let calls = kept().unwrap();
        assert_eq!(text(&calls), KEPT);
        assert!(calls.is_sorted_by_key(|call| call.at));
        for broken in
            ["", "1", "1 c0.0", "x c0.0 track 1", "1 c0.0 dance 1", "1 c0.0 track one", "1 z0.0 track 1"]
        {
            assert!(broken.parse::<Timed>().is_err(), "{broken:?}");
        }
    }
}
