//! Two tenants on one installation: no table, no tool, no key in Redis and no answer mixes them.

mod fixtures;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;
use serde_json::{Value, json};
use stagedoor_domain::policy::Quota;
use stagedoor_domain::{Provider, ToolName};
use stagedoor_testkit::{Client, Era, Inhabited, KeySpec, Stage, TestGateway};

use self::fixtures::FIXTURES;
use crate::music::{self, Music};

/// Tools for which another tenant's things may be answered with data. May only get shorter.
const EXCEPTIONS: &[ToolName] = &[];

/// Every tool once on both providers, for each of the tenants; then an account that is used once, because the last
/// tool unlinked the first.
async fn mixed_run(
    stage: &Stage,
    gateway: &TestGateway,
    tenants: &[&Inhabited<'_>],
) -> Vec<BTreeMap<Provider, Music>> {
    let mut made = Vec::new();
    for tenant in tenants {
        let client = music::client(gateway, tenant);
        let mut of_tenant = BTreeMap::new();
        for provider in Provider::ALL {
            let music = Music::of_all_tools(stage, &client, *provider).await;
            // Unlinking takes jobs along, too.
            let unlink = ToolName::AccountUnlink;
            let others =
                ToolName::ALL.iter().filter(|tool| **tool != unlink && music::has(*provider, **tool));
            for tool in others.chain([&unlink]) {
                client.call(tool.as_str(), music.arguments(*tool)).await;
            }
            tenant.tenant.link(tenant.user, *provider).await;
            client.call("playlists_list", music.arguments(ToolName::PlaylistsList)).await;
            of_tenant.insert(*provider, music);
        }
        made.push(of_tenant);
    }
    made
}

#[tokio::test]
async fn every_table_shows_a_tenant_its_own_rows_only() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let allowed = music::everything_allowed;
    let (ada, bob) = (stage.inhabit_with("ada", allowed()).await, stage.inhabit_with("bob", allowed()).await);
    mixed_run(&stage, &gateway, &[&ada, &bob]).await;
    gateway.flush_audit().await;
    for (_, fixture) in FIXTURES {
        for tenant in [&ada, &bob] {
            stage.sql(&fixture.replace("$1", &tenant.tenant.id())).await;
        }
    }
    let tables = stage
        .sql(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') \
            AND NOT relispartition AND relname NOT IN \
            ('storage_version', 'keeper_runs', 'replicas', 'key_encryption_keys', 'admin_keys', '_sqlx_migrations') ORDER BY 1",
        )
        .await;
    assert!(tables.lines().count() >= 11, "{tables}");
    for table in tables.lines() {
        let held = stage.sql(&format!("SELECT count(DISTINCT tenant_id) FROM {table}")).await;
        assert!(
            held.parse::<u32>().unwrap() >= 2,
            "{table} has no rows of two tenants: it needs a fixture here"
        );
        for role in ["stagedoor_app", "stagedoor_keeper"] {
            let may = stage.sql(&format!("SELECT has_table_privilege('{role}', '{table}', 'SELECT')")).await;
            // The keeper goes from tenant to tenant, and so sees the list of them.
            if may == "f" || (role, table) == ("stagedoor_keeper", "tenants") {
                continue;
            }
            let seen = |tenant: &str| {
                format!(
                    "BEGIN; SET LOCAL ROLE {role}; SET LOCAL stagedoor.tenant_id = '{tenant}'; \
                    SELECT count(*) > 0, count(*) FILTER (WHERE tenant_id::text <> '{tenant}') FROM {table}; COMMIT"
                )
            };
            assert_eq!(stage.sql(&seen(&ada.tenant.id())).await, "t|0", "{role} in {table} as ada");
            assert_eq!(stage.sql(&seen(&bob.tenant.id())).await, "t|0", "{role} in {table} as bob");
            let nobody = format!("BEGIN; SET LOCAL ROLE {role}; SELECT count(*) FROM {table}; COMMIT");
            assert_eq!(stage.sql(&nobody).await, "0", "{role} in {table} without a tenant");
        }
    }
}

