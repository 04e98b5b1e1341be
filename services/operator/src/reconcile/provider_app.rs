//! `ProviderApp`: a tenant's client at a music service, its secret read from a Secret and never shown. What the admin API does
//! not tell, whether its secret is still the one that was written, is told by the client's etag.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use stagedoor_proto::admin::v1::{
    self, CreateProviderAppRequest, DeleteProviderAppRequest, GetProviderAppRequest, Provider,
    ProviderAppMode, UpdateProviderAppRequest,
};

use super::convert::request_id;
use super::tenant_ref;
use crate::context::{Context, first_claim};
use crate::kind::{Cleanup, Kind, KindName, ReconcileError, Settled};
use crate::metrics::Change;
use crate::resources::{AppMode, DeletionPolicy, MusicService, ProviderApp, ProviderAppStatus, SecretKeyRef};

/// The secret that is wanted.
enum WantedSecret {
    /// Whatever is there.
    Any,
    /// None.
    None,
    /// This one, which is of that version of its Secret.
    This(SecretString, String),
}

impl Kind for ProviderApp {
    const NAME: KindName = KindName::ProviderApp;
    type Status = ProviderAppStatus;

    fn status(&self) -> Option<&ProviderAppStatus> {
        self.status.as_ref()
    }

    fn is_meant_for_another(&self, context: &Context) -> bool {
        let claimed = self.status.as_ref().is_some_and(|status| status.installation.is_some());
        let namespace = self.namespace().unwrap_or_default();
        !claimed && tenant_ref::is_elsewhere(context, &namespace, &self.spec.tenant_ref)
    }

    fn prepare(&self, context: &Context, status: &mut ProviderAppStatus) -> Result<(), ReconcileError> {
        let namespace = self.namespace().unwrap_or_default();
        let tenant = tenant_ref::find(context, &namespace, &self.spec.tenant_ref)?;
        status.tenant = Some(tenant.slug);
        status.deletion_policy = Some(tenant.deletion_policy);
        Ok(())
    }

    async fn apply(
        &self,
        context: &Context,
        status: &mut ProviderAppStatus,
    ) -> Result<Settled, ReconcileError> {
        let namespace = self.namespace().unwrap_or_default();
        let tenant = tenant_ref::find(context, &namespace, &self.spec.tenant_ref)?;
        self.only_claim(context, &namespace)?;
        self.only_allowed_addresses(context, &namespace)?;
        let secret = self.wanted_secret(context, &namespace).await?;
        let get = GetProviderAppRequest { tenant: tenant.slug.clone(), provider: self.provider().into() };
        let app = match context.admin.call(get).await {
            Ok(app) => self.update(context, status, &tenant.slug, app, &secret).await?,
            Err(failure) if failure.is_missing() => self.create(context, &tenant.slug, &secret).await?,
            Err(failure) => return Err(failure.into()),
        };
        status.redirect_uri = Some(app.redirect_uri.clone());
        status.etag = Some(app.etag);
        if let WantedSecret::This(_, version) = &secret {
            status.secret_version = Some(version.clone());
        }
        Ok(Settled::ready("Available", format!("Register {} at the music service.", app.redirect_uri)))
    }

    async fn clean_up(
        &self,
        context: &Context,
        status: &mut ProviderAppStatus,
    ) -> Result<Cleanup, ReconcileError> {
        let namespace = self.namespace().unwrap_or_default();
        let present = tenant_ref::deletion_policy(context, &namespace, &self.spec.tenant_ref);
        let policy = present.or(status.deletion_policy).unwrap_or_default();
        let (Some(tenant), DeletionPolicy::Delete) = (&status.tenant, policy) else {
            return Ok(Cleanup::Done);
        };
        // What another object has is not this one's.
        if self.only_claim(context, &namespace).is_err() {
            return Ok(Cleanup::Done);
        }
        let provider = self.provider();
        let get = GetProviderAppRequest { tenant: tenant.clone(), provider: provider.into() };
        let app = match context.admin.call(get).await {
            Ok(app) => app,
            Err(failure) if failure.is_missing() || failure.is_of_state() => return Ok(Cleanup::Done),
            Err(failure) => return Err(failure.into()),
        };
        // Of another client id, it is another client: not this object's.
        if app.client_id != self.spec.client_id {
            return Ok(Cleanup::Done);
        }
        let delete = DeleteProviderAppRequest {
            tenant: tenant.clone(),
            provider: provider.into(),
            etag: app.etag,
            validate_only: false,
        };
        match context.admin.call(delete).await {
            Ok(_) => {
                context.metrics.changed(KindName::ProviderApp, Change::Deleted);
                let note = format!("The client at {} was removed.", self.spec.provider.as_str());
                context.events.tell(self, "ProviderAppDeleted", note).await;
                Ok(Cleanup::Done)
            }
            Err(failure) if failure.is_missing() => Ok(Cleanup::Done),
            Err(failure) if failure.is_of_state() => Err(ReconcileError::waiting(
                "AccountsLinked",
                format!(
                    "{failure} Or set the Tenant's deletionPolicy to Retain, which leaves the client in the installation."
                ),
            )),
            Err(failure) => Err(failure.into()),
        }
    }
}

