//! Which client tokens were made for: what files and operators claim, and how it is proved.

use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_testkit::Stage;

use super::{Outside, Site, outcome};

const UTC: [&str; 2] = ["--timezone", "UTC"];

#[tokio::test]
async fn a_client_id_is_of_one_service() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let (tidal, spotify) = (site.outside(Provider::Tidal), site.outside(Provider::Spotify));
    let files = [
        site.file("session.json", &tidal.tidal_mcp(&tidal.ends())),
        site.file(".cache-robin", &spotify.spotipy(stage.clock().now())),
    ];
    let files = [files[0].as_path(), files[1].as_path()];
    let client_id = site.tenant.client_id();
    let bare = ["--client-id", client_id.as_str()];
    let refused = site.import(&files, &[&UTC[..], &bare].concat()).await;
    assert_eq!((refused.code, refused.output.as_str()), (Some(1), ""), "{refused:?}");
    assert!(refused.said.contains("spotify=") && refused.said.contains("tidal="), "{refused:?}");

    let only = [&UTC[..], &bare, &["--provider", "tidal", "--dry-run"]].concat();
    let foreseen = site.import(&files, &only).await;
    assert_eq!(outcome(&foreseen.lines()[0]), "would_import -", "{foreseen:?}");

    let each = [format!("tidal={client_id}"), "spotify=another".to_owned()];
    let each = ["--client-id", each[0].as_str(), "--client-id", each[1].as_str()];
    let finished = site.import(&files, &[&UTC[..], &each].concat()).await;
    let said: Vec<_> = finished.lines().iter().map(outcome).collect();
    assert_eq!(said, ["imported -", "not_usable other_client"], "{finished:?}");

    let finished = site.import(&files, &[&UTC[..], &["--client-id", "tenant"]].concat()).await;
    let said: Vec<_> = finished.lines().iter().map(outcome).collect();
    assert_eq!(said, ["already_imported -", "imported -"], "{finished:?}");
    for wrong in ["deezer=x", "tidal="] {
        let finished = site.import(&files, &["--client-id", wrong]).await;
        assert_eq!((finished.code, finished.output.as_str()), (Some(2), ""), "{finished:?}");
    }
}

#[tokio::test]
async fn a_refresh_proves_which_client_tokens_were_made_for() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    stage.sandbox().register_app(Provider::Spotify, "someone-elses", "secret");
    let theirs = Outside {
        grant: stage.sandbox().grant(
            Provider::Spotify,
            &site.outside(Provider::Spotify).account,
            "someone-elses",
            &["user-read-private"],
        ),
        ..site.outside(Provider::Spotify)
    };
    let env = format!(
        "SPOTIFY_CLIENT_ID={}\nSPOTIFY_ACCESS_TOKEN={}\nSPOTIFY_REFRESH_TOKEN={}\nSPOTIFY_TOKEN_EXPIRES_AT={}\n",
        site.tenant.client_id(),
        theirs.grant.access_token,
        theirs.grant.refresh_token,
        theirs.grant.expires_at.timestamp(),
    );
    let file = site.file(".env", &env);
    let line = site.import_one(&file, &[]).await;
    assert_eq!(outcome(&line), "not_usable refused", "{line}");
    assert!(line["explanation"].as_str().unwrap().contains("another client"), "{line}");
    assert_eq!(stage.sql("SELECT count(*) FROM provider_sessions").await, "0");

    // Where there is nothing to refresh, nothing is proved, which is said.
    let outside = site.outside(Provider::Tidal);
    let file = site.file(
        "session.json",
        &json!({ "access_token": outside.grant.access_token, "user_id": outside.account,
            "expires_at": outside.ends() })
        .to_string(),
    );
    let line = site.import_one(&file, &[&UTC[..], &["--client-id", "tenant"]].concat()).await;
    assert_eq!(outcome(&line), "imported -", "{line}");
    assert!(line["warnings"].to_string().contains("nothing proves"), "{line}");
}
