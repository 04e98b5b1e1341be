//! Long calls at the protocol's edge: progress on the response stream, tasks for clients that take them, and what all
//! others see of the same jobs.

use std::time::Duration;

use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_testkit::{Answer, Client, Era, Inhabited, KeySpec, Stage, TestGateway};

use crate::{music, transfer as transfers};

const EXTENSION: &str = "io.modelcontextprotocol/tasks";

fn takes_tasks() -> Value {
    json!({ "extensions": { EXTENSION: {} } })
}

fn takes_tasks_and_forms() -> Value {
    json!({ "extensions": { EXTENSION: {} }, "elicitation": { "form": {} } })
}

/// A playlist at Spotify of tracks that can be told apart by their code.
async fn playlist(stage: &Stage, client: &Client) -> String {
    let catalogue = stage.sandbox().catalogue(Provider::Spotify);
    let fitting = catalogue.tracks().filter(|track| track.isrc.is_some() && track.blocked_in.is_empty());
    let tracks: Vec<String> = fitting.take(40).map(|track| format!("spotify:track:{}", track.id)).collect();
    let made = client.call("playlist_create", json!({ "name": "To move", "provider": "spotify" })).await;
    let playlist = made["playlist"]["ref"].as_str().unwrap().to_owned();
    client.call("playlist_add", json!({ "ref": playlist, "tracks": tracks })).await;
    playlist
}

fn transfer(playlist: &str) -> Value {
    json!({ "name": "playlist_transfer", "arguments": { "ref": playlist, "to_provider": "tidal" } })
}

/// Begins a transfer that cannot end before the faults are cleared, and says which task it is.
async fn begin(stage: &Stage, client: &Client, playlist: &str) -> String {
    stage.sandbox().faults().push(FaultRule::new(Provider::Tidal, Effect::Hold));
    let answer = client.rpc("tools/call", transfer(playlist)).await;
    let result = answer.result();
    assert_eq!(
        (&result["resultType"], &result["status"]),
        (&json!("task"), &json!("working")),
        "{}",
        answer.text()
    );
    assert!(result["ttlMs"].as_u64() > Some(0) && result["pollIntervalMs"].is_u64(), "{result}");
    assert!(result["_meta"]["io.modelcontextprotocol/serverInfo"].is_object(), "{result}");
    result["taskId"].as_str().unwrap().to_owned()
}

async fn get(client: &Client, task: &str) -> Answer {
    client.rpc("tasks/get", json!({ "taskId": task })).await
}

/// The task as soon as it rests.
async fn rested(client: &Client, task: &str) -> Value {
    loop {
        let answer = get(client, task).await;
        let result = answer.result();
        assert_eq!(
            (&result["taskId"], &result["resultType"]),
            (&json!(task), &json!("complete")),
            "{}",
            answer.text()
        );
        if result["status"] != "working" {
            return result;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn client(gateway: &TestGateway, who: &Inhabited<'_>) -> Client {
    music::client(gateway, who).declaring(takes_tasks())
}

#[tokio::test]
async fn a_long_call_goes_on_as_a_task_and_ends_with_the_calls_answer() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit_with("ada", music::everything_allowed()).await;
    let client = client(&gateway, &ada);
    let discovered = client.rpc("server/discover", json!({})).await.result();
    assert_eq!(discovered["capabilities"]["extensions"][EXTENSION], json!({}), "{discovered}");

    let playlist = playlist(&stage, &client).await;
    let task = begin(&stage, &client, &playlist).await;
    assert_eq!(get(&client, &task).await.result()["status"], "working");
    // The same job, for those who know no tasks.
    let job = music::client(&gateway, &ada).call("job_get", json!({ "job": task })).await;
    assert_eq!(job["job"], json!(task));
    stage.sandbox().faults().clear();

    let ended = rested(&client, &task).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    let result = &ended["result"];
    assert_eq!((&result["isError"], &result["resultType"]), (&json!(false), &json!("complete")));
    assert_eq!(result["structuredContent"]["state"], "done", "{result}");
    let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, result["structuredContent"]);

    let refused = client.rpc("tasks/update", json!({ "taskId": task, "inputResponses": {} })).await;
    assert_eq!(refused.verdict(), "200 invalid_arguments", "nothing is asked any more");
}

#[tokio::test]
async fn a_task_is_cancelled_between_two_steps() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit_with("ada", music::everything_allowed()).await;
    let client = client(&gateway, &ada);
    let playlist = playlist(&stage, &client).await;
    let task = begin(&stage, &client, &playlist).await;
    let acknowledged = client.rpc("tasks/cancel", json!({ "taskId": task })).await;
    assert_eq!(acknowledged.result()["resultType"], "complete", "{}", acknowledged.text());
    stage.sandbox().faults().clear();
    let ended = rested(&client, &task).await;
    assert_eq!(ended["status"], "cancelled", "{ended}");
    assert!(ended.get("result").is_none(), "{ended}");
}

