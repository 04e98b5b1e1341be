//! A stand-in of the API server of Kubernetes, in memory: a tower service with resource versions, generations, finalizers,
//! merge patches, server-side apply, watches, and the collection of what belongs to something gone. It checks no schemas.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::{StreamExt, stream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::merging::{apply, merge};

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;
/// Resource (`group/plural`), namespace, name.
type Key = (String, String, String);

/// The stand-in. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Cluster {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) objects: BTreeMap<Key, Value>,
    /// What each manager applied last, by object and subresource.
    applied: BTreeMap<(Key, String, String), Value>,
    history: Vec<(u64, String, &'static str, Value)>,
    version: u64,
    uids: u64,
    /// Method and a part of the path of requests that are refused for now, and with what.
    pub(crate) refused: Vec<(Method, &'static str, u16)>,
    /// Whether a dry run is answered as if nothing were refused.
    pub(crate) dry_runs_pass: bool,
    /// Method and path of every request that writes.
    pub(crate) writes: Vec<String>,
}

struct Place {
    resource: String,
    api_version: String,
    namespace: String,
    name: Option<String>,
    subresource: String,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self { state: Arc::default(), changed: watch::channel(0).0 }
    }

    pub(crate) fn client(&self) -> kube::Client {
        let cluster = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let cluster = cluster.clone();
            async move { Ok::<_, Infallible>(cluster.answer(request).await) }
        });
        kube::Client::new(service, "stagedoor-system")
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn answer(&self, request: Request<Body>) -> Answer {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
        let Some(place) = place(&path) else { return failure(404, "NotFound", &path) };
        let parameter = |name: &str| {
            url_parameters(&query).into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
        };
        if parameter("watch").as_deref() == Some("true") {
            let since = parameter("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
            return self.watch(place, since);
        }
        let kind = parts.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let answer = {
            let mut state = self.state();
            let refused =
                state.refused.iter().find(|(method, part, _)| *method == parts.method && path.contains(part));
            let dry_run = parameter("dryRun").as_deref() == Some("All");
            if let Some((_, _, code)) = refused.filter(|_| !dry_run || !state.dry_runs_pass) {
                return failure(*code, "Refused", "refused for now");
            }
            let before = dry_run.then(|| state.image());
            let wrote = (parts.method != Method::GET && !dry_run).then(|| format!("{} {path}", parts.method));
            state.writes.extend(wrote);
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let manager = parameter("fieldManager").unwrap_or_default();
            let answer = match (&parts.method, kind) {
                (&Method::GET, _) => state.read(&place),
                (&Method::POST, _) => state.create(&place, body),
                (&Method::PUT, _) => state.replace(&place, body),
                (&Method::PATCH, "application/apply-patch+yaml") => state.apply(&place, body, &manager),
                (&Method::PATCH, _) => state.merge(&place, &body),
                (&Method::DELETE, _) => state.delete(&place),
                _ => failure(405, "MethodNotAllowed", "no such method"),
            };
            if let Some(before) = before {
                state.restore(before);
            }
            answer
        };
        self.changed.send_replace(self.state().version);
        answer
    }

    fn watch(&self, place: Place, since: u64) -> Answer {
        let (state, changed) = (Arc::clone(&self.state), self.changed.subscribe());
        let events = stream::unfold((since, changed), move |(mut since, mut changed)| {
            let (state, resource, namespace) =
                (Arc::clone(&state), place.resource.clone(), place.namespace.clone());
            async move {
                loop {
                    let lines = {
                        let state = state.lock().unwrap();
                        let fits = |object: &Value| {
                            namespace.is_empty() || object["metadata"]["namespace"] == namespace.as_str()
                        };
                        let new = state.history.iter().filter(|(version, of, _, object)| {
                            *version > since && *of == resource && fits(object)
                        });
                        let lines: Vec<_> = new
                            .map(|(_, _, kind, object)| json!({"type": kind, "object": object}).to_string())
                            .collect();
                        since = state.version;
                        lines
                    };
                    if !lines.is_empty() {
                        return Some((
                            Ok(Frame::data(Bytes::from(lines.join("\n") + "\n"))),
                            (since, changed),
                        ));
                    }
                    if changed.changed().await.is_err() {
                        return None;
                    }
                }
            }
        });
        Response::new(BodyExt::boxed_unsync(StreamBody::new(events.boxed())))
    }
}

