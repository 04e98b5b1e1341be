//! One run through everything that touches tokens, and then a search for them where they must not be: log, traces,
//! metrics, answers and pages, database and Redis.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use redis::AsyncTypedCommands;
use rustix::process::Signal;
use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_testkit::{Browser, Client, GatewayProcess, KeySpec, Stage, generous};
use tokio::net::TcpListener;

use crate::linking::{agree, ask, parameter};
use crate::sessions::end_access;

/// What an OTLP collector was sent, as it came.
type Sent = Arc<Mutex<Vec<u8>>>;

#[tokio::test]
async fn after_a_full_run_no_secret_is_anywhere_but_where_it_belongs() {
    let stage = Stage::start().await;
    let (collector, sent) = collect().await;
    let settings = [
        ("STAGEDOOR_TELEMETRY__LOG_FILTER", "trace,h2=off".to_owned()),
        ("STAGEDOOR_TELEMETRY__OTLP_ENDPOINT", format!("http://{collector}")),
    ];
    let mut gateway = GatewayProcess::start(&stage, "loud", &settings).await;
    let mut run = Run::default();
    full_run(&stage, &gateway, &mut run).await;

    run.heard("metrics", &reqwest::get(metrics(&gateway)).await.unwrap().text().await.unwrap());
    // Its last lines and spans are written when it ends.
    gateway.program().signal(Signal::TERM);
    gateway.program().ended().await;
    run.heard("the log", &gateway.program().said());
    let traces = String::from_utf8_lossy(&sent.lock().unwrap()).into_owned();
    assert!(traces.contains("tools/call"), "no trace arrived");
    run.heard("the traces", &traces);
    run.heard("the database", &stored(&stage).await);
    run.heard("Redis", &cached(&stage).await);
    run.judge();
}

/// What was said where, and what must not have been.
#[derive(Default)]
struct Run {
    /// Known to the services and us alone.
    tokens: BTreeSet<String>,
    /// Known to one person's browser or one agent besides.
    handed_out: BTreeSet<String>,
    heard: Vec<(&'static str, String)>,
}

impl Run {
    fn heard(&mut self, place: &'static str, text: &str) {
        assert!(!text.is_empty(), "{place} is empty, which proves nothing");
        self.heard.push((place, text.to_owned()));
    }

    fn judge(&self) {
        assert!(self.tokens.len() >= 12 && self.handed_out.len() >= 8, "this was no full run");
        for (place, text) in &self.heard {
            // An answer or a page may hold what it hands out itself.
            let ours = *place == "an answer" || *place == "a page";
            let secrets = self.tokens.iter().chain(self.handed_out.iter().filter(|_| !ours));
            for secret in secrets {
                assert!(secret.len() >= 10, "{secret:?} is no secret");
                let found = text.lines().find(|line| line.contains(secret.as_str()));
                assert_eq!(found, None, "{secret} is in {place}");
            }
        }
    }
}

/// Links, uses, refreshes, spoils and unlinks, at both services.
async fn full_run(stage: &Stage, gateway: &GatewayProcess, run: &mut Run) {
    let tenant = stage.tenant("ada", generous()).await;
    let user = tenant.person("Robin").await;
    let key = tenant.key(&KeySpec::for_user(user)).await;
    run.handed_out.insert(key.clone());
    for provider in Provider::ALL {
        tenant.set_up(*provider).await;
    }
    tenant.expect_people_at(gateway.address());
    let client = gateway.client("ada", &key);
    for provider in Provider::ALL {
        let account = stage.sandbox().create_account(*provider, "Robin", "DE");
        for spoilt in [true, false] {
            let asked = ask(&client, json!({ "provider": provider })).await;
            let browser = Browser::new();
            let door = agree(&browser, &asked.page).await;
            let back = stage.sandbox().authorize(*provider, &account, &door).unwrap();
            run.tokens.insert(parameter(&back, "code"));
            run.handed_out.insert(asked.page.path_segments().unwrap().next_back().unwrap().to_owned());
            run.handed_out.insert(parameter(&door, "state"));
            run.handed_out.extend(browser.cookies().into_iter().map(|(_, value)| value));
            if spoilt {
                browser.forget_cookies();
            }
            run.heard("a page", &browser.open(&back).await.text());
            answered(run, &client, "account_link", json!({ "link": asked.link })).await;
            run.tokens.extend(stage.sandbox().secrets());
        }
        let query = json!({ "provider": provider, "query": "river" });
        answered(run, &client, "search", query).await;
        for _ in 0..2 {
            answered(run, &client, "playlists_list", json!({ "provider": provider })).await;
            end_access(stage, *provider).await;
            answered(run, &client, "playlist_create", json!({ "provider": provider, "name": "Mine" })).await;
            run.tokens.extend(stage.sandbox().secrets());
        }
    }
    answered(run, &client, "accounts_list", json!({})).await;
    // A session that does not open, and a stranger.
    let damage = "UPDATE provider_sessions SET access_token = set_byte(access_token, 99, get_byte(access_token, 99) # 1)";
    stage.sql(damage).await;
    end_access(stage, Provider::Tidal).await;
    answered(run, &client, "playlist_create", json!({ "provider": "tidal", "name": "Lost" })).await;
    let stranger = gateway.client("ada", "sd_test_not-a-key");
    run.heard("an answer", &stranger.tool("search", json!({})).await.text());
    answered(run, &client, "account_unlink", json!({ "provider": "tidal" })).await;
    run.tokens.extend(stage.sandbox().secrets());
}

async fn answered(run: &mut Run, client: &Client, tool: &str, arguments: Value) {
    let answer = client.tool(tool, arguments).await;
    run.heard("an answer", &answer.text());
}

fn metrics(gateway: &GatewayProcess) -> String {
    format!("http://{}/metrics", gateway.ops_address())
}

/// An OTLP collector (OTLP/HTTP) that keeps every byte.
async fn collect() -> (SocketAddr, Sent) {
    let sent = Sent::default();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let keep = async |State(sent): State<Sent>, body: Bytes| sent.lock().unwrap().extend_from_slice(&body);
    let router = Router::new().route("/v1/traces", post(keep)).with_state(Arc::clone(&sent));
    stagedoor_bootstrap::tasks::spawn("collector", async move { axum::serve(listener, router).await });
    (address, sent)
}

/// Every row of every table as text.
pub(crate) async fn stored(stage: &Stage) -> String {
    let tables =
        stage.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename").await;
    let mut text = String::new();
    for table in tables.lines() {
        // Bytes both as hexadecimal and as they would read: a token in a bytea column must not hide.
        let rows = format!("SELECT t::text || encode(convert_to(t::text, 'UTF8'), 'escape') FROM {table} t");
        text.push_str(&stage.sql(&rows).await);
        let columns = format!(
            "SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass AND atttypid = 'bytea'::regtype \
             AND attnum > 0 AND NOT attisdropped"
        );
        for column in stage.sql(&columns).await.lines() {
            text.push_str(&stage.sql(&format!("SELECT encode({column}, 'escape') FROM {table}")).await);
        }
    }
    text
}

/// Every key and value of Redis, as it reads.
async fn cached(stage: &Stage) -> String {
    let client = redis::Client::open(stage.redis().url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut text = String::new();
    for key in connection.keys("*").await.unwrap() {
        let value: Vec<u8> =
            redis::cmd("DUMP").arg(&key).query_async(&mut connection).await.unwrap_or_default();
        text.extend([key.as_str(), "\n", &String::from_utf8_lossy(&value), "\n"]);
    }
    text
}
