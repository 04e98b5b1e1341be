//! What a request asks not to be shown: toolsets and writes, by path or by header. It only ever takes away from what
//! the key has; what is left decides about lists, calls, resources and prompts alike.

use std::sync::Arc;

use http::HeaderMap;
use stagedoor_domain::{ErrorCode, Principal, PublicError, Toolset, ToolsetSet};

const TOOLSETS: &str = "x-mcp-toolsets";
const READ_ONLY: &str = "x-mcp-readonly";

/// Every toolset that the key has.
const ALL: &str = "all";

/// What is left of a key's rights for one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Narrowing {
    toolsets: Option<ToolsetSet>,
    read_only: bool,
}

impl Narrowing {
    /// What the endpoint's path says: `/mcp/x/{toolsets}` and `/readonly`.
    ///
    /// # Errors
    /// `not_found` if it names a toolset that there is not.
    pub fn of_path(toolsets: Option<&str>, read_only: bool) -> Result<Self, PublicError> {
        let toolsets = toolsets.map(named).transpose();
        let toolsets = toolsets.map_err(|message| {
            PublicError::new(ErrorCode::NotFound, message)
                .hint("The path takes names with commas between them: /t/{tenant}/mcp/x/catalog,playlists.")
        })?;
        Ok(Self { toolsets, read_only })
    }

    /// The same with what the headers `X-MCP-Toolsets` and `X-MCP-Readonly` take away besides.
    ///
    /// # Errors
    /// `invalid_request` if one of them cannot be read: showing more than was asked for would be the worse guess.
    pub fn and_headers(self, headers: &HeaderMap) -> Result<Self, PublicError> {
        let toolsets = match single(headers, TOOLSETS)? {
            None => self.toolsets,
            Some(names) => {
                let named = named(names).map_err(|message| wrong(TOOLSETS, &message))?;
                Some(self.toolsets.map_or(named, |of_path| of_path.intersection(named)))
            }
        };
        let read_only = match single(headers, READ_ONLY)? {
            None => false,
            Some(text) => flag(text)?,
        };
        Ok(Self { toolsets, read_only: self.read_only || read_only })
    }

    /// The principal with what is left; the same one if nothing is taken away.
    #[must_use]
    pub fn of(self, principal: Arc<Principal>) -> Arc<Principal> {
        let toolsets =
            self.toolsets.map_or(principal.toolsets, |asked| asked.intersection(principal.toolsets));
        let read_only = principal.read_only || self.read_only;
        if toolsets == principal.toolsets && read_only == principal.read_only {
            return principal;
        }
        Arc::new(Principal { toolsets, read_only, ..(*principal).clone() })
    }
}

/// The toolsets of a list of names. Some playlist tools answer with a job, so `playlists` brings along the tools that
/// follow one.
fn named(names: &str) -> Result<ToolsetSet, String> {
    let mut toolsets = ToolsetSet::empty();
    for name in names.split(',').map(str::trim) {
        if name == ALL {
            return Ok(ToolsetSet::all());
        }
        toolsets = toolsets.with(name.parse().map_err(|_| unknown(name))?);
    }
    if toolsets.contains(Toolset::Playlists) {
        toolsets = toolsets.with(Toolset::Jobs);
    }
    Ok(toolsets)
}

fn unknown(name: &str) -> String {
    let shown: String = name.chars().take(40).collect();
    let known: Vec<&str> = Toolset::ALL.iter().map(|toolset| toolset.as_str()).collect();
    format!("There is no toolset {shown:?}. There are: {}; or {ALL}.", known.join(", "))
}

fn flag(text: &str) -> Result<bool, PublicError> {
    match text.trim() {
        text if text.eq_ignore_ascii_case("true") || text == "1" => Ok(true),
        text if text.eq_ignore_ascii_case("false") || text == "0" => Ok(false),
        _ => Err(wrong(READ_ONLY, "It must be true or false.")),
    }
}

/// The only value of a header. One that stands twice is refused, because whoever wrote either meant all of it.
fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, PublicError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    if headers.get_all(name).iter().nth(1).is_some() {
        return Err(wrong(name, "It stands more than once."));
    }
    value.to_str().map(Some).map_err(|_| wrong(name, "It has characters that are not allowed."))
}

