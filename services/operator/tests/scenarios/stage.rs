//! One scenario's cluster, installation and operators.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::KubeConfigOptions;
use kube::{Api, Client, Config, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stagedoor_bootstrap::config::{OperatorConfig, variable};
use stagedoor_bootstrap::{Health, tls};
use stagedoor_crypto::SystemEntropy;
use stagedoor_domain::{Clock, SystemClock};
use stagedoor_operator::metrics::OperatorMetrics;
use stagedoor_operator::operator::Operator;
use stagedoor_operator::resources::{AgentKey, Condition, ConditionType, ProviderApp, Tenant, condition};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::installation::{ADMIN_KEY, Installation, Served};

/// The kubeconfig of a real cluster with the definitions.
pub(crate) const KUBECONFIG: &str = "STAGEDOOR_E2E_KUBECONFIG";
/// Set where that cluster knows custom resources only: what else there is comes from the stand-in.
const CUSTOM_ONLY: &str = "STAGEDOOR_E2E_CUSTOM_RESOURCES_ONLY";
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The machine's clock, which can be set forward.
#[derive(Debug, Default)]
pub(crate) struct ForwardClock {
    clock: SystemClock,
    ahead: AtomicI64,
}

impl ForwardClock {
    pub(crate) fn forward(&self, by: TimeDelta) {
        self.ahead.fetch_add(by.num_seconds(), Ordering::SeqCst);
    }
}

impl Clock for ForwardClock {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now() + TimeDelta::seconds(self.ahead.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }
}

/// One scenario.
pub(crate) struct Stage {
    pub(crate) client: Client,
    /// The stand-in behind the client; of a real cluster, what only the stand-in has.
    pub(crate) cluster: Cluster,
    pub(crate) namespace: String,
    pub(crate) clock: Arc<ForwardClock>,
    pub(crate) folder: TempDir,
    served: Served,
}

/// An operator that runs.
pub(crate) struct Running {
    pub(crate) metrics: Arc<OperatorMetrics>,
    pub(crate) health: Health,
    stop: CancellationToken,
    task: JoinHandle<Option<()>>,
}

impl Running {
    /// Asks it to end, and waits until it has.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("it ends").unwrap().expect("it did not panic");
    }

    /// Ends it as a crash does.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// The value of a series.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let text = self.metrics.render();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or(0)
    }
}

impl Stage {
    /// A stage with the stand-in, or with a real cluster where one is given.
    pub(crate) async fn start(name: &str) -> Self {
        let cluster = Cluster::new();
        let client = match variable(KUBECONFIG) {
            Some(file) => real(&file, &cluster).await,
            None => cluster.client(),
        };
        Self::with(client, cluster, name).await
    }

    /// A stage with the stand-in, for what only that can do.
    pub(crate) async fn alone(name: &str) -> Self {
        let cluster = Cluster::new();
        Self::with(cluster.client(), cluster, name).await
    }

