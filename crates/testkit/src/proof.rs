//! Proofs: tests that also say a figure and its bound. The suite runs them at a small size; `just prove` at full
//! size, in a release build, and there they may be about time as well.

use std::fmt::Display;
use std::io::Write;

/// How much a proof does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofSize {
    /// Enough for every run of the suite.
    Small,
    /// What the documentation promises.
    Full,
}

impl ProofSize {
    /// What `STAGEDOOR_PROOF` asks for: `full`, or small if it is not set.
    #[expect(clippy::disallowed_methods, reason = "a test's own switch, not configuration of a service")]
    pub fn wanted() -> Self {
        match std::env::var("STAGEDOOR_PROOF").as_deref() {
            Ok("full") => Self::Full,
            _ => Self::Small,
        }
    }

    /// One of two numbers.
    pub fn of<T>(self, small: T, full: T) -> T {
        match self {
            Self::Small => small,
            Self::Full => full,
        }
    }

    /// Whether figures of time may be judged: on a machine that runs nothing else, in a release build.
    pub fn judges_time(self) -> bool {
        self == Self::Full && !cfg!(debug_assertions)
    }
}

/// Says the figure of a proof and fails the test if it does not hold. The line is what scripts read:
/// `PROOF area.name figure bound ok|FAIL`.
///
/// # Panics
/// If it does not hold.
pub fn prove(name: &str, figure: impl Display, bound: impl Display, holds: bool) {
    say(name, &figure, &bound, if holds { "ok" } else { "FAIL" });
    assert!(holds, "{name}: {figure} is not within {bound}");
}

/// Says what went otherwise than it should, for whoever reads the log of a proof that failed.
pub fn remark(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn say(name: &str, figure: &impl Display, bound: &impl Display, verdict: &str) {
    // Past the test runner's capture, which would hold back the lines of tests that pass.
    let _ = writeln!(std::io::stdout(), "PROOF {name} {figure} {bound} {verdict}");
}

/// A figure that must be a certain number.
///
/// # Panics
/// If it is another.
pub fn prove_equal(name: &str, figure: u64, wanted: u64) {
    prove(name, figure, format_args!("={wanted}"), figure == wanted);
}

/// A duration's quantile in milliseconds that must not be above a bound; only said, as `unjudged`, where time is not
/// judged.
///
/// # Panics
/// If it is above, where time is judged.
pub fn prove_time(name: &str, milliseconds: f64, bound: f64) {
    let (figure, limit) = (format_args!("{milliseconds:.3}ms"), format_args!("<={bound}ms"));
    if ProofSize::wanted().judges_time() {
        prove(name, figure, limit, milliseconds <= bound);
    } else {
        say(name, &figure, &limit, "unjudged");
    }
}
