//! What the demo says when it serves.

use std::path::Path;

use serde_json::json;

use crate::assembly::Listeners;
use crate::demo::provision::Demo;

/// What a visitor needs to begin.
#[derive(Debug)]
pub(super) struct Greeting {
    endpoint: String,
    ops_url: String,
    admin_url: Option<String>,
    admin_key_file: String,
    api_key: String,
    tenant: String,
    keeper: String,
    has_redis: bool,
}

impl Greeting {
    pub(super) fn new(
        listeners: &Listeners,
        demo: &Demo,
        keeper: &Path,
        has_redis: bool,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            endpoint: format!("http://{}/t/{}/mcp", listeners.public.local_addr()?, demo.tenant),
            ops_url: format!("http://{}", listeners.ops.local_addr()?),
            admin_url: match &listeners.admin {
                Some(admin) => Some(format!("http://{}", admin.local_addr()?)),
                None => None,
            },
            admin_key_file: demo.admin_key_file.display().to_string(),
            api_key: demo.api_key.clone(),
            tenant: demo.tenant.to_string(),
            keeper: keeper.display().to_string(),
            has_redis,
        })
    }

    /// Prints it: for a person, or one line for a script.
    #[expect(clippy::print_stdout, reason = "the output is the command's job")]
    pub(super) fn print(&self, as_json: bool) {
        if as_json {
            println!("{}", self.json());
        } else {
            println!("{}", self.text());
        }
    }

    fn json(&self) -> String {
        json!({
            "endpoint": self.endpoint,
            "api_key": self.api_key,
            "ops_url": self.ops_url,
            "admin_url": self.admin_url,
            "admin_key_file": self.admin_key_file,
            "tenant": self.tenant,
            "keeper_config": self.keeper,
        })
        .to_string()
    }

    fn text(&self) -> String {
        let Self { endpoint, ops_url, api_key, tenant, keeper, admin_key_file, .. } = self;
        let admin_url = self.admin_url.as_deref().unwrap_or("off");
        let redis = if self.has_redis {
            "Limits are shared through Redis."
        } else {
            "No Redis: limits and cache are this process's own, so run one replica only."
        };
        format!(
            r#"
Stagedoor is open. Tenant {tenant:?}, one person with a Spotify and a Tidal account, both in the sandbox.

  endpoint   {endpoint}
  API key    {api_key}
  ops        {ops_url}   (/livez /readyz /startupz /metrics)
  admin API  {admin_url}   (gRPC, and JSON: /openapi.json; its key is in {admin_key_file})

Try it:

  curl -s {endpoint} -H 'Authorization: Bearer {api_key}' -H 'Content-Type: application/json' \
    -d '{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"search","arguments":{{"query":"river","provider":"tidal"}}}}}}'

  curl -s {endpoint} -H 'Authorization: Bearer {api_key}' -H 'Content-Type: application/json' \
    -d '{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"name":"account_link","arguments":{{"provider":"spotify"}}}}}}'
    (open the address in the answer in a browser: it links another account of Robin's)

  npx @modelcontextprotocol/inspector --cli {endpoint} --transport http \
    --header 'Authorization: Bearer {api_key}' --method tools/list

  claude mcp add --transport http stagedoor {endpoint} --header 'Authorization: Bearer {api_key}'

  stagedoorctl --server {admin_url} --key-file {admin_key_file} tenants list
    (in a checkout: ./dev ctl; `quickstart` makes a tenant of your own)

  stagedoor-keeper --config {keeper} run-due
    (in a checkout: ./dev keeper; retention, backups with a drill, rotation, checks, whatever is due)

{redis} PostgreSQL is private to this demo and ends with it; data is kept (--reset begins anew).
Ctrl-C ends everything.
"#
        )
    }
}
