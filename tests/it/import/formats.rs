//! Files that can be used: every format, once and twice.

use chrono::TimeDelta;
use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_testkit::{Stage, TestGateway};

use super::{Site, assert_silent, untouched};

#[tokio::test]
async fn every_format_is_imported_once_and_works() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let gateway = TestGateway::start(&stage).await;
    let client = gateway.client("ada", &site.key);
    let client_id = site.tenant.client_id();
    let (spotify, tidal) = (Provider::Spotify, Provider::Tidal);
    let outsides =
        [tidal, spotify, spotify, tidal, spotify, tidal, spotify].map(|provider| site.outside(provider));
    let [mcp, env, cache, api, config, old, newer] = &outsides;
    let files = [
        site.file("session.json", &mcp.tidal_mcp(&mcp.ends())),
        site.file(
            ".env.robin",
            &format!(
                "SPOTIFY_CLIENT_ID={client_id}\nSPOTIFY_CLIENT_SECRET=unused\nexport SPOTIFY_ACCESS_TOKEN=\"{}\"\n\
                SPOTIFY_REFRESH_TOKEN={}\nSPOTIFY_TOKEN_EXPIRES_AT={}\n",
                env.grant.access_token, env.grant.refresh_token, env.grant.expires_at.timestamp(),
            ),
        ),
        site.file(
            ".cache-robin",
            &json!({ "access_token": cache.grant.access_token, "token_type": "Bearer", "expires_in": 3600,
                "scope": cache.grant.scopes.join(" "), "expires_at": cache.grant.expires_at.timestamp(),
                "refresh_token": cache.grant.refresh_token }).to_string(),
        ),
        site.file(
            "tidal-session-oauth.json",
            &json!({ "token_type": { "data": "Bearer" }, "session_id": { "data": "s" }, "is_pkce": { "data": true },
                "access_token": { "data": api.grant.access_token },
                "refresh_token": { "data": api.grant.refresh_token } }).to_string(),
        ),
        site.file(
            "spotify-config.json",
            &json!({ "clientId": client_id, "clientSecret": "unused", "redirectUri": "http://127.0.0.1:8888/",
                "accessToken": config.grant.access_token, "refreshToken": config.grant.refresh_token,
                "expiresAt": config.grant.expires_at.timestamp_millis() }).to_string(),
        ),
        site.file(
            "session-1.0.json",
            &json!({ "schema_version": "1.0", "session_id": "s", "access_token": old.grant.access_token,
                "refresh_token": old.grant.refresh_token, "token_expires_at": old.ends(), "user_id": old.account,
                "country_code": "DE", "created_at": "2026-11-01T00:00:00", "backup_count": 3 }).to_string(),
        ),
        site.file(
            "session-1.1.json",
            &json!({ "schema_version": "1.1", "provider": "spotify", "access_token": newer.grant.access_token,
                "refresh_token": newer.grant.refresh_token, "token_expires_at": newer.grant.expires_at,
                "authorized_at": newer.grant.expires_at - TimeDelta::days(20), "scopes": newer.grant.scopes,
                "user_id": newer.account }).to_string(),
        ),
    ];
    let before: Vec<_> = files.iter().map(|file| untouched(file)).collect();
    let paths: Vec<_> = files.iter().map(std::path::PathBuf::as_path).collect();
    let options = ["--client-id", "tenant", "--timezone", "UTC"];

    let dry = site.rows().await;
    let foreseen = site.import(&paths, &[&options[..], &["--dry-run"]].concat()).await;
    assert_eq!(foreseen.code, Some(0), "{foreseen:?}");
    assert!(foreseen.lines().iter().all(|line| line["outcome"] == "would_import"), "{foreseen:?}");
    assert_eq!(site.rows().await, dry, "a dry run writes nothing");

    let finished = site.import(&paths, &options).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let asked = (site.refreshes(spotify), site.refreshes(tidal));
    assert_eq!(asked, (4, 3), "each refresh proves whose client the tokens were made for");
    let lines = finished.lines();
    let formats: Vec<_> = lines.iter().map(|line| line["format"].as_str().unwrap()).collect();
    let expected =
        ["tidal-mcp", "spotify-env", "spotipy", "tidalapi", "spotify-config", "schema-1.0", "schema-1.1"];
    assert_eq!(formats, expected);
    for (line, outside) in lines.iter().zip(&outsides) {
        assert_eq!(line["outcome"], "imported", "{line}");
        assert_eq!(line["provider_user_id"], outside.account.as_str(), "{line}");
        let playlists = client.call("playlists_list", json!({ "account": line["account"] })).await;
        assert_eq!(playlists["playlists"], json!([]), "{playlists}");
        assert_silent(&finished, &outside.secrets());
    }
    let listed = client.call("accounts_list", json!({})).await;
    let listed = listed["accounts"].as_array().unwrap();
    assert_eq!(listed.len(), 7);
    assert!(listed.iter().all(|account| account["status"] == "linked"), "{listed:?}");

    let audited = site.imports_audited().await;
    assert_eq!(audited.len(), 14, "each is opened and closed");
    assert!(site.tenant.verify_chain().await.faults.is_empty());

    gateway.stop().await;
    let once = site.rows().await;
    let again = site.import(&paths, &options).await;
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.lines().iter().all(|line| line["outcome"] == "already_imported"), "{again:?}");
    assert_eq!(site.rows().await, once, "a second run changes nothing");
    assert_eq!((site.refreshes(spotify), site.refreshes(tidal)), asked);
    assert_eq!(files.iter().map(|file| untouched(file)).collect::<Vec<_>>(), before);
}

