//! `AuditService`. What a record is and how it is found is for the crate `audit`.

use std::pin::Pin;
use std::sync::Arc;

use chrono::NaiveDate;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use serde_json::Value;
use stagedoor_audit::{
    AuditCursor, AuditFilter, AuditMatch, AuditOrder, DayRange, ExportError, LARGEST_PAGE, PayloadView,
    SealError, export, query,
};
use stagedoor_domain::error::Chain as Causes;
use stagedoor_domain::{CallId, ErrorCode, UserId};
use stagedoor_proto::admin::v1::{
    AuditRecord, Chain, ExportAuditRequest, ExportAuditResponse, ListChainsRequest, ListChainsResponse,
    QueryAuditRequest, QueryAuditResponse,
};
use stagedoor_storage::audit;
use tokio::io::{AsyncWrite, AsyncWriteExt as _, duplex};
use tokio_util::io::ReaderStream;

use crate::call::AdminCall;
use crate::error::{AdminError, Violation};
use crate::{page, texts, times};

/// Bytes of an export that one message holds at most, and those that wait for a slow reader.
const PIECE: usize = 64 * 1024;
/// How calls end that do not fail.
const ENDINGS: [&str; 3] = ["ok", "pending", "cancelled"];
/// The longest name that is looked for.
const LONGEST: usize = 128;

/// The file of an export, piece by piece.
pub type AuditPieces = Pin<Box<dyn Stream<Item = Result<ExportAuditResponse, AdminError>> + Send>>;

/// Lists records.
pub async fn query_audit(
    call: &AdminCall,
    request: QueryAuditRequest,
) -> Result<QueryAuditResponse, AdminError> {
    let size = page::size(request.page_size)?;
    let mut after = page::after::<AuditCursor>(&request.page_token)?;
    let filter = filter(&request)?;
    let order = if request.oldest_first { AuditOrder::OldestFirst } else { AuditOrder::NewestFirst };
    let mut answer = QueryAuditResponse::default();
    let mut left = size;
    loop {
        let found =
            query(&call.rooms().vault, call.context(), &filter, order, after, left.min(LARGEST_PAGE)).await?;
        left = left.saturating_sub(u32::try_from(found.records.len()).unwrap_or(u32::MAX));
        answer.records.extend(found.records.iter().map(shown));
        answer.examined += found.examined.cast_signed();
        answer.erased += found.erased.cast_signed();
        after = found.next;
        if after.is_none() || left == 0 || found.stopped_early {
            break;
        }
    }
    answer.next_page_token = after.map(|next| page::token(&next.to_string())).unwrap_or_default();
    Ok(answer)
}

/// Hands days of the trail out as a signed file. The call ends with the stream: when the file is whole, when it fails, or,
/// as cancelled, when the stream is dropped. Nothing is read ahead of who reads it but one piece.
pub async fn export_audit(call: AdminCall, request: ExportAuditRequest) -> Result<AuditPieces, AdminError> {
    let days = match days(&request) {
        Ok(days) => days,
        Err(error) => return call.close(Err(error)).await,
    };
    let (output, input) = duplex(PIECE);
    let work = async move {
        let written = write(&call, days, output).await;
        call.close(written).await
    };
    let failure = work.into_stream().filter_map(async |done| done.err().map(Err));
    let pieces = ReaderStream::with_capacity(input, PIECE).map(|piece| {
        let data = piece.map_err(|error| AdminError::internal(&error))?;
        Ok(ExportAuditResponse { data: data.into() })
    });
    let mut both: AuditPieces = Box::pin(stream::select(pieces, failure));
    // What keeps it from beginning is told in place of the stream.
    let first = both.next().await.transpose()?;
    Ok(Box::pin(stream::iter(first.map(Ok)).chain(both)))
}

/// Lists days, the newest first.
pub async fn list_chains(
    call: &AdminCall,
    request: ListChainsRequest,
) -> Result<ListChainsResponse, AdminError> {
    let size = page::size(request.page_size)?;
    let before = page::after::<NaiveDate>(&request.page_token)?;
    let read = async |tx: &mut _| audit::chains(tx, before, i64::from(size) + 1).await;
    let mut chains = call.rooms().vault.store().with_tenant(call.context(), read).await?;
    let next_page_token = page::cut(&mut chains, size, |chain| chain.day.to_string());
    let chain = |chain: audit::ChainStanding| Chain {
        day: chain.day.to_string(),
        records: chain.records,
        head: texts::hex(&chain.hash),
        signed_records: chain.signed,
        sign_time: times::optional(chain.signed_at),
        archived: chain.archived,
    };
    Ok(ListChainsResponse { chains: chains.into_iter().map(chain).collect(), next_page_token })
}