/// What a dry run puts back: objects, what was applied, the length of the history, version and count of uids.
type Image = (BTreeMap<Key, Value>, BTreeMap<(Key, String, String), Value>, usize, u64, u64);

impl State {
    fn image(&self) -> Image {
        (self.objects.clone(), self.applied.clone(), self.history.len(), self.version, self.uids)
    }

    fn restore(&mut self, image: Image) {
        self.history.truncate(image.2);
        (self.objects, self.applied, _, self.version, self.uids) = image;
    }

    fn read(&self, place: &Place) -> Answer {
        if place.name.is_some() {
            return match self.objects.get(&place.key()) {
                Some(object) => success(object),
                None => failure(404, "NotFound", "not found"),
            };
        }
        let fits =
            |key: &Key| key.0 == place.resource && (place.namespace.is_empty() || key.1 == place.namespace);
        let items: Vec<_> =
            self.objects.iter().filter(|(key, _)| fits(key)).map(|(_, object)| object).collect();
        success(&json!({
            "apiVersion": place.api_version, "kind": "List",
            "metadata": {"resourceVersion": self.version.to_string()}, "items": items,
        }))
    }

    fn create(&mut self, place: &Place, mut object: Value) -> Answer {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let key = (place.resource.clone(), place.namespace.clone(), name);
        if self.objects.contains_key(&key) {
            return failure(409, "AlreadyExists", "there is one");
        }
        self.begin(place, &mut object);
        self.store(key, object, "ADDED")
    }

    fn begin(&mut self, place: &Place, object: &mut Value) {
        self.uids += 1;
        let metadata = object["metadata"].as_object_mut().expect("metadata");
        metadata.insert("namespace".to_owned(), json!(place.namespace));
        metadata.insert("uid".to_owned(), json!(format!("00000000-0000-4000-8000-{:012}", self.uids)));
        let made = 1_790_000_000 + i64::try_from(self.uids).unwrap();
        let made = chrono::DateTime::from_timestamp(made, 0)
            .unwrap()
            .to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        metadata.insert("creationTimestamp".to_owned(), json!(made));
        metadata.insert("generation".to_owned(), json!(1));
        object.as_object_mut().expect("an object").remove("status");
    }

    fn replace(&mut self, place: &Place, object: Value) -> Answer {
        let Some(present) = self.objects.get(&place.key()).cloned() else {
            return failure(404, "NotFound", "not found");
        };
        let seen = &object["metadata"]["resourceVersion"];
        if !seen.is_null() && *seen != present["metadata"]["resourceVersion"] {
            return failure(409, "Conflict", "it was changed");
        }
        self.changed(place, &present, object)
    }

    fn merge(&mut self, place: &Place, patch: &Value) -> Answer {
        let Some(present) = self.objects.get(&place.key()).cloned() else {
            return failure(404, "NotFound", "not found");
        };
        let seen = &patch["metadata"]["resourceVersion"];
        if !seen.is_null() && *seen != present["metadata"]["resourceVersion"] {
            return failure(409, "Conflict", "it was changed");
        }
        let mut object = present.clone();
        merge(&mut object, patch);
        self.changed(place, &present, object)
    }

    fn apply(&mut self, place: &Place, patch: Value, manager: &str) -> Answer {
        let key = place.key();
        let present = self.objects.get(&key).cloned();
        let metadata = &patch["metadata"];
        if let Some(present) = &present {
            let differs =
                |field: &str| !metadata[field].is_null() && metadata[field] != present["metadata"][field];
            if differs("resourceVersion") || differs("uid") {
                return failure(409, "Conflict", "it was changed");
            }
        } else if !place.subresource.is_empty() {
            return failure(404, "NotFound", "not found");
        }
        let of = (key.clone(), manager.to_owned(), place.subresource.clone());
        let before = self.applied.insert(of, patch.clone()).unwrap_or_default();
        let Some(present) = present else {
            let mut object = patch;
            self.begin(place, &mut object);
            return self.store(key, object, "ADDED");
        };
        let mut object = present.clone();
        if place.subresource.is_empty() {
            apply(&mut object, &before, &patch);
        } else {
            let (mut status, none) = (object["status"].clone(), Value::Null);
            apply(&mut status, before.get("status").unwrap_or(&none), &patch["status"]);
            object["status"] = status;
        }
        self.changed(place, &present, object)
    }

