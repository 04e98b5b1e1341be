//! The three controllers: what is watched, and which change leads to work on which object. Changes of a status lead to none,
//! but those of a tenant's lead to work on what names it.

use std::fmt::Debug;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, TryStreamExt, future, stream};
use kube::runtime::controller::{Config, Error, ReconcileReason, ReconcileRequest};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{
    PredicateConfig, WatchStreamExt, applier, predicates,
    watcher::{self, watcher},
};
use kube::{Api, Resource, ResourceExt};
use tokio_util::sync::CancellationToken;

use crate::context::{Context, Stores};
use crate::kind::Kind;
use crate::reconcile::reconcile;
use crate::resources::{AgentKey, ProviderApp, Tenant, TenantRef};

/// Where what is watched is written.
#[derive(Debug)]
pub struct Writers {
    tenants: reflector::store::Writer<Tenant>,
    provider_apps: reflector::store::Writer<ProviderApp>,
    agent_keys: reflector::store::Writer<AgentKey>,
}

/// Empty stores, and their writers.
pub fn stores() -> (Stores, Writers) {
    let (tenants, tenants_writer) = reflector::store();
    let (provider_apps, provider_apps_writer) = reflector::store();
    let (agent_keys, agent_keys_writer) = reflector::store();
    let writers = Writers {
        tenants: tenants_writer,
        provider_apps: provider_apps_writer,
        agent_keys: agent_keys_writer,
    };
    (Stores { tenants, provider_apps, agent_keys }, writers)
}

/// What leads to work.
type Requests<K> = stream::BoxStream<'static, Result<ReconcileRequest<K>, watcher::Error>>;

/// Works on all objects until `stop`; what is under way then is finished.
pub async fn run(context: Arc<Context>, writers: Writers, stop: CancellationToken) {
    let stores = context.stores.clone();
    let tenants = changes(&context, writers.tenants);
    let apps = of_tenants(&context, stores.provider_apps.clone(), |app: &ProviderApp| &app.spec.tenant_ref);
    let apps = once_known(&stores.tenants, stream::select(changes(&context, writers.provider_apps), apps));
    let keys = of_tenants(&context, stores.agent_keys.clone(), |key: &AgentKey| &key.spec.tenant_ref);
    let keys = once_known(&stores.tenants, stream::select(changes(&context, writers.agent_keys), keys));
    let work = future::join3(
        drive(&context, stores.tenants.clone(), tenants.boxed(), &stop),
        drive(&context, stores.provider_apps.clone(), apps, &stop),
        drive(&context, stores.agent_keys.clone(), keys, &stop),
    );
    work.await;
}

/// Works on the objects of one kind.
async fn drive<K: Kind>(
    context: &Arc<Context>,
    store: Store<K>,
    requests: Requests<K>,
    stop: &CancellationToken,
) {
    let config = Config::default().concurrency(context.config.concurrency);
    // The end of the requests is the end of the work.
    let requests = requests.take_until(stop.clone().cancelled_owned()).boxed();
    let work = applier(
        |object, context| Box::pin(reconcile::<K>(object, context)),
        |_, error, _| match *error {},
        Arc::clone(context),
        store,
        requests,
        config,
    );
    work.for_each(|done| {
        match done {
            // Gone between a change and the work on it.
            Ok(_) | Err(Error::ObjectNotFound(_)) => {}
            Err(error) => {
                tracing::warn!(kind = K::NAME.as_str(), %error, "watching objects failed; it is tried again");
            }
        }
        future::ready(())
    })
    .await;
}

/// Each object that was changed or deleted by someone, and at first each that there is. Fills the store.
fn changes<K: Kind>(
    context: &Context,
    writer: reflector::store::Writer<K>,
) -> impl Stream<Item = Result<ReconcileRequest<K>, watcher::Error>> + Send + 'static {
    // Neither a status nor a finalizer changes the generation: what the operator writes leads to no work. A deletion does.
    watcher(api::<K>(context), watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .applied_objects()
        .predicate_filter(predicates::generation, PredicateConfig::default())
        .map_ok(|object| request(&object, ReconcileReason::ObjectUpdated))
}

/// Each object that names a tenant which changed.
fn of_tenants<K: Kind>(
    context: &Context,
    store: Store<K>,
    reference: impl Fn(&K) -> &TenantRef + Send + Sync + 'static,
) -> impl Stream<Item = Result<ReconcileRequest<K>, watcher::Error>> + Send + 'static {
    let tenants =
        watcher(api::<Tenant>(context), watcher::Config::default()).default_backoff().touched_objects();
    tenants
        .map_ok(move |tenant| {
            let (namespace, name) = (tenant.namespace(), tenant.name_any());
            let names_it = |object: &K| object.namespace() == namespace && reference(object).name == name;
            let because = ReconcileReason::RelatedObjectUpdated {
                obj_ref: Box::new(ObjectRef::from_obj(&tenant).erase()),
            };
            let named = store.state_filter(names_it);
            let requests: Vec<_> =
                named.iter().map(|object| Ok(request(&**object, because.clone()))).collect();
            stream::iter(requests)
        })
        .try_flatten()
}

/// `requests` from the moment on in which all tenants are known: a client or a key needs its own.
fn once_known<K: Kind>(
    tenants: &Store<Tenant>,
    requests: impl Stream<Item = Result<ReconcileRequest<K>, watcher::Error>> + Send + 'static,
) -> Requests<K> {
    let tenants = tenants.clone();
    let known = async move { tenants.wait_until_ready().await };
    stream::once(known).flat_map(|_| stream::empty()).chain(requests).boxed()
}

fn request<K: Kind>(object: &K, reason: ReconcileReason) -> ReconcileRequest<K> {
    ReconcileRequest { obj_ref: ObjectRef::from_obj(object), reason }
}

fn api<K>(context: &Context) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    let client = context.client.clone();
    match &context.config.namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    }
}
