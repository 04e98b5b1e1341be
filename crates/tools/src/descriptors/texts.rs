//! Title and description of each tool, for a model that has to choose and to act. Each token is paid by every agent.

use stagedoor_domain::ToolName;

/// Title, description.
pub(super) fn of(name: ToolName) -> (&'static str, &'static str) {
    match name {
        ToolName::Search => (
            "Search music",
            "Find tracks, albums, artists or playlists by text at one service. Returns references (`ref`) that the \
             other tools take.",
        ),
        ToolName::TrackGet => ("Get track", "Show one track: artists, album, ISRC, length."),
        ToolName::AlbumGet => ("Get album", "Show one album with its first tracks."),
        ToolName::ArtistGet => ("Get artist", "Show one artist."),
        ToolName::Resolve => (
            "Resolve code or link",
            "Turn an ISRC, a UPC or a pasted link into items. Use it to find the same recording at another service.",
        ),
        ToolName::PlaylistsList => ("List playlists", "List the playlists of the person you act for."),
        ToolName::PlaylistGet => ("Get playlist", "Show a playlist and its items, page by page."),
        ToolName::PlaylistCreate => (
            "Create playlist",
            "Make an empty playlist for the person you act for. Each call makes another one. Fill it with playlist_add.",
        ),
        ToolName::PlaylistAdd => (
            "Add to playlist",
            "Add tracks to a playlist, at its end or at a position. Each call adds them again; tell the person if \
             some were skipped.",
        ),
        ToolName::AccountsList => (
            "List linked accounts",
            "Show which music accounts the person has linked, and whether they work.",
        ),
        ToolName::AccountLink => (
            "Link account",
            "Link a music account of the person, or link one again whose access ended. Answers with a page (`url`) that \
             the person has to open; show it to them as it is. Ask how it went by calling again with `link`.",
        ),
        ToolName::AccountUnlink => (
            "Unlink account",
            "End the access to a linked account for good and delete what is stored of it. Only when the person asks.",
        ),
        ToolName::PreferencesGet => (
            "Get preferences",
            "Show what the person prefers, such as whether answers may come from the cache.",
        ),
        ToolName::PreferencesSet => (
            "Set preferences",
            "Change what the person prefers, only when they ask. Members that are left out stay as they are; null \
             restores a default.",
        ),
        ToolName::UsageStatus => (
            "Show usage",
            "Show what this key may do, how many calls are left, what was refused, and what the cache saved. Costs one \
             call itself.",
        ),
        // TEMPORARY while the catalogue grows.
        _ => ("", ""),
    }
}
