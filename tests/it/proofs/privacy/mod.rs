//! Deleting a tenth of the people: every chain stays whole, nothing of them can be read anywhere, and everyone else is as
//! before.

mod everywhere;

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_storage::provider_sessions;
use stagedoor_testkit::proof::{ProofSize, prove_equal, remark};
use stagedoor_testkit::{Browser, Client, GatewayProcess, KeySpec, Linked, Stage, TestTenant, generous};
use url::Url;

/// One of the people, and what would give them away.
struct Person {
    number: usize,
    key: String,
    accounts: Vec<Linked>,
    canaries: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_tenth_of_the_people_and_everything_of_the_others() {
    let (people, tenants) = ProofSize::wanted().of((20, 2), (200, 5));
    let stage = Stage::start().await;
    let archive = stage.folder().join("checkpoints");
    let settings = [
        ("STAGEDOOR_TELEMETRY__LOG_FILTER", "debug,h2=off,hyper=off,hyper_util=off".to_owned()),
        ("STAGEDOOR_AUDIT__CHECKPOINT_URL", format!("file://{}", archive.display())),
        ("STAGEDOOR_AUDIT__CHECKPOINT_INTERVAL_SECONDS", "1".to_owned()),
    ];
    let gateways = [
        GatewayProcess::start(&stage, "one", &settings).await,
        GatewayProcess::start(&stage, "two", &settings).await,
    ];
    let mut all = Vec::new();
    for number in 0..tenants {
        let slug = format!("tenant-{number}");
        let tenant = stage.tenant(&slug, generous()).await;
        for provider in Provider::ALL {
            tenant.set_up(*provider).await;
        }
        all.push((tenant, Vec::new()));
    }
    for number in 0..people {
        let (tenant, living) = &mut all[number % tenants];
        let mut person = arrive(tenant, number).await;
        live(&gateways[number % 2].client(tenant.slug(), &person.key), &stage, &person).await;
        person.canaries.extend(tokens(&stage, tenant, &person).await);
        living.push(person);
    }

    // Each tenth person is deleted, on their page, through either replica.
    let (mut gone, mut pages) = (Vec::new(), Vec::new());
    for (tenant, living) in &mut all {
        let (leaving, staying): (Vec<Person>, Vec<Person>) =
            std::mem::take(living).into_iter().partition(|person| person.number % 10 < 1);
        *living = staying;
        for person in leaving {
            let gateway = &gateways[pages.len() % 2];
            pages.push(confirm(&gateway.client(tenant.slug(), &person.key), gateway).await);
            gone.push(person);
        }
    }
    for page in &pages {
        finished(page).await;
    }
    prove_equal("privacy.people_deleted", gone.len() as u64, (people / 10) as u64);

    // The others go on, and find what they had.
    let mut changed = 0;
    for (number, (tenant, living)) in all.iter().enumerate() {
        for person in living {
            let client = gateways[number % 2].client(tenant.slug(), &person.key);
            changed += u64::from(!is_as_before(&client, person).await);
        }
    }
    prove_equal("privacy.others_changed", changed, 0);

    let mut faults = 0;
    for (tenant, _) in &all {
        let chain = tenant.verify_chain().await;
        faults += chain.faults.len() as u64;
        remark(format_args!("{}: {} records, {} erased", tenant.slug(), chain.records, chain.erased));
    }
    prove_equal("privacy.chain_faults", faults, 0);

    // The last lines are written when a replica ends.
    let logs = everywhere::logs(gateways).await;
    let places = everywhere::all(&stage, &archive, logs).await;
    let readable = found(&places, gone.iter().flat_map(|person| &person.canaries));
    prove_equal("privacy.canaries_readable", readable, 0);
    // What is looked for is found where it may be: labels of the others are in the database.
    let others = all.iter().flat_map(|(_, living)| living).flat_map(|person| &person.canaries);
    assert!(found(&places, others) > 0, "the search finds nothing at all");
}

fn found<'a>(places: &[(String, String)], canaries: impl Iterator<Item = &'a String>) -> u64 {
    let mut readable = 0;
    for canary in canaries {
        for (place, text) in places.iter().filter(|(_, text)| text.contains(canary.as_str())) {
            readable += 1;
            let at = text.find(canary.as_str()).unwrap_or_default();
            let around: String =
                text[..at].chars().rev().take(120).collect::<Vec<_>>().into_iter().rev().collect();
            remark(format_args!("{canary} in {place}: …{around}[here]"));
        }
    }
    readable
}