    /// Stores a changed object as the server would: what belongs to it is kept, its generation counted.
    fn changed(&mut self, place: &Place, present: &Value, mut object: Value) -> Answer {
        for field in [
            "uid",
            "creationTimestamp",
            "generation",
            "resourceVersion",
            "namespace",
            "name",
            "deletionTimestamp",
        ] {
            object["metadata"][field] = present["metadata"][field].clone();
        }
        object["metadata"].as_object_mut().expect("metadata").retain(|_, value| !value.is_null());
        if place.subresource.is_empty() {
            object["status"] = present["status"].clone();
        } else {
            object["spec"] = present["spec"].clone();
        }
        object.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        if object == *present {
            return success(present);
        }
        if object["spec"] != present["spec"] {
            let generation = present["metadata"]["generation"].as_i64().unwrap_or(1);
            object["metadata"]["generation"] = json!(generation + 1);
        }
        let released = object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
        if !object["metadata"]["deletionTimestamp"].is_null() && released {
            return self.remove(place.key());
        }
        self.store(place.key(), object, "MODIFIED")
    }

    fn delete(&mut self, place: &Place) -> Answer {
        let key = place.key();
        let Some(mut object) = self.objects.get(&key).cloned() else {
            return failure(404, "NotFound", "not found");
        };
        if object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty) {
            return self.remove(key);
        }
        if object["metadata"]["deletionTimestamp"].is_null() {
            object["metadata"]["deletionTimestamp"] = json!("2026-11-22T00:00:00Z");
            let generation = object["metadata"]["generation"].as_i64().unwrap_or(1);
            object["metadata"]["generation"] = json!(generation + 1);
        }
        self.store(key, object, "MODIFIED")
    }

    fn remove(&mut self, key: Key) -> Answer {
        let Some(mut object) = self.objects.remove(&key) else {
            return failure(404, "NotFound", "not found");
        };
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.history.push((self.version, key.0, "DELETED", object.clone()));
        self.applied.retain(|(of, _, _), _| of.2 != key.2 || of.1 != key.1);
        let uid = object["metadata"]["uid"].clone();
        let owned = |object: &Value| {
            object["metadata"]["ownerReferences"]
                .as_array()
                .is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == uid))
        };
        let dependents: Vec<_> =
            self.objects.iter().filter(|(_, object)| owned(object)).map(|(key, _)| key.clone()).collect();
        for dependent in dependents {
            self.remove(dependent);
        }
        success(&object)
    }

    fn store(&mut self, key: Key, mut object: Value, kind: &'static str) -> Answer {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.history.push((self.version, key.0.clone(), kind, object.clone()));
        let answer = success(&object);
        self.objects.insert(key, object);
        answer
    }
}

impl Place {
    fn key(&self) -> Key {
        (self.resource.clone(), self.namespace.clone(), self.name.clone().unwrap_or_default())
    }
}

/// `/api/v1/…` or `/apis/GROUP/VERSION/…`.
fn place(path: &str) -> Option<Place> {
    let mut parts = path.trim_matches('/').split('/').map(str::to_owned).peekable();
    let (group, version) = match parts.next()?.as_str() {
        "api" => (String::new(), parts.next()?),
        "apis" => (parts.next()?, parts.next()?),
        _ => return None,
    };
    let mut namespace = String::new();
    if parts.peek().is_some_and(|part| part == "namespaces") {
        parts.next();
        namespace = parts.next().unwrap_or_default();
    }
    // The namespaces themselves.
    let plural = parts.next().unwrap_or_else(|| "namespaces".to_owned());
    let api_version = if group.is_empty() { version } else { format!("{group}/{version}") };
    Some(Place {
        resource: format!("{group}/{plural}"),
        api_version,
        namespace,
        name: parts.next(),
        subresource: parts.next().unwrap_or_default(),
    })
}

fn url_parameters(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn success(object: &Value) -> Answer {
    answer(StatusCode::OK, object)
}

fn failure(code: u16, reason: &str, message: &str) -> Answer {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message,
    });
    answer(StatusCode::from_u16(code).unwrap(), &status)
}

fn answer(code: StatusCode, body: &Value) -> Answer {
    let body = Full::new(Bytes::from(body.to_string()));
    let mut answer = Response::new(BodyExt::boxed_unsync(body));
    *answer.status_mut() = code;
    answer.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    answer
}
