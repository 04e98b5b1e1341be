//! Queues that people share: who may do what, what many do at once, what works while a service is down, how a queue gets
//! to a playlist or a player, who hears of changes, and what stays of someone who was erased.

mod commits;
mod edits;
mod listening;
mod people;

use serde_json::{Value, json};
use stagedoor_domain::UserId;
use stagedoor_testkit::{Answer, Client, Inhabited, KeySpec, Stage, TestGateway};

use crate::music;

pub(crate) const EDIT: &str = "shared_queue_edit";
pub(crate) const GET: &str = "shared_queue_get";
pub(crate) const COMMIT: &str = "shared_queue_commit";

/// Someone in a queue.
struct Member {
    user: UserId,
    client: Client,
}

/// A queue of Ada's, and people who share it.
struct Band<'a> {
    stage: &'a Stage,
    ada: &'a Inhabited<'a>,
    owner: Client,
    queue: String,
    tracks: Vec<String>,
}

impl<'a> Band<'a> {
    async fn form(stage: &'a Stage, gateway: &TestGateway, ada: &'a Inhabited<'a>) -> Self {
        Self::with(stage, gateway, ada, json!({})).await
    }

    async fn with(stage: &'a Stage, gateway: &TestGateway, ada: &'a Inhabited<'a>, more: Value) -> Self {
        let owner = music::client(gateway, ada);
        let mut wanted = json!({ "action": "create", "name": "Friday" });
        wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = owner.call(EDIT, wanted).await;
        let tracks = music::known_tracks(stage, stagedoor_domain::Provider::Spotify);
        let tracks = tracks.iter().map(|track| format!("spotify:track:{}", track.id)).collect();
        Self { stage, ada, owner, queue: made["queue"].as_str().unwrap().to_owned(), tracks }
    }

    /// Someone else of the tenant, with that role; in no queue without one.
    async fn join(&self, gateway: &TestGateway, name: &str, role: Option<&str>) -> Member {
        let user = self.ada.tenant.person(name).await;
        let key = self.ada.tenant.key(&KeySpec::for_user(user)).await;
        if let Some(role) = role {
            self.invite(user, role).await;
        }
        Member { user, client: gateway.client(self.ada.tenant.slug(), &key) }
    }

    async fn invite(&self, user: UserId, role: &str) {
        self.call(json!({ "action": "invite", "person": user, "role": role })).await;
    }

    fn on_it(&self, arguments: Value) -> Value {
        let Value::Object(mut members) = arguments else { panic!("no members: {arguments}") };
        members.insert("queue".to_owned(), json!(self.queue));
        Value::Object(members)
    }

    async fn call(&self, arguments: Value) -> Value {
        self.owner.call(EDIT, self.on_it(arguments)).await
    }

    async fn tool(&self, client: &Client, arguments: Value) -> Answer {
        client.tool(EDIT, self.on_it(arguments)).await
    }

    /// The code of a refusal, or nothing.
    async fn code(&self, client: &Client, arguments: Value) -> Option<String> {
        self.tool(client, arguments).await.code()
    }

    /// Puts known tracks in, and answers their items.
    async fn add(&self, numbers: std::ops::Range<usize>) -> Vec<String> {
        let added = self.call(json!({ "action": "add", "tracks": self.tracks[numbers] })).await;
        texts(&added["items"])
    }

    async fn get(&self) -> Value {
        self.owner.call(GET, json!({ "queue": self.queue })).await
    }

    /// The items as they stand.
    async fn order(&self) -> Vec<String> {
        items(&self.get().await)
    }
}

pub(crate) fn items(shown: &Value) -> Vec<String> {
    shown["items"].as_array().unwrap().iter().map(|item| text(&item["item"])).collect()
}

pub(crate) fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(text).collect()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
