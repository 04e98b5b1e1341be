//! Exports: whole, or not there.

use stagedoor_ctl::Exit;

use crate::server::Fixture;

const EXPORT: &str = "audit export --tenant acme --from-day 2026-11-01 --to-day 2026-11-02";

#[tokio::test]
async fn an_export_goes_to_a_file_or_to_standard_output() {
    let fixture = Fixture::start().await;
    let ended = fixture.ctl(EXPORT).await;
    assert_eq!((ended.exit, ended.output.as_str()), (Exit::Done, "first\nlast\n"));
    let file = fixture.home.path().join("trail.jsonl");
    let ended = fixture.ctl(&format!("{EXPORT} --to-file {}", file.display())).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "first\nlast\n");
    assert!(ended.output.is_empty() && ended.messages.contains("11 bytes"), "{ended:?}");
    assert_eq!(fixture.seen().exports[1].to_day, "2026-11-02");
}

#[tokio::test]
async fn half_an_export_is_none() {
    let fixture = Fixture::start().await;
    fixture.seen().breaks_off = true;
    let file = fixture.home.path().join("trail.jsonl");
    std::fs::write(&file, "what was there").unwrap();
    let ended = fixture.ctl(&format!("{EXPORT} --to-file {}", file.display())).await;
    assert_eq!(ended.exit, Exit::Unavailable, "{ended:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "what was there");
    assert_eq!(std::fs::read_dir(fixture.home.path()).unwrap().count(), 1, "nothing is left behind");
}