#[tokio::test]
async fn a_file_that_has_ended_is_tried_with_its_refresh_token_first() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let outside = site.outside(Provider::Tidal);
    stage.sandbox().expire_access_tokens(Provider::Tidal);
    let file = site.file("session.json", &outside.tidal_mcp("2026-11-01T10:00:00"));
    let client_id = site.tenant.client_id();
    let options = ["--client-id", client_id.as_str(), "--timezone", "Europe/Berlin"];

    let rows = site.rows().await;
    let foreseen = site.import_one(&file, &[&options[..], &["--dry-run"]].concat()).await;
    assert_eq!(foreseen["outcome"], "would_import");
    assert!(foreseen["explanation"].as_str().unwrap().contains("dry run"), "{foreseen}");
    assert_eq!((site.refreshes(Provider::Tidal), site.rows().await), (0, rows));

    let line = site.import_one(&file, &options).await;
    assert_eq!(line["outcome"], "imported", "{line}");
    assert_eq!(line["token_expires_at"], "2026-11-01T09:00:00Z", "read in the zone given");
    assert!(line["warnings"].to_string().contains("new refresh token"), "{line}");
    assert_eq!(site.refreshes(Provider::Tidal), 1);
    let gateway = TestGateway::start(&stage).await;
    let client = gateway.client("ada", &site.key);
    client.call("playlists_list", json!({ "account": line["account"] })).await;

    let again = site.import_one(&file, &options).await;
    assert_eq!(again["outcome"], "already_imported", "{again}");
    assert_eq!(site.refreshes(Provider::Tidal), 1, "the dead refresh token is not sent again");
}

#[tokio::test]
async fn a_token_that_is_refused_although_it_should_last_is_refreshed() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let outside = site.outside(Provider::Tidal);
    let file = site.file("session.json", &outside.tidal_mcp(&outside.ends()));
    stage.sandbox().expire_access_tokens(Provider::Tidal);
    let client_id = site.tenant.client_id();
    let line = site.import_one(&file, &["--client-id", client_id.as_str(), "--timezone", "UTC"]).await;
    assert_eq!(line["outcome"], "imported", "{line}");
    assert_eq!(site.refreshes(Provider::Tidal), 1);
}

#[tokio::test]
async fn an_account_that_is_linked_already_stays_as_it_is() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let linked = site.tenant.link(site.user, Provider::Tidal).await;
    let scopes = ["playlists.read", "user.read"];
    let grant = stage.sandbox().grant(Provider::Tidal, &linked.account, &site.tenant.client_id(), &scopes);
    let outside = super::Outside { provider: Provider::Tidal, account: linked.account.clone(), grant };
    assert_eq!(outside.provider, Provider::Tidal);
    let file = site.file("session.json", &outside.tidal_mcp("2026-11-01T10:00:00"));
    let rows = site.rows().await;
    let line = site.import_one(&file, &["--timezone", "UTC"]).await;
    assert_eq!(line["outcome"], "already_linked", "{line}");
    assert_eq!(line["account"], linked.id.to_string());
    assert_eq!((site.refreshes(Provider::Tidal), site.rows().await), (0, rows));
}

#[tokio::test]
async fn the_person_is_found_by_subject_and_links_are_followed() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let statement =
        format!("UPDATE users SET external_subject = 'robin@example.org' WHERE user_id = '{}'", site.user);
    stage.sql(&statement).await;
    let outside = site.outside(Provider::Tidal);
    let file = site.file("session.json", &outside.tidal_mcp(&outside.ends()));
    let link = stage.folder().join("link.json");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let client_id = site.tenant.client_id();
    let options = ["--client-id", client_id.as_str(), "--timezone", "UTC"];
    let finished = stage.run(&site.arguments(&[&link], "robin@example.org", &options)).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let line = &finished.lines()[0];
    assert!(line["warnings"].to_string().contains("everyone on this machine may read"), "{line}");
    assert_eq!(line["notes"][0], "its times name no zone and were read as UTC");
}
