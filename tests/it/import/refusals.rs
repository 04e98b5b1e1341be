//! Files that cannot be used: each says why, nothing is stored that is not known, and the exit code tells.

use std::path::Path;

use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_testkit::{Stage, TestGateway};

use super::{Site, assert_silent, outcome};

#[tokio::test]
async fn tokens_of_an_unknown_client_leave_an_account_to_link_again() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let outside = site.outside(Provider::Tidal);
    let known = site.file("session.json", &outside.tidal_mcp(&outside.ends()));
    let silent = site.file(
        "tidalapi.json",
        &json!({ "access_token": { "data": outside.grant.access_token } }).to_string(),
    );
    let rows = site.rows().await;
    let foreseen = site.import(&[&known, &silent], &["--dry-run", "--timezone", "UTC"]).await;
    assert_eq!(foreseen.code, Some(2));
    assert_eq!(site.rows().await, rows);

    let finished = site.import(&[&known, &silent], &["--timezone", "UTC"]).await;
    assert_eq!(finished.code, Some(2), "{finished:?}");
    let lines = finished.lines();
    assert_eq!(outcome(&lines[0]), "relink_needed no_client_id");
    assert_eq!(outcome(&lines[1]), "not_usable no_client_id");
    assert_silent(&finished, &outside.secrets());
    assert_eq!(stage.sql("SELECT count(*) FROM provider_sessions").await, "0", "no token was stored");

    let gateway = TestGateway::start(&stage).await;
    let client = gateway.client("ada", &site.key);
    let listed = client.call("accounts_list", json!({})).await;
    assert_eq!(listed["accounts"][0]["status"], "relink_needed", "{listed}");
    assert_eq!(listed["accounts"][0]["id"], lines[0]["account"]);
    let refused = client.tool("playlists_list", json!({ "provider": "tidal" })).await;
    assert_eq!(refused.code().as_deref(), Some("relink_needed"), "{}", refused.text());

    let audited = site.imports_audited().await;
    assert_eq!(audited.last().unwrap()["details"]["outcome"], "relink_needed", "{audited:?}");
    let rows = site.rows().await;
    let again = site.import_one(&known, &["--timezone", "UTC"]).await;
    assert_eq!((outcome(&again), site.rows().await), (outcome(&lines[0]), rows));

    // Once the client is told, the same account works.
    let client_id = site.tenant.client_id();
    let told = site.import_one(&known, &["--timezone", "UTC", "--client-id", &client_id]).await;
    assert_eq!(outcome(&told), "imported -", "{told}");
    assert_eq!(told["account"], lines[0]["account"]);
    client.call("playlists_list", json!({ "account": told["account"] })).await;
}

#[tokio::test]
async fn what_the_provider_refuses_is_refused_once() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let (named, silent) = (site.outside(Provider::Tidal), site.outside(Provider::Spotify));
    for outside in [&named, &silent] {
        stage.sandbox().revoke(outside.provider, &outside.account);
    }
    let files = [
        site.file("session.json", &named.tidal_mcp(&named.ends())),
        site.file(
            ".cache",
            &json!({ "access_token": silent.grant.access_token, "expires_in": 3600,
                "refresh_token": silent.grant.refresh_token })
            .to_string(),
        ),
    ];
    let files = [files[0].as_path(), files[1].as_path()];
    let options = ["--timezone", "UTC", "--client-id", "tenant"];
    let finished = site.import(&files, &options).await;
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert_eq!(outcome(&finished.lines()[0]), "relink_needed refused");
    assert_eq!(outcome(&finished.lines()[1]), "not_usable refused");
    let asked = (site.refreshes(Provider::Tidal), site.refreshes(Provider::Spotify));
    assert_eq!(asked, (1, 1));

    let rows = site.rows().await;
    let again = site.import(&files, &options).await;
    assert_eq!(again.code, Some(2));
    assert!(again.lines().iter().all(|line| line["reason"] == "refused_before"), "{again:?}");
    assert_eq!((site.refreshes(Provider::Tidal), site.refreshes(Provider::Spotify)), asked);
    assert_eq!(site.rows().await, rows);
    assert_eq!(stage.sql("SELECT count(*) FROM provider_sessions").await, "0");
}

