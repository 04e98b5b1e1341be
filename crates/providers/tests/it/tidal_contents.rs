//! A playlist that changes while it is read, and answers that no well-behaved Tidal gives, from a scripted server.

use serde_json::{Value, json};
use stagedoor_domain::music::PlaylistItem;
use stagedoor_domain::{Provider, TenantContext};
use stagedoor_providers::{
    Access, Contents, Edit, Edited, Entry, ProviderApp, ProviderError, ProviderHttp, Providers, Urgency,
};

use crate::fixture::{FrozenClock, app, context, options};
use crate::scripted::{self, Scripted};

struct Tidal {
    server: Scripted,
    app: ProviderApp,
    providers: Providers,
    ctx: TenantContext,
}

impl Tidal {
    async fn start(answers: Vec<Value>) -> Self {
        let answers = answers.iter().map(|body| scripted::json("200 OK", "", &body.to_string()));
        let server = Scripted::start(answers.collect()).await;
        let app = app(Provider::Tidal, server.root.clone(), server.root.clone());
        let options = options(&std::sync::Arc::new(FrozenClock::default()));
        let providers = Providers::new(ProviderHttp::new(options).unwrap());
        Self { server, app, providers, ctx: context() }
    }

    async fn contents(&self) -> Result<Contents, ProviderError> {
        let token = "token".into();
        let access = Access {
            app: &self.app,
            token: &token,
            country: None,
            deadline: None,
            urgency: Urgency::Call,
            sent: None,
        };
        let playlist = "tidal:playlist:p".parse().unwrap();
        self.providers.get(Provider::Tidal).playlist_contents(&self.ctx, &access, &playlist, 100).await
    }

    async fn edit(&self, current: &[Entry], edit: &Edit) -> Result<Edited, ProviderError> {
        let token = "token".into();
        let access = Access {
            app: &self.app,
            token: &token,
            country: None,
            deadline: None,
            urgency: Urgency::Call,
            sent: None,
        };
        let playlist = "tidal:playlist:p".parse().unwrap();
        let tidal = self.providers.get(Provider::Tidal);
        tidal.edit_playlist(&self.ctx, &access, &playlist, (current, None), edit, "key").await
    }
}

fn entry(id: &str, kind: &str) -> Value {
    json!({ "id": id, "type": kind, "meta": { "itemId": format!("item-{id}"), "addedAt": null } })
}

/// The playlist at a version, its first page holding `items`.
fn playlist(version: &str, items: &[Value], next: Option<&str>) -> Value {
    let links = next.map_or_else(
        || json!({ "self": "/" }),
        |next| json!({ "self": "/", "next": format!("https://elsewhere.example/?page%5Bcursor%5D={next}") }),
    );
    json!({ "links": { "self": "/" }, "data": {
        "id": "p", "type": "playlists",
        "attributes": { "name": "Mine", "lastModifiedAt": version, "playlistType": "A NEW TYPE" },
        "relationships": { "items": { "links": links, "data": items } },
    } })
}

fn page(items: &[Value]) -> Value {
    json!({ "data": items, "links": { "self": "/" } })
}

fn read_at(from: &str, to: &str) -> Vec<Value> {
    vec![
        playlist(from, &[entry("1", "tracks")], Some("c")),
        page(&[entry("2", "videos")]),
        playlist(to, &[], None),
    ]
}

#[tokio::test]
async fn a_playlist_that_changed_meanwhile_is_read_once_more() {
    let tidal = Tidal::start([read_at("1", "2"), read_at("2", "2")].concat()).await;
    let contents = tidal.contents().await.unwrap();
    assert_eq!(contents.playlist.version.as_deref(), Some("2"));
    let names: Vec<_> = contents.items.iter().map(|item| item.name().unwrap()).collect();
    assert_eq!(names, ["tidal:track:1", "tidal:video:2"]);
    let requests = tidal.server.requests();
    assert_eq!(requests.len(), 6);
    assert!(requests[1].contains("page%5Bcursor%5D=c") && !requests[1].contains("elsewhere"));
}

#[tokio::test]
async fn a_playlist_that_keeps_changing_is_a_conflict() {
    let tidal = Tidal::start([read_at("1", "2"), read_at("2", "3")].concat()).await;
    let error = tidal.contents().await.unwrap_err();
    assert!(matches!(error, ProviderError::Changed { .. }), "{error:?}");
    assert!(error.public().message.contains("changing"), "{}", error.public().message);
    assert_eq!(tidal.server.requests().len(), 6);
}

#[tokio::test]
async fn one_document_is_one_version() {
    let hologram = json!({ "id": "3", "type": "holograms", "meta": { "itemId": "item-3" } });
    let nameless = json!({ "id": "a b", "type": "tracks" });
    let items = [entry("1", "tracks"), hologram, nameless];
    let tidal = Tidal::start(vec![playlist("1", &items, None)]).await;
    let contents = tidal.contents().await.unwrap();
    let names: Vec<_> = contents.items.iter().map(PlaylistItem::name).collect();
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(names, [named("tidal:track:1"), named("tidal:holograms:3"), None]);
    assert_eq!(tidal.server.requests().len(), 1);
}

#[tokio::test]
async fn a_list_that_grows_without_end_is_cut_off() {
    let full: Vec<Value> = (0..60).map(|number| entry(&number.to_string(), "tracks")).collect();
    let more =
        |cursor: &str| json!({ "data": full, "links": { "self": "/", "meta": { "nextCursor": cursor } } });
    let tidal = Tidal::start(vec![playlist("1", &full, Some("a")), more("b"), more("c")]).await;
    let error = tidal.contents().await.unwrap_err();
    assert!(matches!(error, ProviderError::UnsupportedByProvider { .. }), "{error:?}");
    assert_eq!(tidal.server.requests().len(), 2);
}

#[tokio::test]
async fn an_answer_that_lists_nothing_adds_nothing() {
    let tidal = Tidal::start(vec![json!({ "data": [], "links": { "self": "/" } })]).await;
    let edit = Edit::Insert { at: 0, names: vec!["tidal:track:1".into(), "tidal:video:2".into()] };
    let edited = tidal.edit(&[], &edit).await.unwrap();
    assert!(edited.entries.is_empty());
    // A video has no reference, so only the entries tell that it is not in.
    let skipped: Vec<_> = edited.skipped.iter().map(|skipped| skipped.reason.as_str()).collect();
    assert_eq!(skipped, ["unknown"]);
    let request = &tidal.server.requests()[0];
    assert!(request.contains("idempotency-key: key-"), "{request}");
    assert!(request.contains(r#"{"data":[{"id":"1","type":"tracks"},{"id":"2","type":"videos"}]}"#));
}

#[tokio::test]
async fn an_entry_without_an_id_is_not_guessed_at() {
    let bare = json!({ "data": [{ "id": "1", "type": "tracks" }], "links": { "self": "/" } });
    let tidal = Tidal::start(vec![bare]).await;
    let error = tidal.edit(&[Entry::new("tidal:track:1")], &Edit::Remove(vec![0])).await.unwrap_err();
    assert!(matches!(error, ProviderError::InvalidAnswer { uncertain: false, .. }), "{error:?}");
    assert_eq!(tidal.server.requests().len(), 1);
}
