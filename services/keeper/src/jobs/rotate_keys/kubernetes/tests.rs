//! The Secret's writer against a stand-in of the API server, which knows GET and JSON merge patch of one Secret and
//! refuses a patch that was made for another state of it.

use std::sync::{Arc, Mutex};

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Config;

use super::*;

type Held = Arc<Mutex<Secrets>>;

/// One Secret, and who asked how.
#[derive(Debug, Default)]
struct Secrets {
    data: Map<String, Value>,
    version: u64,
    immutable: bool,
    content_types: Vec<String>,
}

impl Secrets {
    fn as_json(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": "keys", "namespace": "music", "resourceVersion": self.version.to_string()},
            "data": self.data, "immutable": self.immutable,
        })
    }
}

fn failure(code: u16, reason: &str) -> Response {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason,
        "message": reason,
    });
    (axum::http::StatusCode::from_u16(code).unwrap(), Json(status)).into_response()
}

async fn read(State(held): State<Held>, Path(place): Path<(String, String)>) -> Response {
    if place != ("music".to_owned(), "keys".to_owned()) {
        return failure(404, "NotFound");
    }
    Json(held.lock().unwrap().as_json()).into_response()
}

async fn patch(
    State(held): State<Held>,
    headers: axum::http::HeaderMap,
    Json(patch): Json<Value>,
) -> Response {
    let mut held = held.lock().unwrap();
    held.content_types.push(headers["content-type"].to_str().unwrap().to_owned());
    if patch["metadata"]["resourceVersion"].as_str() != Some(&held.version.to_string()) {
        return failure(409, "Conflict");
    }
    for (name, value) in patch["data"].as_object().unwrap() {
        match value {
            Value::Null => held.data.remove(name),
            value => held.data.insert(name.clone(), value.clone()),
        };
    }
    held.version += 1;
    Json(held.as_json()).into_response()
}

/// A server with a Secret of these keys, and its writer.
async fn stand_in(keys: &[(&str, u8)]) -> (Held, KeySecret) {
    stagedoor_bootstrap::tls::install_provider();
    let data = keys.iter().map(|(name, fill)| ((*name).to_owned(), json!(twice(*fill)))).collect();
    let held = Arc::new(Mutex::new(Secrets { data, version: 7, ..Secrets::default() }));
    let routes = Router::new()
        .route("/api/v1/namespaces/{namespace}/secrets/{name}", get(read).patch(patch))
        .with_state(Arc::clone(&held));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    stagedoor_bootstrap::tasks::spawn("stand-in", async move { axum::serve(listener, routes).await });
    let client = Client::try_from(Config::new(format!("http://{address}").parse().unwrap())).unwrap();
    (held, KeySecret::with(client, "music/keys").unwrap())
}

/// A key file's content, and that once more as a Secret holds it.
fn twice(fill: u8) -> String {
    STANDARD.encode(content(fill).as_slice())
}

fn content(fill: u8) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(STANDARD.encode([fill; 32]).into_bytes())
}

#[tokio::test]
async fn a_version_is_added_activated_retired_and_removed() {
    let (held, secret) = stand_in(&[("1", 1)]).await;
    let names = || held.lock().unwrap().data.keys().cloned().collect::<Vec<_>>();
    let set = secret.read().await.unwrap();
    assert_eq!((set.revision.as_deref(), set.files["1"].as_slice()), (Some("7"), content(1).as_slice()));

    let add = KeyFileChange::Add("2.pending".to_owned(), content(2));
    secret.change(&set, vec![add]).await.unwrap();
    assert_eq!(names(), ["1", "2.pending"]);
    let set = secret.read().await.unwrap();
    assert_eq!(set.versions(&secret).unwrap().len(), 2);

    let renames = [("2.pending", "2"), ("1", "1.retired")];
    let renames =
        renames.map(|(from, to)| KeyFileChange::Rename { from: from.to_owned(), to: to.to_owned() });
    secret.change(&set, renames.into()).await.unwrap();
    assert_eq!(names(), ["1.retired", "2"]);
    assert_eq!(held.lock().unwrap().data["2"], twice(2), "the key is the same under another name");

    let set = secret.read().await.unwrap();
    secret.change(&set, vec![KeyFileChange::Remove("1.retired".to_owned())]).await.unwrap();
    assert_eq!(names(), ["2"]);
    let told = held.lock().unwrap().content_types.clone();
    assert!(told.iter().all(|kind| kind == "application/merge-patch+json"), "{told:?}");
}

#[tokio::test]
async fn who_comes_second_is_told_and_undoes_nothing() {
    let (held, secret) = stand_in(&[("1", 1)]).await;
    let seen = secret.read().await.unwrap();
    let add = |fill| vec![KeyFileChange::Add("2.pending".to_owned(), content(fill))];
    secret.change(&seen, add(2)).await.unwrap();
    let second = secret.change(&seen, add(9)).await;
    assert!(matches!(&second, Err(KeyPlaceError::Conflict(place)) if place == "music/keys"), "{second:?}");
    assert_eq!(held.lock().unwrap().data["2.pending"], twice(2));
}

#[tokio::test]
async fn what_cannot_be_is_said_without_a_key() {
    let (held, secret) = stand_in(&[("1", 1), ("readme", 1)]).await;
    let set = secret.read().await.unwrap();
    let damaged = set.versions(&secret).unwrap_err();
    assert!(matches!(damaged, KeyPlaceError::Damaged(..)), "{damaged:?}");
    assert!(!format!("{damaged:?}").contains(&twice(1)));
    held.lock().unwrap().immutable = true;
    let refused = secret.read().await.unwrap_err().to_string();
    assert_eq!(refused, "the Secret music/keys is immutable: keys cannot be rotated in it");

    let client = secret.secrets.clone().into_client();
    let absent = KeySecret::with(client.clone(), "music/other").unwrap().read().await;
    assert!(matches!(&absent, Err(KeyPlaceError::Secret(place, _)) if place == "music/other"), "{absent:?}");
    for named in ["keys", "/keys", "music/", "a/b/c", ""] {
        assert!(matches!(KeySecret::with(client.clone(), named), Err(KeyPlaceError::Unusable(_))), "{named}");
    }
}