#[tokio::test]
async fn a_task_of_somebody_else_is_not_there() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit_with("ada", music::everything_allowed()).await;
    let bob = stage.inhabit_with("bob", music::everything_allowed()).await;
    let owner = client(&gateway, &ada);
    let playlist = playlist(&stage, &owner).await;
    let task = begin(&stage, &owner, &playlist).await;

    let colleague = ada.tenant.person("Kim").await;
    let spec = |user| KeySpec::for_user(user);
    let of_colleague = ada.tenant.key(&spec(colleague)).await;
    let of_other_agent = ada.tenant.key(&spec(ada.user)).await;
    let others = [
        client(&gateway, &bob),
        gateway.client("ada", &of_colleague).declaring(takes_tasks()),
        gateway.client("ada", &of_other_agent).declaring(takes_tasks()),
        client(&gateway, &ada).below("/x/catalog"),
    ];
    for (at, other) in others.iter().enumerate() {
        for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
            let params = json!({ "taskId": task, "inputResponses": {} });
            let answer = other.rpc(method, params).await;
            assert_eq!(answer.verdict(), "200 job_unknown", "{at} {method}: {}", answer.text());
            assert_eq!(answer.json()["error"]["code"], -32602);
        }
    }
    for id in ["nothing", "00000000-0000-0000-0000-000000000000", ""] {
        assert_eq!(get(&owner, id).await.verdict(), "200 job_unknown", "{id:?}");
    }
    stage.sandbox().faults().clear();
    assert_eq!(rested(&owner, &task).await["status"], "completed", "nobody cancelled it");
}

#[tokio::test]
async fn who_declares_no_tasks_is_given_none() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit_with("ada", music::everything_allowed()).await;
    let modern = music::client(&gateway, &ada);
    let id = "00000000-0000-0000-0000-000000000000";
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let refused = modern.rpc(method, json!({ "taskId": id, "inputResponses": {} })).await;
        assert_eq!(refused.verdict(), "400 missing_client_capability", "{method}");
        let error = &refused.json()["error"];
        assert_eq!(error["code"], -32021);
        assert_eq!(error["data"]["requiredCapabilities"]["extensions"][EXTENSION], json!({}), "{error}");
    }
    let legacy = music::client(&gateway, &ada).speaking(Era::Legacy("2025-11-25"));
    let unknown = legacy.rpc("tasks/get", json!({ "taskId": id })).await;
    assert_eq!(unknown.json()["error"]["code"], -32601);
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {},
                        "clientInfo": { "name": "testkit", "version": "1" } });
    let capabilities = legacy.rpc("initialize", hello).await.result()["capabilities"].clone();
    assert!(
        capabilities.get("extensions").is_none() && capabilities["prompts"].is_object(),
        "{capabilities}"
    );

    for client in [modern, legacy] {
        let playlist = playlist(&stage, &client).await;
        let answer = client.rpc("tools/call", transfer(&playlist)).await;
        assert_eq!(answer.result()["structuredContent"]["state"], "done", "{}", answer.text());
    }
}

#[tokio::test]
async fn progress_grows_on_the_response_stream_of_the_call() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit_with("ada", music::everything_allowed()).await;
    for era in [Era::Modern, Era::Legacy("2025-11-25")] {
        let client = music::client(&gateway, &ada).speaking(era);
        let playlist = playlist(&stage, &client).await;
        let mut params = transfer(&playlist);
        params["_meta"] = json!({ "progressToken": "mine" });
        let answer = client.rpc("tools/call", params).await;
        assert_eq!(answer.header("content-type"), Some("text/event-stream"), "{}", answer.text());
        let mut messages = answer.messages();
        let last = messages.pop().unwrap();
        assert_eq!(last["result"]["structuredContent"]["state"], "done", "{last}");
        assert!(!messages.is_empty());
        let mut before = -1.0;
        for message in &messages {
            assert_eq!(message["method"], "notifications/progress", "{message}");
            let params = &message["params"];
            assert_eq!(params["progressToken"], "mine");
            let progress = params["progress"].as_f64().unwrap();
            assert!(progress > before, "{messages:?}");
            assert!(params["total"].as_f64().is_none_or(|total| progress <= total), "{message}");
            before = progress;
        }
    }
}

#[tokio::test]
async fn a_person_decides_what_is_doubtful_on_a_form_and_the_task_goes_on() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit_with("ada", music::everything_allowed()).await;
    let client = music::client(&gateway, &ada).declaring(takes_tasks_and_forms());
    let playlist = transfers::doubtful(&stage, &ada);
    let task = begin(&stage, &client, &playlist).await;
    stage.sandbox().faults().clear();

    let mut asked = rested(&client, &task).await;
    assert_eq!(asked["status"], "input_required", "{asked}");
    // A client that can show no form has the answer instead, and decides by calling again.
    let formless = rested(&self::client(&gateway, &ada), &task).await;
    assert_eq!(formless["status"], "completed");
    assert_eq!(formless["result"]["structuredContent"]["state"], "waiting", "{formless}");

    let mut rounds = 0;
    while asked["status"] == "input_required" {
        rounds += 1;
        assert!(rounds < 10, "{asked}");
        let (key, question) = asked["inputRequests"].as_object().unwrap().iter().next().unwrap();
        assert_eq!(question["method"], "elicitation/create");
        let fields = question["params"]["requestedSchema"]["properties"].as_object().unwrap();
        let content: Value =
            fields.iter().map(|(name, field)| (name.clone(), field["oneOf"][0]["const"].clone())).collect();
        let wrong = json!({ key: { "action": "accept", "content": { fields.keys().next().unwrap(): "tidal:track:0" } } });
        let refused = client.rpc("tasks/update", json!({ "taskId": task, "inputResponses": wrong })).await;
        assert_eq!(refused.verdict(), "200 invalid_arguments");
        let response = json!({ key: { "action": "accept", "content": content } });
        let taken = client.rpc("tasks/update", json!({ "taskId": task, "inputResponses": response })).await;
        assert_eq!(taken.result()["resultType"], "complete", "{}", taken.text());
        asked = rested(&client, &task).await;
    }
    assert_eq!(asked["status"], "completed", "{asked}");
    let report = &asked["result"]["structuredContent"]["report"];
    assert_eq!(report["counts"]["ambiguous"], 0, "{report}");
}
