//! Title and description of each tool, for a model that has to choose and to act. Each token is paid by every agent.

use stagedoor_domain::ToolName;

/// Title, description.
pub(super) fn of(name: ToolName) -> (&'static str, &'static str) {
    match name {
        ToolName::Search => (
            "Search music",
            "Find tracks, albums, artists or playlists by text at one service. Other tools take the `ref` of what is found.",
        ),
        ToolName::SearchAll => (
            "Search all services",
            "One query at every service, grouped by service. The operator may have to allow it; else use search.",
        ),
        ToolName::Resolve => (
            "Resolve code or link",
            "Turn an ISRC, UPC or link into items, e.g. to find a recording at another service.",
        ),
        ToolName::TrackGet => ("Get track", "One track: artists, album, ISRC, length."),
        ToolName::AlbumGet => ("Get album", "One album with its first tracks."),
        ToolName::ArtistGet => ("Get artist", "One artist."),
        ToolName::ArtistAlbums => ("List artist's albums", "Albums, singles and compilations of an artist."),
        ToolName::Similar => ("Find similar", "Items like a track, album or artist. Tidal only."),
        ToolName::Radio => ("Get radio", "Tracks that go with a track or artist. Tidal only."),
        ToolName::MixesList => ("List mixes", "Mixes that Tidal makes for the person."),
        ToolName::MixItems => ("Get mix", "The tracks of a mix."),
        ToolName::PlaylistsList => ("List playlists", "The person's playlists."),
        ToolName::PlaylistGet => ("Get playlist", "A playlist and its items, page by page."),
        ToolName::PlaylistCreate => (
            "Create playlist",
            "Make an empty playlist. Each call without `idempotency_key` makes another one. Fill it with playlist_add.",
        ),
        ToolName::PlaylistUpdate => {
            ("Update playlist", "Change name, description or visibility. playlist_undo can restore them.")
        }
        ToolName::PlaylistDelete => {
            ("Delete playlist", "Take a playlist out of the person's account. Only when the person asks.")
        }
        ToolName::PlaylistAdd => (
            "Add to playlist",
            "Add tracks at the end or at a position; tell the person if some were skipped.",
        ),
        ToolName::PlaylistRemove => {
            ("Remove from playlist", "Remove tracks (each occurrence) or the items at some positions.")
        }
        ToolName::PlaylistReorder => {
            ("Reorder playlist", "Move items that stand together to another position.")
        }
        ToolName::PlaylistReplace => ("Replace playlist items", "Make a playlist hold exactly these tracks."),
        ToolName::PlaylistVersions => (
            "List playlist versions",
            "The stored versions of a playlist, newest first: before and after each write, and changes made elsewhere.",
        ),
        ToolName::PlaylistDiff => {
            ("Compare playlist versions", "What changed between two versions of a playlist.")
        }
        ToolName::PlaylistUndo => (
            "Undo playlist changes",
            "Bring a playlist back to an earlier version. Undo is a version too, so it can be undone.",
        ),
        ToolName::PlaylistDedupe => {
            ("Remove duplicates", "Keep the first of each track in a playlist, remove the others.")
        }
        ToolName::PlaylistTransfer => (
            "Transfer playlist",
            "Copy a playlist to another service, matching each track. Runs as a job: ask job_get how far it is. Where \
             matches are ambiguous, the job waits: call again with `job` and `decisions`. The operator may have to allow it.",
        ),
        ToolName::LibraryList => {
            ("List library", "What the person has saved (artists: followed), newest first.")
        }
        ToolName::LibraryContains => ("Check library", "Whether items are saved."),
        ToolName::LibrarySave => ("Save to library", "Save items; artists and playlists are followed."),
        ToolName::LibraryRemove => {
            ("Remove from library", "Take items out of the library. Only when the person asks.")
        }
        ToolName::TopItems => ("Get top items", "What the person listens to most. Spotify only."),
        ToolName::RecentlyPlayed => {
            ("Get recently played", "The last tracks played, newest first, about 50 in all. Spotify only.")
        }
        ToolName::HistoryStatus => (
            "Get listening history status",
            "Of which accounts plays are kept, since when, what is missing, and what is in the way.",
        ),
        ToolName::HistoryQuery => (
            "Query listening history",
            "What the person played, newest first, by days and words. The operator and the person have to allow it.",
        ),
        ToolName::Insights => (
            "Get listening insights",
            "What the person's listening history comes to: top tracks, artists and albums, hours, streaks, what was new, the \
             trend, and how much is known. The operator and the person have to allow it.",
        ),
        ToolName::PlaybackState => ("Get playback", "What plays now and where. Spotify only."),
        ToolName::Devices => ("List devices", "Where the person can play. Spotify only."),
        ToolName::PlaybackControl => (
            "Control playback",
            "Play, pause, skip, seek, set volume, shuffle or repeat, change device. Spotify Premium only.",
        ),
        ToolName::QueueAdd => ("Add to queue", "Play a track next. Spotify Premium only."),
        ToolName::Profile => ("Get profile", "Name and country of a linked account at its service."),
        ToolName::AccountsList => {
            ("List linked accounts", "The person's linked music accounts, and whether they work.")
        }
        ToolName::AccountLink => (
            "Link account",
            "Link a music account, or link one again whose access ended. Answers with a page (`url`) that the person has \
             to open; show it as it is. Ask how it went by calling again with `link`.",
        ),
        ToolName::AccountUnlink => (
            "Unlink account",
            "End the access to a linked account for good and delete what is stored of it. Only when the person asks.",
        ),
        ToolName::SharedQueueGet => (
            "Get shared queue",
            "A queue that people of this tenant keep together, or without `queue` the person's queues. With \
             `since_version`, no items if nothing changed.",
        ),
        ToolName::SharedQueueEdit => (
            "Edit shared queue",
            "create (name), invite (person, role), add (tracks), vote, reorder, remove (items, by their `item`), undo \
             (change), lock, unlock, leave, end. Works while the music services are down.",
        ),
        ToolName::SharedQueueCommit => (
            "Commit shared queue",
            "Bring its tracks to a playlist or the player; tells what is not there. Until `done`, call again unchanged.",
        ),
        ToolName::PreferencesGet => {
            ("Get preferences", "What the person prefers, such as whether answers may come from the cache.")
        }
        ToolName::PreferencesSet => (
            "Set preferences",
            "Change what the person prefers, only when they ask. What is left out stays; null restores a default.",
        ),
        ToolName::JobGet => ("Get job", "How far a job is, and its report."),
        ToolName::JobCancel => ("Cancel job", "Stop a job after its current step. What was done stays."),
        ToolName::ConsentGet => {
            ("Get consents", "What the person has consented to, by purpose, and the policy that it is about.")
        }
        ToolName::ConsentSet => (
            "Set consent",
            "Keep the person's own decision on a purpose: show them what it allows and the policy, call only when they \
             decide. Taking back needs no version.",
        ),
        ToolName::ExportMyData => (
            "Export my data",
            "Ask for a copy of everything that is kept about the person. Answers with a page for the person, who downloads it there once.",
        ),
        ToolName::DeleteMyData => (
            "Delete my data",
            "Ask for the deletion of everything that is kept about the person, only when they ask. Answers with a page where they confirm; it cannot be undone.",
        ),
        ToolName::PrivacyRequests => (
            "List privacy requests",
            "The person's requests for a copy or for deletion, and how far each is.",
        ),
        ToolName::AuditQuery => (
            "Query audit trail",
            "Who did what in this tenant, when, and how it ended; for its administrators. Newest first.",
        ),
        ToolName::UsageStatus => (
            "Show usage",
            "What this key may do, calls left, what was refused, what its calls came to, what the cache saved.",
        ),
    }
}
