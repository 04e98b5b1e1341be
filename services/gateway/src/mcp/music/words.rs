//! What the prompts say. Each is written for an agent that has the tools it names, and for a person who cares about the
//! music more than about the tools.

use std::fmt::Write;

use stagedoor_domain::{ItemRef, Principal, ToolName};

use super::prompts::Given;

/// How a playlist that may be a name is spoken of, and how to get at it.
fn the_playlist(given: &Given) -> String {
    let named = given.get("playlist").unwrap_or_default();
    if named.parse::<ItemRef>().is_ok() {
        return format!("the playlist {named}");
    }
    format!("the playlist named \"{named}\" (find its reference with playlists_list; ask me if several fit)")
}

/// A sentence that is said only to those who are shown the tools that it names.
fn with(text: &mut String, principal: &Principal, tools: &[ToolName], sentence: &str) {
    if tools.iter().all(|tool| principal.sees(*tool)) {
        text.push_str(sentence);
    }
}

pub(super) fn build_playlist(given: &Given, principal: &Principal) -> String {
    let mut text =
        format!("Build me a playlist for this occasion: {}", given.get("occasion").unwrap_or_default());
    // Writing to a text does not fail.
    if let Some(minutes) = given.get("minutes") {
        let _ = write!(text, ", about {minutes} minutes long");
    }
    if let Some(provider) = given.get("provider") {
        let _ = write!(text, ", at {provider}");
    }
    text.push_str(
        ".\n\nFirst think of the arc: how it opens, where it lifts, where it rests, how it ends. Weigh tempo, energy and \
         mood from one track to the next; no artist more than twice and never twice in a row, unless the occasion asks \
         for it.\n",
    );
    with(
        &mut text,
        principal,
        &[ToolName::TopItems, ToolName::LibraryList],
        "Look at what I play and keep (top_items where the service has it, library_list) so that it sounds like me, \
         and leave room for a few finds.\n",
    );
    text.push_str(
        "Find each track with `search` and take its `ref` from the answer; never make one up. Prefer the studio \
         recording unless a live one or a remix is what the occasion wants. Add up `duration_ms` to meet the length.\n",
    );
    with(
        &mut text,
        principal,
        &[ToolName::Similar],
        "`similar` leads from a good track to others, where the service has it.\n",
    );
    text.push_str(
        "Show me the list with artist, title and length, and one line on why it runs in this order. When I agree, make it \
         with playlist_create and fill it with playlist_add (`skip_duplicates`, and an `idempotency_key` so that a \
         repeated call adds nothing twice). Then tell me its link, and what was skipped and why.",
    );
    text
}

pub(super) fn tidy_playlist(given: &Given, principal: &Principal) -> String {
    let mut text = format!("Tidy {}.\n\n", the_playlist(given));
    text.push_str(
        "Read all of it with playlist_get, following `next_cursor` to the end. Then look for: the same recording twice \
         (playlist_dedupe with `dry_run`), entries that no longer play or are no tracks, other versions of a song that is \
         there already, and runs of one artist.\n",
    );
    with(
        &mut text,
        principal,
        &[ToolName::PlaylistReorder],
        "If the order has rough edges, suggest a few moves (playlist_reorder) that keep its character; do not sort it \
         by name.\n",
    );
    text.push_str(
        "Tell me what you found and what you would change, with positions, before you change anything. When I agree, make \
         the changes one by one with the `expected_version` of the last answer, so that nothing of mine is overwritten, \
         and say what each did.",
    );
    with(
        &mut text,
        principal,
        &[ToolName::PlaylistUndo],
        " Note the version that the playlist has before the first change, and tell me at the end: playlist_undo with \
         that number as `to_version` takes all of it back, without one only the last change.",
    );
    text
}

pub(super) fn what_changed(_given: &Given, principal: &Principal) -> String {
    let mut text = String::from(
        "Tell me what changed in my playlists lately.\n\nList them with playlists_list, for each linked service. For each \
         playlist ask playlist_versions; where there is more than one version, playlist_diff shows what was added, \
         removed and moved. Say which changes were made here and which elsewhere.\n\nBegin with what matters: new tracks, \
         then lost ones, then moves and new names, by playlist and newest first. A playlist of which only one version is \
         known has not been watched before; say so once, not for each.",
    );
    with(
        &mut text,
        principal,
        &[ToolName::PlaylistUndo],
        " If something looks like an accident, offer to take it back with playlist_undo, and show me its `dry_run` first.",
    );
    text
}

pub(super) fn move_playlist(given: &Given, principal: &Principal) -> String {
    let to = given.get("to").unwrap_or_default();
    let mut text = format!("Bring {} to {to}.\n\n", the_playlist(given));
    let _ = writeln!(
        text,
        "Call playlist_transfer with its `ref`, `to_provider` \"{to}\" and `dry_run` first, and tell me how many tracks \
         match, which are doubtful and which {to} does not have. When I agree, call it without `dry_run` and with an \
         `idempotency_key`."
    );
    with(
        &mut text,
        principal,
        &[ToolName::JobGet],
        "If it answers with a job that goes on, ask job_get now and then until it is done.\n",
    );
    text.push_str(
        "Where it waits for decisions, show me the candidates with artist, album, length and what makes the difference \
         (live, remix, remaster), and hand in what I choose as `decisions`; guess only if I tell you to take the best. At \
         the end, list what is missing, so that I can look for it myself. The playlist it comes from stays as it is.",
    );
    text
}