async fn arrive(tenant: &TestTenant<'_>, number: usize) -> Person {
    let label = format!("canary-label-{number:04}-{}", tenant.slug());
    let user = tenant.person(&label).await;
    let mut accounts = Vec::new();
    for provider in Provider::ALL {
        accounts.push(tenant.link(user, *provider).await);
    }
    let key = tenant.key(&KeySpec::for_user(user)).await;
    let mut canaries = vec![label, list_name(number), user.to_string(), key.clone()];
    canaries.extend(accounts.iter().map(|account| account.account.clone()));
    canaries.extend(accounts.iter().map(|account| account.id.to_string()));
    Person { number, key, accounts, canaries }
}

fn list_name(number: usize) -> String {
    format!("canary-list-{number:04}-of-mine")
}

/// Fills most tables: playlists with versions, idempotency keys, preferences, consents, a refused call, requests.
async fn live(client: &Client, stage: &Stage, person: &Person) {
    for (provider, account) in Provider::ALL.iter().zip(&person.accounts) {
        let account = account.id.to_string();
        let name = list_name(person.number);
        let list = json!({ "name": name, "provider": provider, "account": account });
        let made = client.call("playlist_create", list).await;
        let track = stage.sandbox().catalogue(*provider).tracks().nth(person.number).unwrap().id;
        let add = json!({
            "ref": made["playlist"]["ref"],
            "tracks": [format!("{provider}:track:{track}")],
            "idempotency_key": format!("{name}-{provider}"),
        });
        client.call("playlist_add", add).await;
        client.call("playlists_list", json!({ "account": account })).await;
        client.call("profile", json!({ "account": account })).await;
    }
    let wishes = json!({ "preferences": { "cache_preferences": { "cache_duration": 100 + person.number } } });
    client.call("preferences_set", wishes).await;
    let consents = client.call("consent_get", json!({})).await;
    let version = &consents["policy_version"];
    let consent = json!({ "purpose": "analytics", "granted": true, "policy_version": version });
    client.call("consent_set", consent).await;
    client.call("export_my_data", json!({})).await;
}

async fn tokens(stage: &Stage, tenant: &TestTenant<'_>, person: &Person) -> Vec<String> {
    let mut tokens = Vec::new();
    for account in &person.accounts {
        let session = provider_sessions::load(stage.reader(), tenant.context(), account.id).await;
        let session = session.unwrap().unwrap();
        tokens.push(session.access_token.expose_secret().to_owned());
        tokens.extend(session.refresh_token.map(|token| token.expose_secret().to_owned()));
    }
    tokens
}

/// The page of a confirmed deletion, at the replica that was asked.
async fn confirm(client: &Client, gateway: &GatewayProcess) -> Url {
    let asked = client.call("delete_my_data", json!({})).await;
    let mut page: Url = asked["url"].as_str().unwrap().parse().unwrap();
    page.set_port(Some(gateway.address().port())).unwrap();
    let browser = Browser::new();
    let shown = browser.open(&page).await;
    let confirmed = browser.submit(&shown, &[("decision", "delete")]).await;
    assert_eq!(confirmed.verdict(), "200 ok", "{}", confirmed.text());
    page
}

async fn finished(page: &Url) {
    loop {
        let shown = Browser::new().open(page).await;
        assert_eq!(shown.verdict(), "200 ok", "{}", shown.text());
        if shown.heading() == "Everything is deleted" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn is_as_before(client: &Client, person: &Person) -> bool {
    let wishes = client.call("preferences_get", json!({})).await;
    let duration = &wishes["preferences"]["cache_preferences"]["cache_duration"];
    let mut as_before = *duration == json!(100 + person.number);
    for account in &person.accounts {
        let lists = client.call("playlists_list", json!({ "account": account.id.to_string() })).await;
        let mine = |list: &Value| list["name"] == json!(list_name(person.number));
        as_before &= lists["playlists"].as_array().is_some_and(|lists| lists.iter().any(mine));
    }
    if !as_before {
        remark(format_args!("{} is not as before: {wishes}", person.number));
    }
    as_before
}