fn wrong(header: &str, message: &str) -> PublicError {
    PublicError::new(ErrorCode::InvalidRequest, format!("The header {header} is wrong. {message}"))
        .hint("Correct it, or leave it out to be shown all that the key has.")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use stagedoor_domain::{PrincipalKind, ScopeSet, ToolName};

    use super::*;

    fn principal(toolsets: ToolsetSet, read_only: bool) -> Arc<Principal> {
        Arc::new(Principal {
            kind: PrincipalKind::ApiKey("000000000001".parse().unwrap()),
            user: None,
            scopes: ScopeSet::all(),
            toolsets,
            read_only,
            expires_at: None,
            allowed_networks: Vec::new(),
        })
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn narrowed(path: Option<&str>, read_only: bool, pairs: &[(&'static str, &str)]) -> Narrowing {
        Narrowing::of_path(path, read_only).unwrap().and_headers(&headers(pairs)).unwrap()
    }

    #[test]
    fn nothing_that_was_not_there_is_ever_shown() {
        let sets = [None, Some("all"), Some("catalog"), Some("playlists,usage")];
        let keys = [ToolsetSet::all(), ToolsetSet::empty().with(Toolset::Catalog).with(Toolset::Playlists)];
        for (key, writes_nothing) in keys.into_iter().flat_map(|key| [(key, true), (key, false)]) {
            for (path, header) in sets.into_iter().flat_map(|path| sets.map(|header| (path, header))) {
                for (by_path, by_header) in [(true, "false"), (false, "true"), (false, "0")] {
                    let mut pairs = vec![("x-mcp-readonly", by_header)];
                    pairs.extend(header.map(|names| ("x-mcp-toolsets", names)));
                    let whole = principal(key, writes_nothing);
                    let left = narrowed(path, by_path, &pairs).of(Arc::clone(&whole));
                    for tool in ToolName::ALL.iter().copied().filter(|tool| left.sees(*tool)) {
                        assert!(whole.sees(tool), "{tool}");
                        assert!(!tool.writes() || !(by_path || by_header == "true"), "{tool}");
                    }
                }
            }
        }
    }

    #[test]
    fn who_asks_for_no_less_keeps_the_very_principal() {
        let whole = principal(ToolsetSet::all(), false);
        for narrowing in [Narrowing::default(), narrowed(Some("all"), false, &[("x-mcp-readonly", "FALSE")])]
        {
            assert!(Arc::ptr_eq(&narrowing.of(Arc::clone(&whole)), &whole));
        }
    }

    #[test]
    fn path_and_header_take_away_together() {
        let left = narrowed(Some("playlists,catalog"), false, &[("x-mcp-toolsets", " playlists , usage")]);
        let left = left.of(principal(ToolsetSet::all(), false));
        let wanted = ToolsetSet::empty().with(Toolset::Playlists).with(Toolset::Jobs);
        assert_eq!(left.toolsets, wanted, "jobs come along with playlists");
        let without = narrowed(Some("playlists"), false, &[]).of(principal(keyless_of_jobs(), false));
        assert!(!without.sees(ToolName::JobGet), "but not to a key without them");
    }

    fn keyless_of_jobs() -> ToolsetSet {
        Toolset::ALL.iter().copied().filter(|toolset| *toolset != Toolset::Jobs).collect()
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_says_what_there_is() {
        let of_path = Narrowing::of_path(Some("catalog,musik"), false).unwrap_err();
        assert_eq!(of_path.code, ErrorCode::NotFound);
        assert!(
            of_path.message.contains("\"musik\"") && of_path.message.contains("accounts, catalog, playlists")
        );
        for pairs in [
            [("x-mcp-toolsets", "musik")].as_slice(),
            &[("x-mcp-toolsets", "")],
            &[("x-mcp-toolsets", "catalog"), ("x-mcp-toolsets", "usage")],
            &[("x-mcp-readonly", "yes")],
            &[("x-mcp-readonly", "true"), ("x-mcp-readonly", "false")],
        ] {
            let refused = Narrowing::default().and_headers(&headers(pairs)).unwrap_err();
            assert_eq!(refused.code, ErrorCode::InvalidRequest, "{pairs:?}");
        }
    }
}
