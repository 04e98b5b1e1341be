//! The copy: everything from every table, row by row as signed lines (`stagedoor/personal-data/1`), handed out once. It
//! is read page by page while it is sent, so that its size costs no memory; what breaks off has no manifest.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use chrono::SecondsFormat;
use futures_util::Stream;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Map, Value, json};
use stagedoor_audit::{AuditAction, AuditClient};
use stagedoor_crypto::signed_lines::SignedLinesWriter;
use stagedoor_domain::error::Chain;
use stagedoor_domain::{ErrorCode, PublicError, TenantContext, UserId};
use stagedoor_storage::personal_data::{self, Personal, Table};
use stagedoor_storage::privacy_requests::{self, PrivacyRequest, Taken};
use stagedoor_storage::{StoreError, signing_keys};
use tokio::sync::mpsc;

use super::{Privacy, PrivacyKind, expired, of_request, unknown, words};
use crate::records::store_failure;

/// What the first line says that the file is.
const FORMAT: &str = "stagedoor/personal-data/1";
/// Bytes that are collected before they are sent.
const CHUNK: usize = 64 * 1024;
/// Chunks that wait for a slow browser.
const CHUNKS: usize = 4;
/// How long a browser may take to accept one more chunk.
const PATIENCE: Duration = Duration::from_mins(2);

/// The bytes of a copy as they become known.
#[derive(Debug)]
pub struct PersonalData(mpsc::Receiver<io::Result<Bytes>>);

