//! Ready configuration of the usual MCP clients for one endpoint and key: each in the form and the place that its own
//! documentation names.

use clap::ValueEnum;
use serde_json::{Value, json};

/// What stands where the key belongs when its secret is not known any more.
pub(super) const PLACEHOLDER: &str = "YOUR_KEY";

/// A client that configuration can be printed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum McpClient {
    /// Claude Code, by its command.
    ClaudeCode,
    /// Claude Desktop, over the bridge `mcp-remote`: its file knows local servers only.
    ClaudeDesktop,
    /// Visual Studio Code; asks for the key and keeps it out of the file.
    Vscode,
    /// Cursor; takes the key from the environment.
    Cursor,
    /// The common `mcpServers` object.
    Json,
    /// A first call by hand.
    Curl,
}

/// Configuration of one client.
pub(super) struct Configuration {
    pub(super) name: &'static str,
    /// Where it goes.
    pub(super) place: &'static str,
    pub(super) text: String,
}

/// For these clients, or for all.
pub(super) fn configurations(endpoint: &str, secret: Option<&str>, only: &[McpClient]) -> Vec<Configuration> {
    let all = McpClient::value_variants();
    let clients = if only.is_empty() { all } else { only };
    clients.iter().map(|client| configuration(*client, endpoint, secret.unwrap_or(PLACEHOLDER))).collect()
}

fn configuration(client: McpClient, endpoint: &str, key: &str) -> Configuration {
    let bearer = format!("Bearer {key}");
    let servers = |server: Value| format!("{:#}", json!({ "mcpServers": { "stagedoor": server } }));
    match client {
        McpClient::ClaudeCode => Configuration {
            name: "Claude Code",
            place: "run it in a shell",
            text: format!(
                "claude mcp add --transport http stagedoor {endpoint} \\\n  --header \"Authorization: {bearer}\""
            ),
        },
        McpClient::ClaudeDesktop => Configuration {
            name: "Claude Desktop",
            place: "claude_desktop_config.json",
            // No blank after the colon: some versions break arguments at blanks.
            text: servers(json!({
                "command": "npx",
                "args": ["-y", "mcp-remote", endpoint, "--header", "Authorization:${AUTHORIZATION}"],
                "env": { "AUTHORIZATION": bearer },
            })),
        },
        McpClient::Vscode => Configuration {
            name: "Visual Studio Code",
            place: ".vscode/mcp.json; it asks for the key",
            text: format!(
                "{:#}",
                json!({
                    "inputs": [{
                        "type": "promptString",
                        "id": "stagedoor-key",
                        "description": "Key of Stagedoor",
                        "password": true,
                    }],
                    "servers": { "stagedoor": {
                        "type": "http",
                        "url": endpoint,
                        "headers": { "Authorization": "Bearer ${input:stagedoor-key}" },
                    } },
                })
            ),
        },
        McpClient::Cursor => Configuration {
            name: "Cursor",
            place: "~/.cursor/mcp.json or .cursor/mcp.json; the key is in STAGEDOOR_KEY",
            text: servers(json!({
                "url": endpoint,
                "headers": { "Authorization": "Bearer ${env:STAGEDOOR_KEY}" },
            })),
        },
        McpClient::Json => Configuration {
            name: "Other clients",
            place: "their mcpServers object",
            text: servers(json!({ "type": "http", "url": endpoint, "headers": { "Authorization": bearer } })),
        },
        McpClient::Curl => Configuration {
            name: "curl",
            place: "run it in a shell; lists the tools",
            text: format!(
                "curl -s {endpoint} -H 'Authorization: {bearer}' \\\n  -H 'Content-Type: application/json' \
                 -H 'Accept: application/json, text/event-stream' \\\n  \
                 -d '{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}}'"
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: &str = "https://music.example.org/t/acme/mcp";

    #[test]
    fn each_client_has_the_endpoint_and_those_that_hold_keys_the_key() {
        for client in McpClient::value_variants() {
            let text = configuration(*client, ENDPOINT, "sd_live_x").text;
            assert!(text.contains(ENDPOINT), "{client:?}");
            let keeps_it_elsewhere = matches!(client, McpClient::Vscode | McpClient::Cursor);
            assert_eq!(text.contains("Bearer sd_live_x"), !keeps_it_elsewhere, "{client:?}: {text}");
        }
    }

    #[test]
    fn what_is_json_is_json() {
        for client in [McpClient::ClaudeDesktop, McpClient::Vscode, McpClient::Cursor, McpClient::Json] {
            let text = configuration(client, ENDPOINT, "sd_live_x").text;
            assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
        }
    }

    #[test]
    fn only_those_that_were_named() {
        let named = configurations(ENDPOINT, None, &[McpClient::Curl]);
        assert_eq!(named.len(), 1);
        assert!(named[0].text.contains(PLACEHOLDER));
    }
}