impl ProviderApp {
    fn provider(&self) -> Provider {
        match self.spec.provider {
            MusicService::Spotify => Provider::Spotify,
            MusicService::Tidal => Provider::Tidal,
        }
    }

    fn mode(&self) -> Option<ProviderAppMode> {
        self.spec.mode.map(|mode| match mode {
            AppMode::Development => ProviderAppMode::Development,
            AppMode::Extended => ProviderAppMode::Extended,
        })
    }

    /// Fails if another object of this tenant and provider was there first.
    fn only_claim(&self, context: &Context, namespace: &str) -> Result<(), ReconcileError> {
        let same = |other: &ProviderApp| {
            other.namespace().as_deref() == Some(namespace)
                && other.spec.tenant_ref == self.spec.tenant_ref
                && other.spec.provider == self.spec.provider
        };
        let claims = context.stores.provider_apps.state().into_iter().filter(|other| same(other));
        let has_it = |app: &ProviderApp| app.status.as_ref().is_some_and(|status| status.etag.is_some());
        match first_claim(claims, has_it) {
            Some(first) if first.uid() != self.uid() => Err(ReconcileError::waiting(
                "Duplicate",
                format!(
                    "spec.provider: the ProviderApp {:?} is the tenant's client at {} already; delete one of them.",
                    first.name_any(),
                    self.spec.provider.as_str()
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Fails if the object would send the gateway, and the client's secret, where its author likes.
    fn only_allowed_addresses(&self, context: &Context, namespace: &str) -> Result<(), ReconcileError> {
        let spec = &self.spec;
        let addresses = [&spec.api_base_url, &spec.auth_base_url, &spec.authorize_url];
        if context.is_of_platform(namespace)
            || addresses.iter().all(|given| given.as_deref().unwrap_or_default().is_empty())
        {
            return Ok(());
        }
        Err(ReconcileError::waiting(
            "AddressesNotAllowed",
            "spec.apiBaseUrl, spec.authBaseUrl, spec.authorizeUrl: only in namespaces of operator.platform_namespaces may they be other than the service's own; leave them out.",
        ))
    }

    async fn wanted_secret(
        &self,
        context: &Context,
        namespace: &str,
    ) -> Result<WantedSecret, ReconcileError> {
        match &self.spec.client_secret_ref {
            Some(named) => read_secret(context, namespace, named).await,
            None if self.spec.public_client => Ok(WantedSecret::None),
            None => Ok(WantedSecret::Any),
        }
    }

    async fn create(
        &self,
        context: &Context,
        tenant: &str,
        secret: &WantedSecret,
    ) -> Result<v1::ProviderApp, ReconcileError> {
        let (value, version) = match secret {
            WantedSecret::This(value, version) => (value.expose_secret().to_owned(), version.as_str()),
            WantedSecret::Any | WantedSecret::None => (String::new(), ""),
        };
        let generation = self.metadata.generation.unwrap_or_default().to_string();
        let uid = self.uid().unwrap_or_default();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let create = CreateProviderAppRequest {
            tenant: tenant.to_owned(),
            provider: self.provider().into(),
            client_id: self.spec.client_id.clone(),
            client_secret: value,
            mode: self.mode().unwrap_or_default().into(),
            api_base_url: text(&self.spec.api_base_url),
            auth_base_url: text(&self.spec.auth_base_url),
            authorize_url: text(&self.spec.authorize_url),
            request_id: request_id(&[&uid, "provider-app", &generation, version]),
            validate_only: false,
        };
        let app = context.admin.call(create).await?;
        context.metrics.changed(KindName::ProviderApp, Change::Created);
        let note = format!("The client at {} was set up.", self.spec.provider.as_str());
        context.events.tell(self, "ProviderAppCreated", note).await;
        Ok(app)
    }

    async fn update(
        &self,
        context: &Context,
        status: &ProviderAppStatus,
        tenant: &str,
        app: v1::ProviderApp,
        secret: &WantedSecret,
    ) -> Result<v1::ProviderApp, ReconcileError> {
        if app.client_id != self.spec.client_id {
            return Err(ReconcileError::waiting(
                "ClientIdDiffers",
                "spec.clientId: the tenant has another client at this service; name its id, or remove it first (`stagedoorctl provider-apps delete`).",
            ));
        }
        let mut update = UpdateProviderAppRequest {
            tenant: tenant.to_owned(),
            provider: self.provider().into(),
            etag: app.etag.clone(),
            ..UpdateProviderAppRequest::default()
        };
        let mut paths = Vec::new();
        if let Some(mode) = self.mode().filter(|mode| *mode != app.mode()) {
            update.mode = mode.into();
            paths.push("mode");
        }
        for (path, wanted, present, place) in [
            ("api_base_url", &self.spec.api_base_url, &app.api_base_url, &mut update.api_base_url),
            ("auth_base_url", &self.spec.auth_base_url, &app.auth_base_url, &mut update.auth_base_url),
            ("authorize_url", &self.spec.authorize_url, &app.authorize_url, &mut update.authorize_url),
        ] {
            if let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted != present) {
                place.clone_from(wanted);
                paths.push(path);
            }
        }
        match secret {
            WantedSecret::This(value, version) => {
                let written = status.secret_version.as_ref() == Some(version) && app.has_client_secret;
                if !written || status.etag.as_ref() != Some(&app.etag) {
                    value.expose_secret().clone_into(&mut update.client_secret);
                    paths.push("client_secret");
                }
            }
            WantedSecret::None if app.has_client_secret => paths.push("client_secret"),
            WantedSecret::None | WantedSecret::Any => {}
        }
        if paths.is_empty() {
            return Ok(app);
        }
        let told = paths.join(", ");
        update.update_mask =
            Some(prost_types::FieldMask { paths: paths.into_iter().map(str::to_owned).collect() });
        let app = context.admin.call(update).await?;
        self.changed(context, status, &told).await;
        Ok(app)
    }

    async fn changed(&self, context: &Context, status: &ProviderAppStatus, what: &str) {
        if status.etag.is_some() && status.observed_generation == self.metadata.generation {
            context.metrics.changed(KindName::ProviderApp, Change::DriftCorrected);
            let note = format!("Written again, as it or its Secret was changed: {what}.");
            context.events.tell(self, "DriftCorrected", note).await;
        } else {
            context.metrics.changed(KindName::ProviderApp, Change::Updated);
            context.events.tell(self, "ProviderAppUpdated", format!("Changed: {what}.")).await;
        }
    }
}

async fn read_secret(
    context: &Context,
    namespace: &str,
    named: &SecretKeyRef,
) -> Result<WantedSecret, ReconcileError> {
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let name = &named.name;
    let missing =
        |what: String| ReconcileError::waiting("SecretMissing", format!("spec.clientSecretRef: {what}"));
    let secret = secrets.get_opt(name).await?.ok_or_else(|| {
        missing(format!(
            "there is no Secret {name:?} in namespace {namespace:?}; make it, and it is read within {} s.",
            context.config.retry_max_seconds
        ))
    })?;
    let version =
        format!("{}/{}", secret.uid().unwrap_or_default(), secret.resource_version().unwrap_or_default());
    let data: BTreeMap<String, ByteString> = secret.data.unwrap_or_default();
    let key = &named.key;
    let ByteString(bytes) = data.get(key).ok_or_else(|| {
        missing(format!("the Secret {name:?} has no key {key:?}; add it, or set spec.clientSecretRef.key."))
    })?;
    let text = String::from_utf8(bytes.clone()).unwrap_or_default();
    let text = SecretString::from(text);
    let trimmed = text.expose_secret().trim_end_matches(['\r', '\n']);
    if trimmed.is_empty() {
        return Err(missing(format!("the key {key:?} of the Secret {name:?} is empty or no text.")));
    }
    Ok(WantedSecret::This(SecretString::from(trimmed.to_owned()), version))
}
