//! The proof by mutations at any size: `cargo run -p stagedoor-crypto --features proofs --example mutations -- 100000`.
//! Fails if a changed envelope opens.

use std::process::ExitCode;

#[expect(clippy::print_stdout, reason = "the output is the proof's result")]
fn main() -> ExitCode {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(100_000);
    let report = stagedoor_crypto::mutation::prove(count, 0x5eed);
    println!("{} changes tried, {} accepted", report.tried, report.accepted.len());
    for accepted in &report.accepted {
        println!("accepted: {accepted}");
    }
    if report.accepted.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
