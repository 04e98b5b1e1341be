//! The steps: look whether it is there, make it if it is not, say which.

use serde_json::{Value, json};
use stagedoor_proto::admin::v1::{
    AgentKey, BeginLinkRequest, BeginLinkResponse, CreateAgentKeyRequest, CreateAgentKeyResponse,
    CreateProviderAppRequest, CreateTenantRequest, CreateUserRequest, GetProviderAppRequest,
    GetTenantRequest, KeyState, LinkedAccount, LinkedAccountState, ListAgentKeysRequest,
    ListAgentKeysResponse, ListLinkedAccountsRequest, ListLinkedAccountsResponse, ListUsersRequest,
    ListUsersResponse, Provider, ProviderApp, Tenant, User,
};

use super::questions::Answers;
use crate::catalogue::Catalogue;
use crate::client::Client;
use crate::error::CtlError;
use crate::surroundings::Surroundings;

/// What there is at the end.
pub(super) struct Made {
    pub(super) tenant: String,
    pub(super) provider: &'static str,
    pub(super) steps: Vec<Step>,
    pub(super) endpoint: String,
    /// What the provider has to know before anybody can link.
    pub(super) redirect: Option<String>,
    pub(super) key_id: String,
    /// Only if the key was made just now.
    pub(super) secret: Option<String>,
    /// Only if the account is not linked.
    pub(super) link: Option<String>,
}

/// One thing, and what became of it.
pub(super) struct Step {
    pub(super) what: String,
    pub(super) outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Made,
    Exists,
    /// In a dry run.
    WouldBeMade,
}

impl Step {
    pub(super) fn to_json(&self) -> Value {
        let outcome = match self.outcome {
            Outcome::Made => "made",
            Outcome::Exists => "exists",
            Outcome::WouldBeMade => "would_be_made",
        };
        json!({ "what": self.what, "outcome": outcome })
    }
}

/// Makes what is missing.
pub(super) async fn run(
    client: &Client,
    catalogue: &Catalogue,
    answers: &Answers,
    dry_run: bool,
    surroundings: &Surroundings,
) -> Result<Made, CtlError> {
    let run = Run { client, catalogue, answers, validate_only: dry_run, surroundings };
    let mut steps = Vec::new();
    let (tenant, outcome) = run.tenant().await?;
    steps.push(Step { what: format!("tenant {}", tenant.tenant), outcome });
    // What would be in a tenant that is not there cannot be looked at: all of it would be made.
    let is_there = outcome != Outcome::WouldBeMade;
    let provider = provider_name(answers.provider);
    let (app, outcome) = run.provider_app(is_there).await?;
    steps.push(Step { what: format!("{provider} client {}", answers.client_id), outcome });
    let redirect = app.map(|app| app.redirect_uri).filter(|redirect| !redirect.is_empty());
    let (user, outcome) = run.user(is_there).await?;
    steps.push(Step { what: format!("person {}", answers.user_label), outcome });
    let (key_id, secret, outcome) = run.agent_key(user.as_ref()).await?;
    steps.push(Step {
        what: format!("agent key {} ({})", answers.key_name, answers.scopes.join(", ")),
        outcome,
    });
    let (link, outcome) = run.link(user.as_ref()).await?;
    steps.push(Step { what: format!("link of the person's {provider} account"), outcome });
    Ok(Made {
        tenant: tenant.tenant,
        provider,
        steps,
        endpoint: tenant.endpoint,
        redirect,
        key_id,
        secret,
        link,
    })
}

struct Run<'run> {
    client: &'run Client,
    catalogue: &'run Catalogue,
    answers: &'run Answers,
    validate_only: bool,
    surroundings: &'run Surroundings,
}

