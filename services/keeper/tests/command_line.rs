//! The program's command line: what it lists and refuses. The jobs are tested in the integration tests, which find the
//! program built because this test needs it too.

use std::process::{Command, Output};

fn keeper(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stagedoor-keeper"));
    command.args(arguments).env_clear().output().expect("the program can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_job_is_listed_and_documented() {
    let help = text(&keeper(&["--help"]).stdout);
    let (_, commands) = help.split_once("Commands:").expect("there are commands");
    let (commands, _) = commands.split_once("Options:").expect("there are options");
    let names: Vec<_> = commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"retention") && names.contains(&"migrate"), "{help}");
    let page = include_str!("../../../docs/keeper.md");
    for name in names.into_iter().filter(|name| *name != "help") {
        assert!(page.contains(&format!("`{name}`")), "docs/keeper.md does not know {name}");
    }
}

#[test]
fn what_cannot_be_is_refused_as_usage() {
    let unknown = keeper(&["tidy-up"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", text(&unknown.stderr));
    let unset = keeper(&["partitions"]);
    assert_eq!(unset.status.code(), Some(2), "{}", text(&unset.stderr));
    assert!(text(&unset.stderr).contains("storage.database_url"), "{}", text(&unset.stderr));
}