/// Signs how far the days are, then writes them.
async fn write(
    call: &AdminCall,
    days: DayRange,
    mut output: impl AsyncWrite + Unpin + Send,
) -> Result<(), AdminError> {
    let (rooms, context) = (Arc::clone(call.rooms()), call.context());
    match rooms.checkpointer.seal(context, days.iter()).await {
        Ok(_) => {}
        Err(SealError::Archive(error)) => {
            tracing::warn!(error = %Causes(&error), "the archive lacks the checkpoints before an export for now");
        }
        Err(SealError::Store(error)) => return Err(error.into()),
    }
    export(&rooms.vault, context, days, &mut output).await.map_err(|error| match error {
        ExportError::Store(error) => error.into(),
        ExportError::Dropped => AdminError::not_in_state(
            "Retention has dropped these days of the trail.",
            "ListChains shows which days there are; a backup or an earlier export may have these.",
        ),
        ExportError::Write(_) | ExportError::Line(_) => AdminError::internal(&error),
    })?;
    output.shutdown().await.map_err(|error| AdminError::internal(&error))
}

fn days(request: &ExportAuditRequest) -> Result<DayRange, AdminError> {
    let mut violations = Vec::new();
    let mut day = |field: &str, text: &str| {
        let day = text.parse::<NaiveDate>().ok();
        if day.is_none() {
            let description = "It is no day; wanted: such as 2026-11-22.".to_owned();
            violations.push(Violation { field: field.to_owned(), description });
        }
        day
    };
    let (first, last) = (day("from_day", &request.from_day), day("to_day", &request.to_day));
    let Some((first, last)) = first.zip(last) else { return Err(AdminError::fields(violations)) };
    DayRange::new(first, last).ok_or_else(|| {
        AdminError::field("to_day", "It is before from_day, or more than ten years after it.".to_owned())
    })
}

fn filter(request: &QueryAuditRequest) -> Result<AuditFilter, AdminError> {
    let text = |field: &str, given: &str| match given {
        "" => Ok(None),
        given if given.len() <= LONGEST => Ok(Some(given.into())),
        _ => Err(AdminError::field(field, format!("It is longer than {LONGEST} bytes."))),
    };
    // A word that no record can have would look as if nothing had happened.
    let action = text("action", &request.action)?;
    if action
        .as_deref()
        .is_some_and(|action: &str| !action.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
    {
        let wanted =
            "It is no action; wanted: a tool, or another such as admin_write, key_leaked, authenticate.";
        return Err(AdminError::field("action", wanted));
    }
    let outcome = text("outcome", &request.outcome)?;
    let known = |outcome: &str| {
        ENDINGS.contains(&outcome) || ErrorCode::ALL.iter().any(|code| code.as_str() == outcome)
    };
    if outcome.as_deref().is_some_and(|outcome: &str| !known(outcome)) {
        let wanted =
            format!("It is no outcome; wanted: {}, or a code of docs/errors.md.", ENDINGS.join(", "));
        return Err(AdminError::field("outcome", wanted));
    }
    let id = |field: &str, given: &str| match given {
        "" => Ok(None),
        given => texts::id::<uuid::Uuid>(field, given).map(Some),
    };
    let filter = AuditFilter {
        user: id("user_id", &request.user_id)?.map(UserId),
        principal: text("principal", &request.principal)?,
        action,
        outcome,
        from: times::time("from", request.from.as_ref())?,
        to: times::time("to", request.to.as_ref())?,
        call: id("call_id", &request.call_id)?.map(CallId),
    };
    match (filter.from, filter.to) {
        (Some(from), Some(to)) if from >= to => Err(AdminError::field("to", "It is not after `from`.")),
        _ => Ok(filter),
    }
}

fn shown(found: &AuditMatch) -> AuditRecord {
    let record = &found.view.record;
    let event = found.view.json().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let details = &event["details"];
    let outcome = text(&details["outcome"]);
    let failed = !matches!(&*outcome, "" | "ok" | "pending" | "cancelled");
    AuditRecord {
        day: found.day.to_string(),
        sequence: record.seq,
        time: Some(times::timestamp(record.occurred_at)),
        call_id: record.call_id.to_string(),
        principal: text(&event["principal"]),
        user_id: text(&event["user_id"]),
        action: text(&event["action"]),
        event_type: text(&event["event_type"]),
        error: if failed { outcome.clone() } else { String::new() },
        outcome,
        resource_kind: text(&event["resource"]["type"]),
        resource_id: text(&event["resource"]["id"]),
        client_address: text(&details["ip_address"]),
        erased: found.view.payload == PayloadView::Erased,
        altered: found.view.payload == PayloadView::Altered,
        record: text(&event["record"]),
        duration_milliseconds: details["processing_time_ms"].as_f64().unwrap_or_default(),
    }
}
