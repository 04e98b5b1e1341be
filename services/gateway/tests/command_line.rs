//! The program's command line: what it prints and refuses. Serving is tested in the integration tests, which find the
//! program built because this test needs it too.

use std::process::{Command, Output};

fn stagedoor(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stagedoor"));
    command
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .expect("the program can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_valid_configuration_is_said_to_be_and_shown_without_secrets() {
    let variables = [
        ("STAGEDOOR_STORAGE__DATABASE_URL", "postgres://stagedoor_app:pa55@db:5432/stagedoor"),
        ("STAGEDOOR_ENCRYPTION__KEY_FILE", "/keys/key"),
        ("STAGEDOOR_ENCRYPTION__API_KEY_PEPPER_FILE", "/keys/pepper"),
    ];
    let checked = stagedoor(&["config", "check"], &variables);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    let shown = text(&stagedoor(&["config", "show"], &variables).stdout);
    assert!(shown.contains("stagedoor_app") && shown.contains("body_limit_bytes"), "{shown}");
    assert!(!shown.contains("pa55"), "{shown}");
}

#[test]
fn a_wrong_configuration_is_refused_with_every_problem_and_a_nearer_name() {
    let variables = [("STAGEDOOR_SERVER__BODY_LIMIT_BYTE", "1"), ("STAGEDOOR_SERVER__MAX_DEPTH", "deep")];
    for arguments in [&["config", "check"][..], &["serve"][..]] {
        let refused = stagedoor(arguments, &variables);
        let said = text(&refused.stderr);
        assert!(
            !refused.status.success() && said.contains("body_limit_bytes") && said.contains("max_depth"),
            "{said}"
        );
    }
}

#[test]
fn the_schema_is_json_and_the_help_names_the_commands() {
    let schema = stagedoor(&["config", "schema"], &[]);
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).unwrap();
    assert!(schema["properties"]["rate_limiting"].is_object());
    let help = text(&stagedoor(&["--help"], &[]).stdout);
    assert!(["serve", "demo", "config", "migrate"].iter().all(|command| help.contains(command)), "{help}");
}
