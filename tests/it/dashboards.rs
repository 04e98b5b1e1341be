//! Dashboards and alert rules against what a gateway, the keeper and the operator really export: every metric, label and value
//! of a label that a query names is there. Whether the queries parse is for `tests/dashboards`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_keeper::RunOptions;
use stagedoor_keeper::jobs::partitions::Partitions;
use stagedoor_keeper::jobs::run_due::SCHEDULE;
use stagedoor_operator::kind::KindName;
use stagedoor_operator::metrics::{Change, OperatorMetrics, ReconcileOutcome};
use stagedoor_testkit::{Stage, TestGateway};
use tonic::Code;

use crate::keeper::frame::collect;
use crate::music;

const RULES: &str = include_str!("../../docs/alerts.yaml");
const DASHBOARDS: [(&str, &str); 6] = [
    ("service", include_str!("../../charts/stagedoor/dashboards/service.json")),
    ("tenants", include_str!("../../charts/stagedoor/dashboards/tenants.json")),
    ("cache", include_str!("../../charts/stagedoor/dashboards/cache.json")),
    ("limits", include_str!("../../charts/stagedoor/dashboards/limits.json")),
    ("audit-keeper", include_str!("../../charts/stagedoor/dashboards/audit-keeper.json")),
    ("operator", include_str!("../../charts/stagedoor/dashboards/operator.json")),
];
/// Labels that Prometheus puts on whatever it reads from a replica.
const OF_TARGETS: [&str; 3] = ["namespace", "job", "instance"];
/// What a run of the keeper says of itself; the jobs are those of the schedule.
const ENDINGS: [&str; 5] = ["succeeded", "partly", "failed", "refused", "interrupted"];

type Labels = BTreeMap<String, String>;

/// One series that a query asks for: its name, and its conditions as label, operator and value.
#[derive(Debug)]
struct Selector {
    name: String,
    conditions: Vec<(String, String, String)>,
}

/// What is exported: the label sets of each name.
#[derive(Debug, Default)]
struct Exported(BTreeMap<String, Vec<Labels>>);

fn is_name(mark: char) -> bool {
    mark.is_ascii_alphanumeric() || mark == '_' || mark == ':'
}

/// `a="1",b=~"x|y"` as label, operator and value.
fn conditions(text: &str) -> Vec<(String, String, String)> {
    let mut rest = text;
    let mut found = Vec::new();
    while let Some((label, more)) = rest.split_once('"') {
        let (value, more) = more.split_once('"').unwrap();
        let label = label.trim_start_matches([',', ' ', '\n']);
        let at = label.find(['=', '!']).unwrap();
        found.push((label[..at].trim().to_owned(), label[at..].trim().to_owned(), value.to_owned()));
        rest = more;
    }
    found
}

