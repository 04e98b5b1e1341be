//! `stagedoor-mix`: prints the mix of agent calls that `tests/mix/calls.txt` keeps; with `--explain` what a boundless
//! cache would make of it instead.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use clap::Parser;
use stagedoor_domain::TenantSettings;
use stagedoor_domain::policy::{CacheClass, TtlBounds};
use stagedoor_tests::mix::{Ceiling, Outcomes, Population, SEED, Timed, generate, text};

/// Prints the mix of agent calls.
#[derive(Debug, Parser)]
struct CommandLine {
    /// Print what a boundless cache would make of it.
    #[arg(long)]
    explain: bool,
    /// Another seed than that of the mix that is kept.
    #[arg(long, default_value_t = SEED)]
    seed: u64,
}

fn main() -> std::io::Result<()> {
    let command_line = CommandLine::parse();
    let calls = generate(command_line.seed);
    let mut out = std::io::stdout().lock();
    if !command_line.explain {
        return out.write_all(text(&calls).as_bytes());
    }
    for population in Population::ALL {
        let calls: Vec<Timed> =
            calls.iter().filter(|timed| timed.agent.population == population).cloned().collect();
        let lives = [("first", first as fn(TtlBounds) -> Duration), ("longest", longest)];
        for (title, life) in lives {
            let classes = Ceiling::of(&calls, |class| bounds(class).map_or(Duration::ZERO, life));
            print(&mut out, &format!("{} {title}", population.as_str()), &classes)?;
        }
    }
    Ok(())
}

fn print(
    out: &mut impl Write,
    title: &str,
    classes: &BTreeMap<&'static str, Outcomes>,
) -> std::io::Result<()> {
    writeln!(out, "{title:<18}   calls    hits   first expired written   ratio   of repeats")?;
    let all = classes.values().fold(Outcomes::default(), |all, one| all.and(*one));
    for (name, outcomes) in classes.iter().chain([(&"all", &all)]) {
        let Outcomes { hits, first, expired, written } = outcomes;
        writeln!(
            out,
            "  {name:<16}{:>8}{hits:>8}{first:>8}{expired:>8}{written:>8}{:>8.3}{:>8.3}",
            outcomes.calls(),
            outcomes.ratio(),
            outcomes.ratio_of_repeats()
        )?;
    }
    Ok(())
}

fn first(bounds: TtlBounds) -> Duration {
    bounds.first
}

fn longest(bounds: TtlBounds) -> Duration {
    bounds.longest
}

fn bounds(class: &str) -> Option<TtlBounds> {
    let class = CacheClass::ALL.iter().find(|known| known.as_str() == class)?;
    TenantSettings::default().cache_ttl(*class)
}
