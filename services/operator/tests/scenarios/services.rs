//! The services of the stand-in about tenants, settings, clients and people.

use serde_json::{Value, json};
use stagedoor_proto::admin::v1::*;
use stagedoor_proto::dynamic;
use tonic::{Code, Request, Response, Status};

use crate::installation::{Installation, check_etag, names, refusal};

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl caller_service_server::CallerService for Installation {
    async fn get_caller(&self, request: Request<GetCallerRequest>) -> Answer<Caller> {
        let (_, seen) = self.admit("GetCaller", request)?;
        Self::answer(
            seen,
            "GetCaller",
            Caller { principal: "admin-key:operator".to_owned(), ..Caller::default() },
        )
    }
}

#[tonic::async_trait]
impl tenant_service_server::TenantService for Installation {
    async fn create_tenant(&self, request: Request<CreateTenantRequest>) -> Answer<Tenant> {
        let (request, mut seen) = self.admit("CreateTenant", request)?;
        if let Some(made) = seen.before(&request.request_id, &request)? {
            let tenant = seen.tenant(&made)?.clone();
            return Self::answer(seen, "CreateTenant", tenant);
        }
        if seen.tenants.contains_key(&request.tenant) {
            return Err(refusal(
                Code::AlreadyExists,
                "ALREADY_EXISTS",
                "There is a tenant of that name already.",
            ));
        }
        let tenant = Tenant {
            tenant: request.tenant.clone(),
            tenant_id: format!("id-of-{}-{}", request.tenant, seen.versions),
            name: request.tenant.clone(),
            plan: "standard".to_owned(),
            state: TenantState::Active.into(),
            endpoint: format!("https://music.example.com/t/{}/mcp", request.tenant),
            etag: seen.etag(),
            ..Tenant::default()
        };
        seen.tenants.insert(request.tenant.clone(), tenant.clone());
        seen.remember(&request.request_id, &request, &request.tenant);
        Self::answer(seen, "CreateTenant", tenant)
    }

    async fn get_tenant(&self, request: Request<GetTenantRequest>) -> Answer<Tenant> {
        let (request, mut seen) = self.admit("GetTenant", request)?;
        let tenant = seen.tenant(&request.tenant)?.clone();
        Self::answer(seen, "GetTenant", tenant)
    }

    async fn list_tenants(&self, _: Request<ListTenantsRequest>) -> Answer<ListTenantsResponse> {
        Err(Status::unimplemented("not used"))
    }

    async fn update_tenant(&self, request: Request<UpdateTenantRequest>) -> Answer<Tenant> {
        let (request, mut seen) = self.admit("UpdateTenant", request)?;
        let etag = seen.etag();
        let tenant = seen.tenant(&request.tenant)?;
        check_etag(&request.etag, &tenant.etag)?;
        let mask = request.update_mask.as_ref();
        if names(mask, "name") {
            tenant.name = request.name;
        }
        if names(mask, "plan") {
            tenant.plan = request.plan;
        }
        tenant.etag = etag;
        let tenant = tenant.clone();
        Self::answer(seen, "UpdateTenant", tenant)
    }

    async fn suspend_tenant(&self, request: Request<SuspendTenantRequest>) -> Answer<Tenant> {
        let (request, mut seen) = self.admit("SuspendTenant", request)?;
        let tenant = seen.tenant(&request.tenant)?;
        tenant.state = TenantState::Suspended.into();
        let tenant = tenant.clone();
        Self::answer(seen, "SuspendTenant", tenant)
    }

    async fn resume_tenant(&self, request: Request<ResumeTenantRequest>) -> Answer<Tenant> {
        let (request, mut seen) = self.admit("ResumeTenant", request)?;
        let tenant = seen.tenant(&request.tenant)?;
        tenant.state = TenantState::Active.into();
        let tenant = tenant.clone();
        Self::answer(seen, "ResumeTenant", tenant)
    }

    async fn delete_tenant(&self, request: Request<DeleteTenantRequest>) -> Answer<PrivacyRequest> {
        let (request, mut seen) = self.admit("DeleteTenant", request)?;
        assert_eq!(request.confirm, request.tenant);
        seen.tenant(&request.tenant)?.state = TenantState::Deleting.into();
        Self::answer(seen, "DeleteTenant", PrivacyRequest::default())
    }
}

#[tonic::async_trait]
impl settings_service_server::SettingsService for Installation {
    async fn get_settings(&self, request: Request<GetSettingsRequest>) -> Answer<Settings> {
        let (request, mut seen) = self.admit("GetSettings", request)?;
        seen.tenant(&request.tenant)?;
        let stored = seen.settings.get(&request.tenant).cloned().unwrap_or_else(|| json!({}));
        Self::answer(seen, "GetSettings", read(stored))
    }

    async fn update_settings(&self, request: Request<UpdateSettingsRequest>) -> Answer<Settings> {
        let (request, mut seen) = self.admit("UpdateSettings", request)?;
        let mut stored = seen.settings.get(&request.tenant).cloned().unwrap_or_else(|| json!({}));
        check_etag(&request.etag, stored["etag"].as_str().unwrap_or_default())?;
        let new = written(&request.settings.unwrap_or_default());
        for path in request.update_mask.unwrap_or_default().paths {
            let mut pointer: Vec<_> = path.split('.').collect();
            if pointer[0] == "policy_gates" {
                pointer.insert(2, "gates");
            }
            put(&mut stored, &pointer, new.pointer(&format!("/{}", pointer.join("/"))));
        }
        stored["etag"] = json!(seen.etag());
        seen.settings.insert(request.tenant, stored.clone());
        Self::answer(seen, "UpdateSettings", read(stored))
    }
}

