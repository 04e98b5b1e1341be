//! The life of the private servers that only tests use.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test, in helpers too")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use stagedoor_bootstrap::private_servers::{
    PrivatePgBouncer, PrivatePostgres, PrivatePostgresOptions, PrivateRedis,
};

fn ask(port: u16, command: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn redis_comes_back_empty_on_its_port_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let redis =
        PrivateRedis::start_with(folder.path(), &["--maxmemory-policy", "allkeys-lru"]).await.unwrap();
    let url = redis.url();
    assert!(ask(redis.port(), "SET song played").starts_with("+OK"));
    assert!(ask(redis.port(), "CONFIG GET maxmemory-policy").contains("allkeys-lru"));
    redis.kill().await;
    assert!(TcpStream::connect(("127.0.0.1", redis.port())).is_err(), "it answers after the kill");
    redis.restart().await.unwrap();
    assert_eq!(redis.url(), url);
    assert!(ask(redis.port(), "GET song").starts_with("$-1"), "it kept data");
    let port = redis.port();
    drop(redis);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "it outlived its owner");
}

#[tokio::test]
async fn pgbouncer_pools_by_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let postgres =
        PrivatePostgres::start(PrivatePostgresOptions::for_tests(folder.path().join("pg"))).await.unwrap();
    postgres.sql("postgres", "CREATE ROLE singer").await.unwrap();
    postgres.allow_login("singer").await.unwrap();
    let pooler = PrivatePgBouncer::start(folder.path(), &postgres, &["singer"]).await.unwrap();

    let address = pooler.url_for("postgres", "singer");
    let output = Command::new(postgres.program("psql"))
        .args(["-XAtc", "SELECT current_user", &address])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "singer", "{output:?}");
    pooler.stop().await;
    assert!(TcpStream::connect(("127.0.0.1", pooler.port())).is_err(), "it answers after its stop");
}
