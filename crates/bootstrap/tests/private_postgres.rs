//! The life of a private cluster: start, use, crash of the server, crash of its owner, refusal of a second owner.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test, in helpers too")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use stagedoor_bootstrap::config::variable;
use stagedoor_bootstrap::private_servers::{PrivatePostgres, PrivatePostgresOptions, PrivateServerError};
use tokio_util::sync::CancellationToken;

const HELPER_FOLDER: &str = "TEST_PRIVATE_CLUSTER_FOLDER";

async fn start(folder: &Path) -> PrivatePostgres {
    PrivatePostgres::start(PrivatePostgresOptions::for_tests(folder)).await.unwrap()
}

async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let reached = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), reached).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn is_alive(pid: i32) -> bool {
    rustix::process::test_kill_process(rustix::process::Pid::from_raw(pid).unwrap()).is_ok()
}

#[tokio::test]
async fn data_survives_a_stop_and_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = start(folder.path()).await;
    postgres.create_database("stagedoor").await.unwrap();
    postgres.create_database("stagedoor").await.unwrap();
    postgres
        .sql("stagedoor", "CREATE TABLE stages (name text); INSERT INTO stages VALUES ('Ångström')")
        .await
        .unwrap();
    let pid = postgres.pid();
    postgres.stop().await;
    assert!(!is_alive(pid), "the server outlived its stop");
    drop(postgres);

    let postgres = start(folder.path()).await;
    assert_eq!(postgres.sql("stagedoor", "SELECT name FROM stages").await.unwrap(), "Ångström");
}

#[tokio::test]
async fn a_role_logs_in_with_the_address_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = start(folder.path()).await;
    postgres.sql("postgres", "CREATE ROLE singer").await.unwrap();
    postgres.allow_login("singer").await.unwrap();
    let query = |address: String| {
        Command::new(postgres.program("psql"))
            .args(["-XAtc", "SELECT current_user", &address])
            .output()
            .unwrap()
    };

    let output = query(postgres.url_for("postgres", "singer"));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "singer");

    let wrong = format!("postgres://singer:wrong@127.0.0.1:{}/postgres", postgres.port());
    assert!(!query(wrong).status.success(), "a wrong password was accepted");
    assert!(matches!(postgres.allow_login("singer; DROP").await, Err(PrivateServerError::InvalidName(_))));
}

#[tokio::test]
async fn a_second_owner_is_refused_while_the_first_lives() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    let refused = PrivatePostgres::start(PrivatePostgresOptions::for_tests(folder.path())).await.unwrap_err();
    let own_pid = i32::try_from(std::process::id()).unwrap();
    assert!(
        matches!(refused, PrivateServerError::FolderInUse { pid: Some(pid), .. } if pid == own_pid),
        "{refused}"
    );
    assert!(matches!(
        PrivatePostgres::erase(folder.path()).await,
        Err(PrivateServerError::FolderInUse { .. })
    ));
    assert_eq!(first.sql("postgres", "SELECT 1").await.unwrap(), "1");
}

#[tokio::test]
async fn a_killed_server_is_started_again_on_its_port_with_its_data() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = Arc::new(start(folder.path()).await);
    postgres.sql("postgres", "CREATE TABLE stages AS SELECT 7 AS number").await.unwrap();
    let (pid, port, shutdown) = (postgres.pid(), postgres.port(), CancellationToken::new());
    let watch = postgres.clone().keep_running(shutdown.clone());

    let crash = async {
        postgres.kill().await;
        eventually("the server is back", async || postgres.pid() != pid).await;
        assert_eq!(postgres.port(), port);
        assert_eq!(postgres.sql("postgres", "SELECT number FROM stages").await.unwrap(), "7");
        shutdown.cancel();
    };
    tokio::join!(watch, crash);
}

#[tokio::test]
async fn a_killed_owner_leaves_no_server_and_its_data_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_owns_a_cluster_until_it_is_killed", "--ignored", "--nocapture"])
        .env(HELPER_FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let pid: i32 = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("server pid ")?.1.trim().parse().ok())
        .expect("the owner tells the pid of its server");
    assert!(is_alive(pid));
    owner.kill().unwrap();
    owner.wait().unwrap();

    eventually("the server ended after its owner", async || !is_alive(pid)).await;
    let postgres = start(folder.path()).await;
    assert_eq!(postgres.sql("postgres", "SELECT word FROM kept").await.unwrap(), "encore");
}