/// Calls of `tool` that name things of `owner`. A tool that can name none is called as it is.
fn foreign_calls(tool: ToolName, owner: &Inhabited<'_>, music: &Music, cursors: &Cursors) -> Vec<Value> {
    let (provider, account) = (music.provider, owner.account(music.provider).id.to_string());
    let with = |mut arguments: Value, name: &str, value: &Value| {
        arguments[name] = value.clone();
        arguments
    };
    let (own, account) = (|| music.arguments(tool), json!(account));
    match tool {
        ToolName::Search => vec![json!({ "query": "a", "provider": provider, "cursor": cursors.search })],
        ToolName::PlaylistsList | ToolName::AccountLink | ToolName::AccountUnlink | ToolName::Profile => {
            vec![json!({ "account": account }), json!({ "provider": provider, "account": account })]
        }
        // Tidal has no private playlists: by its reference anyone may read one, through an account of their own.
        ToolName::PlaylistGet
        | ToolName::PlaylistVersions
        | ToolName::PlaylistDiff
        | ToolName::PlaylistTransfer => {
            let mut calls = vec![with(own(), "account", &account)];
            if tool == ToolName::PlaylistGet {
                calls.push(with(own(), "cursor", &cursors.playlist));
            }
            if tool == ToolName::PlaylistTransfer {
                calls.push(with(own(), "to_account", &json!(owner.account(music::elsewhere(provider)).id)));
                calls.push(json!({ "job": music.job(), "accept_best": true }));
            }
            if provider == Provider::Spotify {
                calls.push(own());
            }
            calls
        }
        ToolName::PlaylistUpdate
        | ToolName::PlaylistDelete
        | ToolName::PlaylistAdd
        | ToolName::PlaylistRemove
        | ToolName::PlaylistReorder
        | ToolName::PlaylistReplace
        | ToolName::PlaylistUndo
        | ToolName::PlaylistDedupe => vec![own(), with(own(), "account", &account)],
        ToolName::PlaylistCreate => vec![json!({ "name": "Intruder", "account": account })],
        ToolName::MixesList
        | ToolName::MixItems
        | ToolName::LibraryList
        | ToolName::LibraryContains
        | ToolName::LibrarySave
        | ToolName::LibraryRemove
        | ToolName::TopItems
        | ToolName::RecentlyPlayed
        | ToolName::PlaybackState
        | ToolName::Devices
        | ToolName::PlaybackControl
        | ToolName::QueueAdd => vec![with(own(), "account", &account)],
        ToolName::JobGet
        | ToolName::JobCancel
        | ToolName::ConsentSet
        | ToolName::SharedQueueEdit
        | ToolName::SharedQueueCommit => vec![own()],
        ToolName::SharedQueueGet => {
            vec![json!({ "queue": music.queue() }), json!({ "queue": music.queue(), "history": true })]
        }
        ToolName::TrackGet
        | ToolName::AlbumGet
        | ToolName::ArtistGet
        | ToolName::ArtistAlbums
        | ToolName::Similar
        | ToolName::Radio
        | ToolName::SearchAll
        | ToolName::Resolve => Vec::new(),
        ToolName::PreferencesSet => vec![json!({ "preferences": {} })],
        ToolName::AccountsList
        | ToolName::PreferencesGet
        | ToolName::ConsentGet
        | ToolName::ExportMyData
        | ToolName::DeleteMyData
        | ToolName::PrivacyRequests
        | ToolName::AuditQuery
        | ToolName::UsageStatus
        | ToolName::HistoryStatus
        | ToolName::HistoryQuery
        | ToolName::Insights => vec![json!({})],
    }
}

struct Cursors {
    search: Value,
    playlist: Value,
}