/// Every series of ours that a text with queries names.
fn selectors(text: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("stagedoor_") {
        if text[..at].ends_with(is_name) {
            continue;
        }
        let name: String = text[at..].chars().take_while(|mark| is_name(*mark)).collect();
        let braces = text[at + name.len()..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
        found.push(Selector {
            name,
            conditions: braces.map_or_else(Vec::new, |(inner, _)| conditions(inner)),
        });
    }
    found
}

/// The labels of each `by (…)`.
fn groupings(text: &str) -> BTreeSet<&str> {
    let lists = text.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
    lists.flat_map(|list| list.split(',').map(str::trim)).collect()
}

/// The queries of a dashboard: of its panels, its annotations, and its variables.
fn queries(dashboard: &Value, found: &mut Vec<String>) {
    match dashboard {
        Value::Object(members) => {
            for (name, value) in members {
                match (name.as_str(), value) {
                    ("expr" | "definition", Value::String(query)) => found.push(query.clone()),
                    _ => queries(value, found),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                queries(item, found);
            }
        }
        _ => {}
    }
}

impl Exported {
    /// What a page of metrics has.
    fn of(page: &str) -> Self {
        let mut exported = Self::default();
        exported.read(page);
        exported
    }

    fn read(&mut self, page: &str) {
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            // An exemplar may follow the figure, with labels of its own.
            let series = line.split(" # ").next().unwrap().rsplit_once(' ').unwrap().0;
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let labels = conditions(labels).into_iter().map(|(label, _, value)| (label, value)).collect();
            self.add(name, labels);
        }
    }

    fn add(&mut self, name: &str, labels: Labels) {
        self.0.entry(name.to_owned()).or_default().push(labels);
    }

    /// What is wrong with a selector.
    fn fault(&self, selector: &Selector) -> Option<String> {
        let Selector { name, conditions } = selector;
        let Some(series) = self.0.get(name) else { return Some(format!("no metric is called {name}")) };
        let ours = || conditions.iter().filter(|(label, _, _)| !OF_TARGETS.contains(&label.as_str()));
        for (label, operator, value) in ours() {
            let values: BTreeSet<&String> = series.iter().filter_map(|labels| labels.get(label)).collect();
            if values.is_empty() {
                return Some(format!("{name} has no label {label}"));
            }
            let named =
                if operator.ends_with('~') { value.split('|').collect() } else { vec![value.as_str()] };
            let plain =
                |text: &str| text.chars().all(|mark| mark.is_ascii_alphanumeric() || "_-".contains(mark));
            let known = |text: &str| values.iter().any(|there| *there == text);
            // A bound of a histogram has a point in it and is no pattern, `.+-part` is one.
            let is_pattern = |text: &str| operator.ends_with('~') && !plain(text);
            if let Some(unknown) = named.into_iter().find(|text| !is_pattern(text) && !known(text)) {
                return Some(format!("no {label} of {name} is {unknown}, but {values:?}"));
            }
        }
        let equal: Vec<_> = ours().filter(|(_, operator, _)| operator == "=").collect();
        let all = |labels: &Labels| equal.iter().all(|(label, _, value)| labels.get(label) == Some(value));
        (!series.iter().any(all)).then(|| format!("no {name} has all of {equal:?}"))
    }

    /// What is wrong with a query; of the alert rules all of them are one text.
    fn faults(&self, query: &str) -> Vec<String> {
        let selectors = selectors(query);
        let mut faults: Vec<_> = selectors.iter().filter_map(|selector| self.fault(selector)).collect();
        let series = selectors.iter().filter_map(|selector| self.0.get(&selector.name)).flatten();
        let mut labels: BTreeSet<&str> =
            series.flat_map(|labels| labels.keys().map(String::as_str)).collect();
        labels.extend(OF_TARGETS);
        if query.contains("ALERTS{") {
            labels.extend(["alertname", "severity"]);
        }
        for label in groupings(query) {
            if !labels.contains(label) {
                faults.push(format!("nothing in it has the label {label}"));
            }
        }
        faults
    }
}

/// What a gateway shows after a few calls.
async fn shown(stage: &Stage) -> Exported {
    let gateway = TestGateway::start(stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for provider in Provider::ALL {
        for _ in 0..2 {
            client.call("search", json!({ "query": "a", "provider": provider })).await;
            client.call("playlists_list", json!({ "provider": provider })).await;
        }
    }
    gateway.flush_audit().await;
    let page = gateway.metrics().await;
    assert!(page.sum("calls", &[("outcome", "success")]) > 0, "{}", page.text());
    Exported::of(page.text())
}

/// Adds what a run of the keeper pushes, as Prometheus has it then.
async fn push(stage: &Stage, exported: &mut Exported) {
    let (collector, received) = collect().await;
    let mut config = stage.keeper_config();
    config.telemetry.otlp_endpoint = Some(format!("http://{collector}").parse().unwrap());
    let keeper = stage.keeper_with(config).await;
    keeper.execute(&Partitions::default(), RunOptions::default()).await.unwrap();
    // Names stand in the protobuf message as they are.
    let sent = String::from_utf8_lossy(&received.lock().unwrap()).into_owned();
    let names: BTreeSet<String> = sent
        .match_indices("stagedoor_keeper_")
        .map(|(at, _)| sent[at..].chars().take_while(|mark| is_name(*mark)).collect())
        .collect();
    assert!(names.len() >= 5, "{names:?}");
    let jobs = SCHEDULE.iter().map(|scheduled| scheduled.name).chain(["restore", "doctor"]);
    for job in jobs {
        for name in &names {
            let labels = |label: &str, value: &str| {
                Labels::from([
                    ("keeper_job".to_owned(), job.to_owned()),
                    (label.to_owned(), value.to_owned()),
                ])
            };
            match name.rsplit('_').next() {
                Some("outcome") => {
                    for ending in ENDINGS {
                        exported.add(name, labels("outcome", ending));
                    }
                }
                Some("count") => exported.add(name, labels("of", "days_made")),
                _ => exported.add(name, [("keeper_job".to_owned(), job.to_owned())].into()),
            }
        }
    }
    for label in ["keeper_job", "outcome", "of", "days_made"].iter().chain(&ENDINGS) {
        assert!(sent.contains(label), "{label} is not in {sent:?}");
    }
}

/// Adds what a replica of the operator shows once everything has happened to it that is counted.
fn operate(exported: &mut Exported) {
    let (metrics, took) = (OperatorMetrics::new(), Duration::from_millis(3));
    for kind in [KindName::Tenant, KindName::ProviderApp, KindName::AgentKey] {
        for outcome in [
            ReconcileOutcome::Settled,
            ReconcileOutcome::Waiting,
            ReconcileOutcome::Failed,
            ReconcileOutcome::Conflict,
            ReconcileOutcome::Released,
        ] {
            metrics.reconciled(kind, outcome, took);
        }
        for change in [
            Change::Created,
            Change::Updated,
            Change::DriftCorrected,
            Change::Rotated,
            Change::Revoked,
            Change::Deleted,
        ] {
            metrics.changed(kind, change);
        }
    }
    for code in
        [Code::Ok, Code::Unavailable, Code::DeadlineExceeded, Code::Unauthenticated, Code::PermissionDenied]
    {
        metrics.admin_call("GetTenant", code, took);
    }
    exported.read(&metrics.render());
}

#[tokio::test]
async fn every_query_asks_for_what_is_exported() {
    let stage = Stage::start().await;
    let mut exported = shown(&stage).await;
    Box::pin(push(&stage, &mut exported)).await;
    operate(&mut exported);
    for rule in RULES.lines().filter_map(|line| line.trim().strip_prefix("- record: ")) {
        exported.add(rule, [("slo".to_owned(), String::new())].into());
    }

    let mut faults = Vec::new();
    for (name, text) in DASHBOARDS {
        let mut asked = Vec::new();
        queries(&serde_json::from_str(text).unwrap(), &mut asked);
        assert!(asked.len() > 20, "{name}: {asked:?}");
        for query in asked {
            if query.starts_with("stagedoor:") && !exported.0.contains_key(&query) {
                faults.push(format!("{name}: no rule records {query}"));
            }
            faults.extend(
                exported.faults(&query).into_iter().map(|fault| format!("{name}: {fault} ({query})")),
            );
        }
    }
    faults.extend(exported.faults(RULES).into_iter().map(|fault| format!("alerts: {fault}")));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_query_for_what_is_not_there_is_found() {
    let page = "# TYPE stagedoor_calls counter\nstagedoor_calls_total{outcome=\"success\"} 1\n\
        stagedoor_duration_seconds_bucket{le=\"2.5\",outcome=\"success\"} 1\n# EOF\n";
    let exported = Exported::of(page);
    let fine = "sum by (outcome, instance) (rate(stagedoor_calls_total{outcome=\"success\",job=~\"$job\"}[5m])) \
        / sum(stagedoor_duration_seconds_bucket{le=\"2.5\"})";
    assert_eq!(exported.faults(fine), Vec::<String>::new());
    for (query, fault) in [
        ("stagedoor_call_total", "no metric is called stagedoor_call_total"),
        ("stagedoor_calls_total{tenant=\"acme\"}", "stagedoor_calls_total has no label tenant"),
        ("stagedoor_calls_total{outcome=~\"success|triumph\"}", "is triumph"),
        ("stagedoor_duration_seconds_bucket{le=\"2\"}", "is 2,"),
        ("sum by (tool) (stagedoor_calls_total)", "nothing in it has the label tool"),
    ] {
        let found = exported.faults(query);
        assert!(found.len() == 1 && found[0].contains(fault), "{query}: {found:?}");
    }
}