#[tokio::test]
async fn tokens_must_be_of_the_account_the_client_and_the_person_that_they_are_given_for() {
    let stage = Stage::start().await;
    let (site, other) = (Site::on(&stage, "ada").await, Site::on(&stage, "bob").await);
    let (outside, stranger) = (site.outside(Provider::Tidal), other.outside(Provider::Tidal));
    let client_id = site.tenant.client_id();
    let options = ["--timezone", "UTC", "--client-id", client_id.as_str()];

    let mixed = super::Outside { account: stranger.account.clone(), ..site.outside(Provider::Tidal) };
    let mixed = site.file("mixed.json", &mixed.tidal_mcp(&mixed.ends()));
    let line = site.import_one(&mixed, &options).await;
    assert_eq!(outcome(&line), "not_usable other_account");
    let rows = site.rows().await;
    assert_eq!(outcome(&site.import_one(&mixed, &options).await), "not_usable refused_before");
    assert_eq!((site.refreshes(Provider::Tidal), site.rows().await), (0, rows), "nobody was asked again");

    let foreign = site.file(
        "spotify-config.json",
        &json!({ "clientId": "someone-elses", "accessToken": "a", "refreshToken": "r" }).to_string(),
    );
    assert_eq!(outcome(&site.import_one(&foreign, &[]).await), "not_usable other_client");
    assert_eq!(outcome(&site.import_one(&foreign, &options).await), "not_usable client_ids_differ");
    assert_eq!(stage.sql("SELECT count(*) FROM linked_accounts").await, "0");

    let file = site.file("session.json", &outside.tidal_mcp(&outside.ends()));
    assert_eq!(outcome(&site.import_one(&file, &options).await), "imported -");
    let second = site.tenant.person("Sam").await.to_string();
    let finished = stage.run(&site.arguments(&[&file], &second, &options)).await;
    assert_eq!(outcome(&finished.lines()[0]), "not_usable other_person");
    // Another tenant knows nothing of it, and its client could not use the tokens.
    assert_eq!(outcome(&other.import_one(&file, &options).await), "relink_needed other_client");
}

#[tokio::test]
async fn files_that_are_none_are_explained_and_counted() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let folder = stage.folder().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/legacy-sessions/tests/it/fixtures");
    let copy = |name: &str, to: &Path| {
        let target = to.join(name);
        std::fs::copy(fixtures.join(name), &target).unwrap();
        target
    };
    let (with_key, without_key) = (copy("session.enc", stage.folder()), copy("session.enc", &folder));
    copy("session.key", stage.folder());
    let outside = site.outside(Provider::Spotify);
    let files = [
        folder.clone(),
        stage.folder().join("none.json"),
        stage.folder().join("*.cache"),
        site.file("empty", ""),
        site.file("broken.json", "{\"access_token\": \"a\","),
        site.file("future.json", r#"{"schema_version":"3.0","access_token":"a"}"#),
        without_key,
        with_key,
        site.file("other.json", &outside.tidal_mcp(&outside.ends())),
    ];
    let paths: Vec<_> = files.iter().map(std::path::PathBuf::as_path).collect();
    let finished = site.import(&paths, &["--provider", "spotify", "--timezone", "UTC"]).await;
    assert_eq!(finished.code, Some(2), "{finished:?}");
    let lines = finished.lines();
    let said = |number: usize| lines[number]["explanation"].as_str().unwrap().to_owned();
    assert!(said(0).contains("name the files in it"), "{}", said(0));
    assert_eq!(said(1), "there is no such file");
    assert!(said(2).contains("pattern"), "{}", said(2));
    assert_eq!(said(3), "it is empty");
    assert!(said(4).contains("line 1, column 21"), "{}", said(4));
    assert!(said(5).contains("\"3.0\"") && said(5).contains("1.0 and 1.1"), "{}", said(5));
    assert!(said(6).contains("session.key"), "{}", said(6));
    assert_eq!(
        (lines[7]["format"].as_str(), outcome(&lines[7])),
        (Some("schema-1.1"), "relink_needed other_client".to_owned())
    );
    assert_eq!(outcome(&lines[8]), "not_usable other_provider");

    let table = stage
        .run(&[
            "import",
            "sessions",
            files[4].to_str().unwrap(),
            "--tenant",
            "ada",
            "--user",
            &site.user.to_string(),
        ])
        .await;
    assert_eq!(table.code, Some(2));
    assert!(table.output.starts_with("OUTCOME") && table.output.contains("  It is damaged"), "{table:?}");
}

#[tokio::test]
async fn nothing_is_tried_for_tenants_and_people_that_are_not_there() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let file = site.file("session.json", "{}");
    let file = file.to_str().unwrap();
    let nobody = uuid::Uuid::nil().to_string();
    for (tenant, user, said) in [
        ("nobody", nobody.as_str(), "there is no tenant nobody"),
        ("No Slug", nobody.as_str(), "tenant must be"),
        ("ada", nobody.as_str(), "no person"),
        ("ada", "robin'; --", "no person"),
    ] {
        let finished = stage.run(&["import", "sessions", file, "--tenant", tenant, "--user", user]).await;
        assert_eq!((finished.code, finished.output.as_str()), (Some(1), ""), "{finished:?}");
        assert!(finished.said.contains(said), "{finished:?}");
    }
    site.tenant.suspend().await;
    let user = site.user.to_string();
    let finished = stage.run(&["import", "sessions", file, "--tenant", "ada", "--user", &user]).await;
    assert!(finished.code == Some(1) && finished.said.contains("suspended"), "{finished:?}");
}