#[tokio::test]
async fn no_tool_takes_another_tenants_things() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let allowed = music::everything_allowed;
    let (ada, bob) = (stage.inhabit_with("ada", allowed()).await, stage.inhabit_with("bob", allowed()).await);
    let (thief, owner) = (music::client(&gateway, &ada), music::client(&gateway, &bob));
    for provider in Provider::ALL {
        let music = Music::of_all_tools(&stage, &owner, *provider).await;
        let cursors = Cursors {
            search: owner.call("search", json!({ "query": "a", "provider": provider })).await["tracks"]["next_cursor"]
                .clone(),
            playlist: owner.call("playlist_get", json!({ "ref": music.playlist })).await["next_cursor"].clone(),
        };
        assert!(cursors.search.is_string() && cursors.playlist.is_string());
        // Something is twice in it, so that a foreign playlist_dedupe has something to take out.
        owner.call("playlist_add", json!({ "ref": music.playlist, "tracks": [music.track] })).await;
        let before = owner.call("playlist_get", json!({ "ref": music.playlist })).await;
        for tool in ToolName::ALL.iter().filter(|tool| !EXCEPTIONS.contains(tool)) {
            for arguments in foreign_calls(*tool, &bob, &music, &cursors) {
                let answer = thief.tool(tool.as_str(), arguments.clone()).await;
                let text = answer.text();
                if arguments != json!({}) && !matches!(tool, ToolName::PreferencesSet | ToolName::ConsentSet)
                {
                    let code =
                        answer.code().unwrap_or_else(|| panic!("{tool} {arguments} was answered: {text}"));
                    let looks_missing = [
                        "account_not_linked",
                        "item_not_found",
                        "invalid_cursor",
                        "provider_forbidden",
                        "job_unknown",
                        "version_unknown",
                        "queue_unknown",
                    ];
                    assert!(looks_missing.contains(&code.as_str()), "{tool} {arguments}: {text}");
                }
                for secret in [bob.tenant.id(), bob.user.to_string(), bob.account(*provider).account.clone()]
                {
                    assert!(!text.contains(&secret), "{tool} {arguments} shows {secret}: {text}");
                }
                // The trail tells what the tenant's own callers have named.
                let repeats_only_what_was_sent = *tool == ToolName::AuditQuery
                    || arguments.to_string().contains(&bob.account(*provider).id.to_string());
                assert!(
                    repeats_only_what_was_sent || !text.contains(&bob.account(*provider).id.to_string()),
                    "{text}"
                );
            }
        }
        let after = owner.call("playlist_get", json!({ "ref": music.playlist })).await;
        assert_eq!(after["items"], before["items"], "another tenant changed it");
    }
}

#[tokio::test]
async fn answers_are_not_shared_between_tenants_or_people() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let clients = [music::client(&gateway, &ada), music::client(&gateway, &bob)];
    let track =
        json!({ "ref": format!("spotify:track:{}", music::known_tracks(&stage, Provider::Spotify)[0].id) });
    for client in &clients {
        client.call("track_get", track.clone()).await;
        client.call("track_get", track.clone()).await;
    }
    let asked = stage.sandbox().requests(Provider::Spotify);
    assert_eq!(asked["GET /tracks/{id}"], 2, "one tenant was given what another had fetched, or asked twice");

    // Two people of one tenant: the catalogue is theirs together, playlists are not.
    let eve = ada.tenant.person("Eve").await;
    ada.tenant.link(eve, Provider::Spotify).await;
    let eve = gateway.client("ada", &ada.tenant.key(&KeySpec::for_user(eve)).await);
    eve.call("track_get", track).await;
    assert_eq!(stage.sandbox().requests(Provider::Spotify)["GET /tracks/{id}"], 2);
    clients[0].call("playlist_create", json!({ "name": "Ada's", "provider": "spotify" })).await;
    let of_ada = clients[0].call("playlists_list", json!({ "provider": "spotify" })).await;
    let of_eve = eve.call("playlists_list", json!({ "provider": "spotify" })).await;
    assert_eq!((of_ada["playlists"].as_array().unwrap().len(), &of_eve["playlists"]), (1, &json!([])));
}