impl Run<'_> {
    async fn tenant(&self) -> Result<(Tenant, Outcome), CtlError> {
        let get = GetTenantRequest { tenant: self.answers.tenant.clone() };
        if let Some(tenant) = found(self.call(("tenants", "get"), &get).await)? {
            return Ok((tenant, Outcome::Exists));
        }
        let create = CreateTenantRequest {
            tenant: self.answers.tenant.clone(),
            name: self.answers.name.clone(),
            plan: String::new(),
            request_id: self.request_id(),
            validate_only: self.validate_only,
        };
        Ok((self.call(("tenants", "create"), &create).await?, self.made()))
    }

    async fn provider_app(&self, tenant_is_there: bool) -> Result<(Option<ProviderApp>, Outcome), CtlError> {
        if !tenant_is_there {
            return Ok((None, Outcome::WouldBeMade));
        }
        let provider = self.answers.provider.into();
        let get = GetProviderAppRequest { tenant: self.answers.tenant.clone(), provider };
        if let Some(app) = found::<ProviderApp>(self.call(("provider-apps", "get"), &get).await)? {
            if app.client_id != self.answers.client_id {
                return Err(CtlError::usage(format!(
                    "the tenant's client at this provider is {}, not {}; a client id cannot change: people consented to it",
                    app.client_id, self.answers.client_id
                )));
            }
            return Ok((Some(app), Outcome::Exists));
        }
        let create = CreateProviderAppRequest {
            tenant: self.answers.tenant.clone(),
            provider,
            client_id: self.answers.client_id.clone(),
            client_secret: self.answers.client_secret.clone(),
            request_id: self.request_id(),
            validate_only: self.validate_only,
            ..CreateProviderAppRequest::default()
        };
        Ok((Some(self.call(("provider-apps", "create"), &create).await?), self.made()))
    }

    /// The person of this label; nobody yet in a dry run that would add them.
    async fn user(&self, tenant_is_there: bool) -> Result<(Option<User>, Outcome), CtlError> {
        if !tenant_is_there {
            return Ok((None, Outcome::WouldBeMade));
        }
        let mut list =
            ListUsersRequest { tenant: self.answers.tenant.clone(), page_size: 500, ..Default::default() };
        loop {
            let page: ListUsersResponse = self.call(("users", "list"), &list).await?;
            if let Some(user) = page.users.into_iter().find(|user| user.label == self.answers.user_label) {
                return Ok((Some(user), Outcome::Exists));
            }
            if page.next_page_token.is_empty() {
                break;
            }
            list.page_token = page.next_page_token;
        }
        let create = CreateUserRequest {
            tenant: self.answers.tenant.clone(),
            external_subject: String::new(),
            label: self.answers.user_label.clone(),
            request_id: self.request_id(),
            validate_only: self.validate_only,
        };
        let user: User = self.call(("users", "create"), &create).await?;
        Ok(((!self.validate_only).then_some(user), self.made()))
    }

    async fn agent_key(&self, user: Option<&User>) -> Result<(String, Option<String>, Outcome), CtlError> {
        let Some(user) = user else { return Ok((String::new(), None, Outcome::WouldBeMade)) };
        let list = ListAgentKeysRequest {
            tenant: self.answers.tenant.clone(),
            name: self.answers.key_name.clone(),
            user_id: user.user_id.clone(),
            state: KeyState::Active.into(),
            ..Default::default()
        };
        let keys: ListAgentKeysResponse = self.call(("agent-keys", "list"), &list).await?;
        if let Some(AgentKey { key_id, .. }) = keys.agent_keys.into_iter().next() {
            return Ok((key_id, None, Outcome::Exists));
        }
        let create = CreateAgentKeyRequest {
            tenant: self.answers.tenant.clone(),
            name: self.answers.key_name.clone(),
            scopes: self.answers.scopes.clone(),
            user_id: user.user_id.clone(),
            request_id: self.request_id(),
            validate_only: self.validate_only,
            ..Default::default()
        };
        let made: CreateAgentKeyResponse = self.call(("agent-keys", "create"), &create).await?;
        let key_id = made.agent_key.map(|key| key.key_id).unwrap_or_default();
        Ok((key_id, Some(made.secret).filter(|secret| !secret.is_empty()), self.made()))
    }

    async fn link(&self, user: Option<&User>) -> Result<(Option<String>, Outcome), CtlError> {
        let Some(user) = user else { return Ok((None, Outcome::WouldBeMade)) };
        let list = ListLinkedAccountsRequest {
            tenant: self.answers.tenant.clone(),
            user_id: user.user_id.clone(),
            page_size: 500,
            ..Default::default()
        };
        let accounts: ListLinkedAccountsResponse = self.call(("linked-accounts", "list"), &list).await?;
        let is_it = |account: &LinkedAccount| {
            account.provider() == self.answers.provider && account.state() == LinkedAccountState::Active
        };
        if accounts.linked_accounts.iter().any(is_it) {
            return Ok((None, Outcome::Exists));
        }
        let begin = BeginLinkRequest {
            tenant: self.answers.tenant.clone(),
            user_id: user.user_id.clone(),
            provider: self.answers.provider.into(),
            scopes: self.answers.scopes.clone(),
            validate_only: self.validate_only,
            request_id: self.request_id(),
        };
        let begun: BeginLinkResponse = self.call(("linked-accounts", "begin-link"), &begin).await?;
        Ok((Some(begun.url).filter(|url| !url.is_empty()), self.made()))
    }

    async fn call<Q: prost::Message, A: prost::Message + Default>(
        &self,
        command: (&str, &str),
        request: &Q,
    ) -> Result<A, CtlError> {
        self.client.typed(self.catalogue, command, request).await
    }

    fn made(&self) -> Outcome {
        if self.validate_only { Outcome::WouldBeMade } else { Outcome::Made }
    }

    fn request_id(&self) -> String {
        self.surroundings.random_uuid().to_string()
    }
}

/// `None` where the server says that there is no such thing.
fn found<T>(answer: Result<T, CtlError>) -> Result<Option<T>, CtlError> {
    match answer {
        Err(CtlError::Status(report)) if report.is_not_found() => Ok(None),
        answer => answer.map(Some),
    }
}

fn provider_name(provider: Provider) -> &'static str {
    match provider {
        Provider::Tidal => "Tidal",
        Provider::Spotify | Provider::Unspecified => "Spotify",
    }
}