    async fn with(client: Client, cluster: Cluster, name: &str) -> Self {
        tls::install_provider();
        let clock = Arc::new(ForwardClock::default());
        let served = Served::start(Arc::clone(&clock) as Arc<dyn Clock>).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("admin.key"), format!("{ADMIN_KEY}\n")).unwrap();
        let millis = SystemClock::new().now().timestamp_millis();
        let namespace = format!("{name}-{millis}");
        let made = Namespace {
            metadata: kube::core::ObjectMeta {
                name: Some(namespace.clone()),
                labels: Some([("stagedoor.dev/e2e".to_owned(), "true".to_owned())].into()),
                ..Default::default()
            },
            ..Namespace::default()
        };
        Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &made).await.unwrap();
        Self { client, cluster, namespace, clock, folder, served }
    }

    pub(crate) fn installation(&self) -> &Installation {
        &self.served.installation
    }

    pub(crate) fn config(&self) -> OperatorConfig {
        OperatorConfig {
            admin_url: format!("http://{}", self.served.address),
            admin_key_file: Some(self.folder.path().join("admin.key")),
            admin_timeout_ms: 5_000,
            calls_per_second: 1_000,
            namespace: Some(self.namespace.clone()),
            lease_namespace: Some(self.namespace.clone()),
            lease_seconds: 2,
            resync_seconds: 1,
            retry_base_ms: 20,
            retry_max_seconds: 1,
            ..OperatorConfig::default()
        }
    }

    /// Starts an operator.
    pub(crate) fn operator(&self, host: &str) -> Running {
        self.operator_with(host, self.config())
    }

    pub(crate) fn operator_with(&self, host: &str, config: OperatorConfig) -> Running {
        let (metrics, health, stop) =
            (Arc::new(OperatorMetrics::new()), Health::new(), CancellationToken::new());
        let operator = Operator {
            client: self.client.clone(),
            config,
            metrics: Arc::clone(&metrics),
            health: health.clone(),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            entropy: Arc::new(SystemEntropy),
            host: host.to_owned(),
        };
        let token = stop.clone();
        let task = stagedoor_bootstrap::tasks::spawn("operator", async move {
            Box::pin(operator.run(token)).await.unwrap();
        });
        Running { metrics, health, stop, task }
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Makes an object.
    pub(crate) async fn make<K>(&self, name: &str, spec: Value)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
    {
        let object = json!({
            "apiVersion": K::api_version(&()), "kind": K::kind(&()),
            "metadata": {"name": name, "namespace": self.namespace}, "spec": spec,
        });
        let object: K = serde_json::from_value(object).unwrap();
        self.api::<K>().create(&PostParams::default(), &object).await.unwrap();
    }

    /// Changes an object's spec.
    pub(crate) async fn change<K>(&self, name: &str, spec: Value)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
    {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.api::<K>().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Deletes an object; it goes when its finalizers are gone.
    pub(crate) async fn delete<K>(&self, name: &str)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        self.api::<K>().delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Waits until an object is gone.
    pub(crate) async fn gone<K>(&self, name: &str)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        until(&format!("{name} is gone"), async || {
            self.api::<K>().get_opt(name).await.unwrap().is_none().then_some(())
        })
        .await;
    }

    /// Writes a Secret as people do.
    pub(crate) async fn secret(&self, name: &str, key: &str, value: &str) {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            "data": {key: k8s_openapi::ByteString(value.as_bytes().to_vec())},
        });
        let by = PatchParams::apply("people").force();
        self.api::<Secret>().patch(name, &by, &Patch::Apply(secret)).await.unwrap();
    }

    /// A text in a Secret.
    pub(crate) async fn secret_text(&self, name: &str, key: &str) -> Option<String> {
        let secret = self.api::<Secret>().get_opt(name).await.unwrap()?;
        let bytes = secret.data?.get(key)?.0.clone();
        Some(String::from_utf8(bytes).unwrap())
    }

    /// Waits until an object's condition `Ready` has that reason, and answers the object.
    pub(crate) async fn ready<K: Conditioned>(&self, name: &str, reason: &str) -> K {
        self.has_condition(name, ConditionType::Ready, reason).await
    }

    /// Waits until an object's condition `Synced` has that reason.
    pub(crate) async fn synced<K: Conditioned>(&self, name: &str, reason: &str) -> K {
        self.has_condition(name, ConditionType::Synced, reason).await
    }

    async fn has_condition<K: Conditioned>(&self, name: &str, type_: ConditionType, reason: &str) -> K {
        until(&format!("{name} is {reason}"), async || {
            let object = self.api::<K>().get(name).await.unwrap();
            let condition = condition(object.conditions(), type_)?;
            let current = condition.observed_generation == object.meta().generation;
            (current && condition.reason == reason).then_some(object)
        })
        .await
    }

    /// A tenant that is there.
    pub(crate) async fn tenant(&self, name: &str) {
        self.make::<Tenant>(name, json!({})).await;
        self.ready::<Tenant>(name, "Available").await;
    }

    /// All texts of all events.
    pub(crate) async fn events(&self) -> Vec<(String, String)> {
        let events =
            self.api::<k8s_openapi::api::events::v1::Event>().list(&ListParams::default()).await.unwrap();
        let text = |text: Option<String>| text.unwrap_or_default();
        events.items.into_iter().map(|event| (text(event.reason), text(event.note))).collect()
    }

    /// Waits until an event of that reason was published.
    pub(crate) async fn event(&self, reason: &str) -> String {
        until(&format!("an event {reason}"), async || {
            self.events().await.into_iter().find(|(of, _)| of == reason).map(|(_, note)| note)
        })
        .await
    }
}

/// An object with conditions.
pub(crate) trait Conditioned:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned
{
    fn conditions(&self) -> &[Condition];
}

macro_rules! conditioned {
    ($($kind:ident),+) => {$(
        impl Conditioned for $kind {
            fn conditions(&self) -> &[Condition] {
                self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
            }
        }
    )+};
}
conditioned!(Tenant, ProviderApp, AgentKey);

/// Waits until there is something.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = tokio::time::Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "it never came to this: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A real cluster; one that knows custom resources only has the rest from the stand-in.
async fn real(file: &str, cluster: &Cluster) -> Client {
    tls::install_provider();
    let kubeconfig = kube::config::Kubeconfig::read_from(file).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    let real = Client::try_from(config).unwrap();
    if variable(CUSTOM_ONLY).is_none() {
        return real;
    }
    let stand_in = cluster.client();
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let custom = request.uri().path().starts_with("/apis/stagedoor.dev/");
        let client = if custom { real.clone() } else { stand_in.clone() };
        async move { client.send(request).await }
    });
    Client::new(service, "stagedoor-system")
}
