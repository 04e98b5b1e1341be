//! `history_status`: of which accounts plays are kept, since when, what is missing, and what is in the way. It answers while
//! nothing is allowed, too, because it says what is.

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use stagedoor_domain::{ConsentPurpose, PolicyGate, Provider, TenantContext};
use stagedoor_storage::StoreError;
use stagedoor_storage::listening::{self, AccountPlays, Cursor, Gap, Import};

use crate::accounts::{Account, NoArguments};
use crate::consents::State;
use crate::desk::{Desk, acting_for};
use crate::records::store_failure;
use crate::reuse::Produced;

/// What is kept of what the person listened to.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StatusOutput {
    /// The consent to `analytics`; plays are kept and shown only while it is granted.
    consent: State,
    accounts: Vec<AccountStatus>,
    /// Data downloads that were handed in, the newest first.
    imports: Vec<ImportStatus>,
}

/// One linked account.
#[derive(Debug, Serialize, JsonSchema)]
struct AccountStatus {
    account: String,
    provider: Provider,
    collecting: Collecting,
    plays: u64,
    polled: u64,
    imported: u64,
    /// The ends of the first and the last play (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    first_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_at: Option<String>,
    /// Times of which plays may be missing.
    gaps: usize,
    /// Gaps that a data download filled.
    gaps_filled: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_poll_at: Option<String>,
    /// `ok`, or the code of what went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_poll: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_poll_at: Option<String>,
}

/// Whether plays of an account are collected, or what is in the way.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Collecting {
    Yes,
    /// The tenant's operator has not opened `history_insights` for the service.
    GateClosed,
    /// See `consent`.
    ConsentMissing,
    /// The account has to be linked again.
    RelinkNeeded,
    /// The service tells nobody what was played.
    NotTold,
}

/// A data download.
#[derive(Debug, Serialize, JsonSchema)]
struct ImportStatus {
    account: String,
    /// Whether all of it is in; one that was cut off goes on when it is handed in again.
    done: bool,
    added: u64,
    known: u64,
    /// Entries that are no tracks, such as episodes.
    other: u64,
    malformed: u64,
    started_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_at: Option<String>,
}

pub(crate) async fn status(desk: &Desk, ctx: &TenantContext, _: NoArguments) -> Produced {
    let user = acting_for(ctx)?;
    let consent = desk.wishes(ctx).await.consent(ctx, ConsentPurpose::Analytics);
    let accounts = desk.load_accounts(ctx, user).await?;
    let read = async |tx: &mut _| {
        let plays = listening::per_account(tx, user).await?;
        let gaps = listening::gaps(tx, user).await?;
        let imports = listening::imports(tx, user).await?;
        let mut cursors = vec![];
        for account in &accounts {
            cursors.push(listening::cursor(tx, account.id).await?);
        }
        Ok::<_, StoreError>((plays, gaps, imports, cursors))
    };
    let read = Box::pin(desk.vault().store().with_tenant(ctx, read)).await;
    let (plays, gaps, imports, cursors) = read.map_err(|error| store_failure(&error))?;
    let accounts = accounts.iter().zip(cursors).map(|(account, cursor)| {
        let plays = plays.iter().find(|plays| plays.account == account.id);
        let gaps: Vec<&Gap> = gaps.iter().filter(|gap| gap.account == account.id).collect();
        shown(account, collecting(ctx, account, consent), plays, &gaps, cursor)
    });
    let (accounts, imports) = (accounts.collect(), imports.iter().map(import).collect());
    desk.fresh(&StatusOutput { consent, accounts, imports })
}

fn collecting(ctx: &TenantContext, account: &Account, consent: State) -> Collecting {
    if !Desk::pollable().contains(&account.provider) {
        Collecting::NotTold
    } else if !ctx.tenant().settings.is_open(account.provider, PolicyGate::HistoryInsights) {
        Collecting::GateClosed
    } else if consent != State::Granted {
        Collecting::ConsentMissing
    } else if account.relink_needed || account.unreadable {
        Collecting::RelinkNeeded
    } else {
        Collecting::Yes
    }
}

fn shown(
    account: &Account,
    collecting: Collecting,
    plays: Option<&AccountPlays>,
    gaps: &[&Gap],
    cursor: Option<Cursor>,
) -> AccountStatus {
    let filled = gaps.iter().filter(|gap| gap.filled_at.is_some()).count();
    let (last_poll_at, last_poll, next_poll_at) = match cursor {
        Some(cursor) => (cursor.last_poll_at, cursor.last_outcome, Some(cursor.next_poll_at)),
        None => (None, None, None),
    };
    let next = next_poll_at.filter(|_| matches!(collecting, Collecting::Yes));
    AccountStatus {
        account: account.id.to_string(),
        provider: account.provider,
        collecting,
        plays: plays.map_or(0, |plays| plays.plays),
        polled: plays.map_or(0, |plays| plays.polled),
        imported: plays.map_or(0, |plays| plays.imported),
        first_at: plays.map(|plays| time(plays.first)),
        last_at: plays.map(|plays| time(plays.last)),
        gaps: gaps.len() - filled,
        gaps_filled: filled,
        last_poll_at: last_poll_at.map(time),
        last_poll,
        next_poll_at: next.map(time),
    }
}

fn import(import: &Import) -> ImportStatus {
    let (first, last) = import.plays.unzip();
    ImportStatus {
        account: import.account.to_string(),
        done: import.done,
        added: import.counts.added,
        known: import.counts.known,
        other: import.counts.other,
        malformed: import.counts.malformed,
        started_at: time(import.started_at),
        first_at: first.map(time),
        last_at: last.map(time),
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