fn put(stored: &mut Value, path: &[&str], value: Option<&Value>) {
    let [name, rest @ ..] = path else { return };
    if !rest.is_empty() {
        if stored[*name].is_null() {
            stored[*name] = json!({});
        }
        return put(&mut stored[*name], rest, value);
    }
    match value {
        Some(value) => stored[*name] = value.clone(),
        None => drop(stored.as_object_mut().unwrap().remove(*name)),
    }
}

fn descriptor() -> prost_reflect::MessageDescriptor {
    dynamic::pool().get_message_by_name("stagedoor.admin.v1.Settings").unwrap()
}

fn read(stored: Value) -> Settings {
    prost_reflect::DynamicMessage::deserialize(descriptor(), stored).unwrap().transcode_to().unwrap()
}

fn written(settings: &Settings) -> Value {
    let mut message = prost_reflect::DynamicMessage::new(descriptor());
    message.transcode_from(settings).unwrap();
    let options = prost_reflect::SerializeOptions::new().use_proto_field_name(true);
    message.serialize_with_options(serde_json::value::Serializer, &options).unwrap()
}

fn no_app() -> Status {
    refusal(Code::NotFound, "OBJECT_UNKNOWN", "There is no such provider app.")
}

#[tonic::async_trait]
impl provider_app_service_server::ProviderAppService for Installation {
    async fn create_provider_app(&self, request: Request<CreateProviderAppRequest>) -> Answer<ProviderApp> {
        let (request, mut seen) = self.admit("CreateProviderApp", request)?;
        let key = (request.tenant.clone(), request.provider);
        if seen.before(&request.request_id, &request)?.is_none() {
            seen.tenant(&request.tenant)?;
            if seen.apps.contains_key(&key) {
                return Err(refusal(Code::AlreadyExists, "ALREADY_EXISTS", "There is one already."));
            }
            let mode = if request.mode == 0 { 1 } else { request.mode };
            let app = ProviderApp {
                provider: request.provider,
                client_id: request.client_id.clone(),
                has_client_secret: !request.client_secret.is_empty(),
                mode,
                redirect_uri: format!("https://music.example.com/connect/{}/callback", request.tenant),
                etag: seen.etag(),
                ..ProviderApp::default()
            };
            seen.apps.insert(key.clone(), app);
            seen.app_secrets.insert(key.clone(), request.client_secret.clone());
            seen.remember(&request.request_id, &request, "app");
        }
        let app = seen.apps[&key].clone();
        Self::answer(seen, "CreateProviderApp", app)
    }

    async fn get_provider_app(&self, request: Request<GetProviderAppRequest>) -> Answer<ProviderApp> {
        let (request, seen) = self.admit("GetProviderApp", request)?;
        let app = seen.apps.get(&(request.tenant, request.provider)).cloned().ok_or_else(no_app)?;
        Self::answer(seen, "GetProviderApp", app)
    }

    async fn list_provider_apps(
        &self,
        _: Request<ListProviderAppsRequest>,
    ) -> Answer<ListProviderAppsResponse> {
        Err(Status::unimplemented("not used"))
    }

    async fn update_provider_app(&self, request: Request<UpdateProviderAppRequest>) -> Answer<ProviderApp> {
        let (request, mut seen) = self.admit("UpdateProviderApp", request)?;
        let (key, etag) = ((request.tenant.clone(), request.provider), seen.etag());
        let app = seen.apps.get_mut(&key).ok_or_else(no_app)?;
        check_etag(&request.etag, &app.etag)?;
        let mask = request.update_mask.as_ref();
        if names(mask, "mode") {
            app.mode = request.mode;
        }
        if names(mask, "api_base_url") {
            app.api_base_url.clone_from(&request.api_base_url);
        }
        app.etag = etag;
        if names(mask, "client_secret") {
            app.has_client_secret = !request.client_secret.is_empty();
            seen.app_secrets.insert(key.clone(), request.client_secret.clone());
        }
        let app = seen.apps[&key].clone();
        Self::answer(seen, "UpdateProviderApp", app)
    }

    async fn delete_provider_app(
        &self,
        request: Request<DeleteProviderAppRequest>,
    ) -> Answer<DeleteProviderAppResponse> {
        let (request, mut seen) = self.admit("DeleteProviderApp", request)?;
        if seen.linked {
            return Err(refusal(Code::FailedPrecondition, "NOT_IN_STATE", "Accounts are linked through it."));
        }
        seen.apps.remove(&(request.tenant, request.provider)).ok_or_else(no_app)?;
        Self::answer(seen, "DeleteProviderApp", DeleteProviderAppResponse {})
    }
}

#[tonic::async_trait]
impl user_service_server::UserService for Installation {
    async fn create_user(&self, _: Request<CreateUserRequest>) -> Answer<User> {
        Err(Status::unimplemented("not used"))
    }

    async fn get_user(&self, _: Request<GetUserRequest>) -> Answer<User> {
        Err(Status::unimplemented("not used"))
    }

    async fn list_users(&self, request: Request<ListUsersRequest>) -> Answer<ListUsersResponse> {
        let (request, seen) = self.admit("ListUsers", request)?;
        let fits = |user: &&User| user.external_subject == request.external_subject;
        let users = seen.users.iter().filter(fits).cloned().collect();
        Self::answer(seen, "ListUsers", ListUsersResponse { users, ..ListUsersResponse::default() })
    }

    async fn update_user(&self, _: Request<UpdateUserRequest>) -> Answer<User> {
        Err(Status::unimplemented("not used"))
    }
}