impl Stream for PersonalData {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

/// Why a copy broke off.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("a table could not be read")]
    Store(#[from] StoreError),
    #[error("a row could not be written")]
    Line(#[from] serde_json::Error),
    #[error("the browser left, or took no more for too long")]
    Left,
}

impl Privacy {
    /// The copy of the person's data, once. What can be refused is refused before it is taken.
    pub async fn download(
        self: &Arc<Self>,
        ctx: &TenantContext,
        client: AuditClient,
        token: &SecretString,
    ) -> Result<PersonalData, PublicError> {
        let request = self.request_of(ctx).await?;
        let user = ctx.user().ok_or_else(unknown)?;
        if request.kind != PrivacyKind::Export {
            return Err(PublicError::new(ErrorCode::InvalidRequest, "The request is for no copy."));
        }
        let resource = of_request(request.id);
        let record = self.desk.trail().open(ctx, AuditAction::PrivacyDownload, &client, resource).await?;
        let taken = self.take(ctx, &request, token).await;
        if let Err(error) = taken {
            record.close(Some(error.code)).await;
            return Err(error);
        }
        let (sender, receiver) = mpsc::channel(CHUNKS);
        let (privacy, ctx) = (Arc::clone(self), ctx.clone());
        let work = async move {
            let outlet = Outlet { sender, collected: Vec::with_capacity(CHUNK * 2) };
            let sent = privacy.send(&ctx, &request, user, outlet).await;
            if let Err(error) = &sent {
                tracing::warn!(request = %request.id, error = %Chain(error), "a copy of personal data broke off");
            }
            record.close(sent.err().map(|_| ErrorCode::Internal)).await;
        };
        (self.desk.spawn())("personal data", Box::pin(work));
        Ok(PersonalData(receiver))
    }

    /// Takes the copy: nobody else gets it. Everything that it needs is at hand then.
    async fn take(
        &self,
        ctx: &TenantContext,
        request: &PrivacyRequest,
        token: &SecretString,
    ) -> Result<(), PublicError> {
        let vault = self.desk.vault();
        Box::pin(signing_keys::active(vault, ctx)).await.map_err(|error| store_failure(&error))?;
        let taken =
            privacy_requests::take_export(vault.store(), ctx, request.id, token.expose_secret().as_bytes())
                .await;
        match taken.map_err(|error| store_failure(&error))? {
            Taken::Ready => Ok(()),
            Taken::Used => Err(PublicError::new(ErrorCode::LinkUsed, "The copy was taken before.")),
            Taken::Expired => Err(expired()),
            Taken::Unknown => Err(unknown()),
        }
    }

    async fn send(
        &self,
        ctx: &TenantContext,
        request: &PrivacyRequest,
        user: UserId,
        mut outlet: Outlet,
    ) -> Result<(), Broken> {
        let sent = self.send_all(ctx, request, user, &mut outlet).await;
        if sent.is_err() {
            // The browser is told that the file is not whole.
            outlet.fail().await;
        }
        sent
    }

    async fn send_all(
        &self,
        ctx: &TenantContext,
        request: &PrivacyRequest,
        user: UserId,
        outlet: &mut Outlet,
    ) -> Result<(), Broken> {
        let vault = self.desk.vault();
        let mut lines = SignedLinesWriter::default();
        let header = self.header(ctx, request, user).await?;
        outlet.push(lines.push(&header)?).await?;
        let mut counts = Vec::new();
        for (table, _) in personal_data::people() {
            counts.push((table.name, self.send_table(ctx, user, table.name, (&mut lines, outlet)).await?));
        }
        let counted: Map<String, Value> =
            counts.iter().map(|(table, rows)| ((*table).to_owned(), (*rows).into())).collect();
        outlet.push(lines.push(&json!({ "counts": counted }))?).await?;
        let key = signing_keys::active(vault, ctx).await?;
        outlet.push(lines.finish(&key)).await?;
        outlet.flush().await?;
        privacy_requests::finish_export(vault.store(), ctx, request.id, &counts).await?;
        Ok(())
    }

    async fn send_table(
        &self,
        ctx: &TenantContext,
        user: UserId,
        table: &'static str,
        (lines, outlet): (&mut SignedLinesWriter, &mut Outlet),
    ) -> Result<u64, Broken> {
        let (mut rows, mut after) = (0_u64, None);
        loop {
            let page =
                personal_data::export_page(self.desk.vault(), ctx, user, table, after.as_ref()).await?;
            for row in &page.rows {
                outlet.push(lines.push(&Line { table, row })?).await?;
            }
            rows += page.rows.len() as u64;
            after = page.next;
            if after.is_none() {
                return Ok(rows);
            }
        }
    }

    async fn header(
        &self,
        ctx: &TenantContext,
        request: &PrivacyRequest,
        user: UserId,
    ) -> Result<Value, StoreError> {
        let keys = self.desk.vault().store().with_tenant(ctx, signing_keys::public_keys).await?;
        let keys: Vec<Value> = keys.iter().map(|known| known.key.to_jwk()).collect();
        let tables: Vec<Value> = personal_data::people().map(described).collect();
        Ok(json!({
            "format": FORMAT,
            "tenant": { "id": ctx.tenant_id().to_string(), "slug": ctx.tenant().slug.as_str() },
            "person": user.to_string(),
            "request": request.id.to_string(),
            "made_at": self.desk.clock.now().to_rfc3339_opts(SecondsFormat::Secs, true),
            "tables": tables,
            "left_out": words::LEFT_OUT,
            "keys": keys,
        }))
    }
}

#[derive(Serialize)]
struct Line<'a> {
    table: &'static str,
    row: &'a Value,
}

/// What a table holds, and what of it the copy does not have.
fn described((table, personal): (&Table, &Personal)) -> Value {
    let withheld: Map<String, Value> =
        personal.withheld.iter().map(|(column, why)| ((*column).to_owned(), (*why).into())).collect();
    json!({ "name": table.name, "holds": table.title, "withheld": withheld })
}

/// Where the bytes go.
struct Outlet {
    sender: mpsc::Sender<io::Result<Bytes>>,
    collected: Vec<u8>,
}

impl Outlet {
    async fn push(&mut self, line: Vec<u8>) -> Result<(), Broken> {
        self.collected.extend(line);
        if self.collected.len() < CHUNK { Ok(()) } else { self.flush().await }
    }

    async fn flush(&mut self) -> Result<(), Broken> {
        let chunk = Bytes::from(std::mem::replace(&mut self.collected, Vec::with_capacity(CHUNK * 2)));
        match tokio::time::timeout(PATIENCE, self.sender.send(Ok(chunk))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Broken::Left),
        }
    }

    async fn fail(self) {
        let broken = io::Error::other("the copy broke off");
        let _ = tokio::time::timeout(PATIENCE, self.sender.send(Err(broken))).await;
    }
}