#[tokio::test]
async fn every_key_in_redis_belongs_to_one_tenant_and_holds_no_private_text() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    // Limits that refill slowly, because a bucket that is full again leaves Redis.
    let mut settings = music::everything_allowed();
    for quotas in settings.limits.values_mut() {
        *quotas = vec![Quota::per_hour(3_000)];
    }
    let ada = stage.inhabit_with("ada", settings.clone()).await;
    let bob = stage.inhabit_with("bob", settings).await;
    mixed_run(&stage, &gateway, &[&ada, &bob]).await;
    let private = "Nobody else may read this";
    let client = music::client(&gateway, &ada);
    client.call("playlist_create", json!({ "name": private, "provider": "tidal" })).await;
    let listed = client.call("playlists_list", json!({ "provider": "tidal", "limit": 1 })).await;
    assert!(listed.to_string().contains(private), "{listed}");
    let failed = Client::new(gateway.address(), "ada", Some(&bob.key)).tool("usage_status", json!({})).await;
    assert_eq!(failed.status, 401);

    let mut redis =
        redis::Client::open(stage.redis().url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut redis).await.unwrap();
    let mut kinds: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    // Which tenants are worth warming up, and which replicas there are.
    let of_the_installation = ["sd:{cache}:tenants:", "sd:{replicas}:limit:v1"];
    for key in keys.iter().filter(|key| !of_the_installation.iter().any(|prefix| key.starts_with(prefix))) {
        let mut parts = key.splitn(4, ':');
        assert_eq!(parts.next(), Some("sd"), "{key}");
        let tenant = parts.next().unwrap().to_owned();
        kinds.entry(parts.next().unwrap().to_owned()).or_default().insert(tenant);
        assert!(!key.contains("sd_"), "an API key in {key}");
    }
    let (ada, bob) = (ada.tenant.id(), bob.tenant.id());
    let plain = BTreeSet::from([ada.clone(), bob.clone()]);
    let tagged: BTreeSet<String> = plain.iter().map(|id| format!("{{{id}}}")).collect();
    for (kind, tenants) in &kinds {
        match kind.as_str() {
            "generation" | "entries" => assert_eq!(*tenants, plain, "{kind}"),
            // Answers spread over all slots; what is counted of them keeps together.
            "cache" => {
                assert!(tenants.iter().all(|id| plain.contains(id) || tagged.contains(id)), "{tenants:?}");
            }
            // Failures at no existing key count for nobody.
            "attempts" => assert!(
                tenants.iter().all(|id| tagged.contains(id) || id.starts_with("{00000000-")),
                "{tenants:?}"
            ),
            _ => assert_eq!(*tenants, tagged, "{kind}"),
        }
    }
    assert!(kinds.len() >= 4, "cache, generations, limits and attempts: {:?}", kinds.keys());
    for key in keys.iter().filter(|key| key.contains(":cache:v2:")) {
        let value: Vec<u8> = redis::cmd("GET").arg(key).query_async(&mut redis).await.unwrap();
        assert!(!value.windows(private.len()).any(|part| part == private.as_bytes()), "{key} is readable");
    }
}

#[tokio::test]
async fn ten_thousand_calls_under_equal_ids_reach_nobody_else() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let tenants = [stage.inhabit("ada").await, stage.inhabit("bob").await];
    let mut clients = Vec::new();
    for tenant in &tenants {
        for (gateway, era) in gateways.iter().zip([Era::Modern, Era::Legacy("2025-06-18")]) {
            clients.push((tenant.tenant.slug(), music::client(gateway, tenant).speaking(era)));
        }
        let name = format!("of {}", tenant.tenant.slug());
        clients[clients.len() - 1]
            .1
            .call("playlist_create", json!({ "name": name, "provider": "spotify" }))
            .await;
    }
    for (_, client) in &clients {
        client.call("usage_status", json!({})).await;
    }
    let wrong = futures_util::stream::iter(0..10_000_usize)
        .map(|number| {
            let (slug, client) = &clients[number % 4];
            async move {
                let params = match number / 4 % 8 {
                    0 => json!({ "name": "usage_status", "arguments": {} }),
                    _ => json!({ "name": "playlists_list", "arguments": { "provider": "spotify" } }),
                };
                let id = number / 4;
                let answer = client.send(&client.message(json!(id), "tools/call", params)).await.unwrap();
                let json = answer.json();
                let structured = &json["result"]["structuredContent"];
                let of_whom = match structured["tenant"].as_str() {
                    Some(tenant) => format!("of {tenant}"),
                    None => structured["playlists"][0]["name"].as_str().unwrap_or_default().to_owned(),
                };
                let right = json["id"] == id && of_whom == format!("of {slug}");
                (!right).then(|| format!("{number} of {slug}: {json}"))
            }
        })
        .buffer_unordered(24)
        .filter_map(async |wrong| wrong)
        .collect::<Vec<_>>()
        .await;
    assert!(wrong.is_empty(), "{} answers went astray: {:?}", wrong.len(), wrong.first());
}