#[tokio::test]
#[ignore = "the owner process of another test, which kills it"]
async fn helper_owns_a_cluster_until_it_is_killed() {
    let folder = variable(HELPER_FOLDER).expect("started by the test above");
    let postgres = start(Path::new(&folder)).await;
    postgres.sql("postgres", "CREATE TABLE kept AS SELECT 'encore' AS word").await.unwrap();
    println!("\nserver pid {}", postgres.pid());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_server_left_behind_is_stopped_by_the_next_owner() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = start(folder.path()).await;
    let (left, command_line) =
        (postgres.pid(), std::fs::read(format!("/proc/{}/cmdline", postgres.pid())).unwrap());
    postgres.stop().await;
    drop(postgres);
    assert!(!is_alive(left));

    // A server with no owner and no watchdog, as a kill of both leaves it.
    let arguments: Vec<_> = command_line.split(|&byte| byte == 0).filter(|part| !part.is_empty()).collect();
    let arguments: Vec<_> =
        arguments.into_iter().map(|part| String::from_utf8(part.to_owned()).unwrap()).collect();
    let mut stray = Command::new(&arguments[0]);
    stray.args(&arguments[1..]).stdout(Stdio::null()).stderr(Stdio::null());
    if rustix::process::geteuid().is_root() {
        use std::os::unix::fs::MetadataExt;
        use std::os::unix::process::CommandExt;
        let owner = folder.path().join("postgres").metadata().unwrap();
        stray.uid(owner.uid()).gid(owner.gid()).current_dir("/");
    }
    let mut stray = stray.spawn().unwrap();
    let status_file = folder.path().join("postgres/postmaster.pid");
    eventually("the stray server is ready", async || {
        std::fs::read_to_string(&status_file)
            .is_ok_and(|text| text.lines().nth(7).is_some_and(|line| line.trim() == "ready"))
    })
    .await;
    // Its parent must reap it, or it would look alive for ever.
    let reaper = std::thread::spawn(move || stray.wait().unwrap());

    let postgres = start(folder.path()).await;
    assert_eq!(postgres.sql("postgres", "SELECT 1").await.unwrap(), "1");
    assert!(reaper.join().unwrap().success(), "the stray server was not shut down cleanly");
}

#[tokio::test]
async fn erasing_removes_the_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = start(folder.path()).await;
    postgres.sql("postgres", "CREATE TABLE stages (name text)").await.unwrap();
    drop(postgres);
    PrivatePostgres::erase(folder.path()).await.unwrap();
    let postgres = start(folder.path()).await;
    assert_eq!(postgres.sql("postgres", "SELECT to_regclass('stages') IS NULL").await.unwrap(), "t");
}

#[tokio::test]
async fn missing_programs_and_foreign_clusters_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let options = PrivatePostgresOptions {
        bin_dir: Some(folder.path().join("nothing-here")),
        ..PrivatePostgresOptions::for_tests(folder.path())
    };
    let error = PrivatePostgres::start(options).await.unwrap_err().to_string();
    assert!(error.contains("nothing-here") && error.contains("apt-get install postgresql"), "{error}");

    drop(start(folder.path()).await);
    std::fs::write(folder.path().join("postgres/PG_VERSION"), "9\n").unwrap();
    let refused = PrivatePostgres::start(PrivatePostgresOptions::for_tests(folder.path())).await.unwrap_err();
    assert!(
        matches!(refused, PrivateServerError::VersionMismatch { ref wanted, .. } if wanted == "9"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_taken_port_is_an_error_only_when_it_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let options =
        PrivatePostgresOptions { port: Some(port), ..PrivatePostgresOptions::for_tests(folder.path()) };
    let error = PrivatePostgres::start(options).await.unwrap_err().to_string();
    assert!(error.contains("Address already in use"), "{error}");
}
