//! Which scopes a link asks for, and what each means in words for the person who is asked.

use stagedoor_domain::{Principal, Provider, ToolName};

use super::WantedScope;

/// What a link asks for: what the tools need that this principal may use, and what the account had granted before
/// as far as it is still known, so that linking again loses nothing.
pub(super) fn wanted(principal: &Principal, provider: Provider, before: &[String]) -> Vec<String> {
    let usable = ToolName::ALL.iter().copied().filter(|tool| {
        principal.sees(*tool) && tool.scope().is_none_or(|scope| principal.scopes.contains(scope))
    });
    let needed = usable.flat_map(|tool| tool.provider_scopes(provider)).copied();
    let kept = before.iter().map(String::as_str).filter(|scope| meaning(provider, scope).is_some());
    let mut scopes: Vec<String> = Vec::new();
    for scope in needed.chain(kept) {
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    scopes
}

/// The scopes with their meanings.
pub(super) fn explained(provider: Provider, scopes: &[String]) -> Vec<WantedScope> {
    let explain = |scope: &String| {
        let unknown = || format!("Do what {} calls {scope}", provider.title());
        let meaning = meaning(provider, scope).map_or_else(unknown, str::to_owned);
        WantedScope { name: scope.clone(), meaning }
    };
    scopes.iter().map(explain).collect()
}

/// Those of `wanted` that are not in `granted`.
pub(super) fn missing(wanted: &[String], granted: &[String]) -> Vec<String> {
    wanted.iter().filter(|scope| !granted.contains(scope)).cloned().collect()
}

/// What a scope allows; `None` for one that is not known here, such as those of a provider's older API.
fn meaning(provider: Provider, scope: &str) -> Option<&'static str> {
    Some(match (provider, scope) {
        (Provider::Spotify, "user-read-private") => {
            "See your account's name, country and kind of subscription"
        }
        (Provider::Spotify, "user-read-email") => "See your e-mail address",
        (Provider::Spotify, "playlist-read-private") => "See your private playlists",
        (Provider::Spotify, "playlist-read-collaborative") => {
            "See playlists that you edit together with others"
        }
        (Provider::Spotify, "playlist-modify-public") => "Create and change your public playlists",
        (Provider::Spotify, "playlist-modify-private") => "Create and change your private playlists",
        (Provider::Spotify, "user-library-read") | (Provider::Tidal, "collection.read") => {
            "See the music that you saved"
        }
        (Provider::Spotify, "user-library-modify") | (Provider::Tidal, "collection.write") => {
            "Save music for you, and remove what you saved"
        }
        (Provider::Spotify, "user-follow-read") => "See whom you follow",
        (Provider::Spotify, "user-follow-modify") => "Follow and unfollow for you",
        (Provider::Spotify, "user-top-read") => "See your most played artists and tracks",
        (Provider::Spotify, "user-read-recently-played") => "See what you played recently",
        (Provider::Spotify, "user-read-currently-playing") => "See what is playing now",
        (Provider::Spotify, "user-read-playback-state") => "See your devices and what they play",
        (Provider::Spotify, "user-modify-playback-state") => {
            "Start, stop and change what plays on your devices"
        }
        (Provider::Tidal, "user.read") => "See your account's name and country",
        (Provider::Tidal, "search.read") => "Search Tidal for you",
        (Provider::Tidal, "playlists.read") => "See your playlists",
        (Provider::Tidal, "playlists.write") => "Create and change your playlists",
        (Provider::Tidal, "recommendations.read") => "See what Tidal recommends to you",
        (Provider::Tidal, "entitlements.read") => "See what your subscription includes",
        (Provider::Tidal, "playback") => "Play music for you",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use stagedoor_domain::tool::ToolsetSet;
    use stagedoor_domain::{PrincipalKind, Scope, ScopeSet};

    use super::*;

    fn principal(scopes: ScopeSet, toolsets: ToolsetSet, read_only: bool) -> Principal {
        Principal {
            kind: PrincipalKind::ApiKey("abcdefghijkl".parse().unwrap()),
            user: None,
            scopes,
            toolsets,
            read_only,
            expires_at: None,
            allowed_networks: Vec::new(),
        }
    }

    #[test]
    fn every_scope_that_a_tool_needs_has_a_meaning() {
        for provider in Provider::ALL.iter().copied() {
            for tool in ToolName::ALL {
                for scope in tool.provider_scopes(provider) {
                    assert!(meaning(provider, scope).is_some(), "{provider} {scope}");
                }
            }
        }
    }

    #[test]
    fn a_link_asks_for_what_the_keys_tools_need_and_no_more() {
        let all = principal(ScopeSet::all(), ToolsetSet::all(), false);
        assert_eq!(
            wanted(&all, Provider::Spotify, &[]),
            [
                "playlist-read-private",
                "playlist-read-collaborative",
                "playlist-modify-public",
                "playlist-modify-private",
                "user-library-read",
                "user-follow-read",
                "user-library-modify",
                "user-follow-modify",
                "user-top-read",
                "user-read-recently-played",
                "user-read-playback-state",
                "user-read-currently-playing",
                "user-modify-playback-state",
                "user-read-private",
            ]
        );
        let reader = principal(ScopeSet::empty().with(Scope::PlaylistsRead), ToolsetSet::all(), false);
        assert_eq!(wanted(&reader, Provider::Tidal, &[]), ["playlists.read", "user.read"]);
        let read_only = principal(ScopeSet::all(), ToolsetSet::all(), true);
        assert!(!wanted(&read_only, Provider::Tidal, &[]).contains(&"playlists.write".to_owned()));
    }

    #[test]
    fn linking_again_keeps_what_was_granted_and_is_still_known() {
        let reader = principal(ScopeSet::empty(), ToolsetSet::all(), false);
        let before = ["user.read", "collection.read", "r_usr"].map(str::to_owned);
        assert_eq!(wanted(&reader, Provider::Tidal, &before), ["user.read", "collection.read"]);
        assert_eq!(missing(&before, &["user.read".to_owned()]), ["collection.read", "r_usr"]);
    }

    #[test]
    fn a_scope_without_a_meaning_is_shown_by_its_name() {
        let shown = explained(Provider::Tidal, &["user.read".to_owned(), "w_sub".to_owned()]);
        assert_eq!(shown[0].meaning, "See your account's name and country");
        assert!(shown[1].meaning.contains("w_sub"));
    }
}
