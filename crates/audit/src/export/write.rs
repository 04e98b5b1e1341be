//! Writing an export. A broken chain is exported as it is: the check of the file is to find it.

use std::borrow::Cow;

use chrono::{NaiveDate, SecondsFormat};
use stagedoor_crypto::SigningKey;
use stagedoor_crypto::digest::sha256;
use stagedoor_crypto::signed_lines::SignedLinesWriter;
use stagedoor_domain::TenantContext;
use stagedoor_storage::{KeyVault, StoreError, signing_keys};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::MARK_EVERY;
use super::lines::{FORMAT, HeadLine, Header, Line, LineDigest, Mark, PayloadState, RecordLine, line_digest};
use crate::days::DayRange;
use crate::hex;
use crate::reader::{AuditView, PayloadView};
use crate::retained;
use crate::stored::{Item, Visitor, Walk};

/// Bytes that are written at a time.
const CHUNK: usize = 64 * 1024;

/// Why a trail was not exported to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store.
    #[error("the trail could not be read")]
    Store(#[from] StoreError),
    /// Where it goes.
    #[error("the export could not be written")]
    Write(#[from] std::io::Error),
    /// Retention.
    #[error("retention has dropped these days of the trail")]
    Dropped,
    /// A line.
    #[error("a line could not be made")]
    Line(#[from] serde_json::Error),
}

/// What an export holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExportSummary {
    /// Days.
    pub days: u64,
    /// Records.
    pub records: u64,
    /// Those whose payload was erased or does not open.
    pub erased: u64,
    /// Checkpoints.
    pub checkpoints: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Writes the tenant's trail of `days`, those that retention has not dropped and as far as it has come now, to `output` as a signed file.
pub async fn export<W: AsyncWrite + Unpin + Send>(
    vault: &KeyVault,
    context: &TenantContext,
    days: DayRange,
    output: &mut W,
) -> Result<ExportSummary, ExportError> {
    let days = retained::part(vault, days).await?.kept.ok_or(ExportError::Dropped)?;
    let key = signing_keys::active(vault, context).await?;
    let keys = vault.store().with_tenant(context, async |tx| signing_keys::public_keys(tx).await).await?;
    let walk = Walk::begin(vault, context, days).await?;
    let header = Header {
        format: FORMAT.to_owned(),
        tenant: context.tenant_id(),
        from: days.first(),
        to: days.last(),
        exported_at: vault.clock().now().to_rfc3339_opts(SecondsFormat::Micros, true),
        checkpoints: walk.span(),
        keys: keys.iter().map(|public| public.key.to_jwk()).collect(),
    };
    let mut exporter = Exporter::begin(output, &key, &header)?;
    walk.run(&mut exporter).await?;
    exporter.finish().await
}

struct Exporter<'a, W> {
    output: &'a mut W,
    key: &'a SigningKey,
    writer: SignedLinesWriter,
    buffer: Vec<u8>,
    header: [u8; 32],
    /// Lines so far, and the digests of those since the last mark.
    lines: u64,
    unmarked: Vec<LineDigest>,
    summary: ExportSummary,
}

impl<W: AsyncWrite + Unpin + Send> Visitor<ExportError> for Exporter<'_, W> {
    async fn item(&mut self, item: Item<'_>) -> Result<(), ExportError> {
        match item {
            Item::Record(day, view) => {
                self.summary.records += 1;
                self.summary.erased += u64::from(!matches!(view.payload, PayloadView::Open { .. }));
                self.line(&Line::Record(record_line(day, view))).await
            }
            Item::Checkpoint(checkpoint) => {
                self.summary.checkpoints += 1;
                self.line(&Line::Checkpoint(checkpoint.clone())).await
            }
            Item::Head(day, seq, hash) => {
                self.summary.days += 1;
                self.line(&Line::Head(HeadLine { day, seq, hash: fixed(hash) })).await
            }
        }
    }
}

impl<'a, W: AsyncWrite + Unpin> Exporter<'a, W> {
    fn begin(output: &'a mut W, key: &'a SigningKey, header: &Header) -> Result<Self, ExportError> {
        let mut writer = SignedLinesWriter::default();
        let buffer = writer.push(header)?;
        Ok(Self {
            output,
            key,
            writer,
            header: sha256(&[without_feed(&buffer)]),
            buffer,
            lines: 1,
            unmarked: Vec::with_capacity(MARK_EVERY),
            summary: ExportSummary::default(),
        })
    }

    async fn line(&mut self, line: &Line<'_>) -> Result<(), ExportError> {
        let bytes = self.writer.push(line)?;
        self.lines += 1;
        self.unmarked.push(line_digest(without_feed(&bytes)));
        self.buffer.extend(bytes);
        if self.unmarked.len() == MARK_EVERY {
            self.mark()?;
        }
        if self.buffer.len() >= CHUNK {
            self.flush().await?;
        }
        Ok(())
    }

    fn mark(&mut self) -> Result<(), ExportError> {
        let first_line = self.lines + 1 - self.unmarked.len() as u64;
        let mark = Mark::signed(&self.header, first_line, &self.unmarked, self.key);
        self.buffer.extend(self.writer.push(&Line::Mark(mark))?);
        self.lines += 1;
        self.unmarked.clear();
        Ok(())
    }

    async fn finish(mut self) -> Result<ExportSummary, ExportError> {
        if !self.unmarked.is_empty() {
            self.mark()?;
        }
        let manifest = std::mem::take(&mut self.writer).finish(self.key);
        self.buffer.extend(manifest);
        self.flush().await?;
        self.output.flush().await?;
        Ok(self.summary)
    }

    async fn flush(&mut self) -> Result<(), ExportError> {
        self.output.write_all(&self.buffer).await?;
        self.summary.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

fn record_line(day: NaiveDate, view: &AuditView) -> RecordLine<'_> {
    let record = &view.record;
    let mut line = RecordLine {
        day,
        seq: record.seq,
        r#type: record.kind,
        at: record.occurred_at.timestamp_micros(),
        previous_hash: fixed(&record.previous_hash),
        hash: fixed(&record.hash),
        commitment: fixed(&record.commitment),
        call: None,
        salt: None,
        payload: None,
        missing: None,
    };
    match &view.payload {
        PayloadView::Open { salt, text } => match std::str::from_utf8(text) {
            Ok(text) => {
                line.call = Some(record.call_id);
                line.salt = Some(Cow::Owned(hex::encode(salt)));
                line.payload = Some(Cow::Borrowed(text));
            }
            Err(_) => line.missing = Some(PayloadState::Unreadable),
        },
        PayloadView::Erased => line.missing = Some(PayloadState::Erased),
        PayloadView::Altered => line.missing = Some(PayloadState::Unreadable),
    }
    line
}

/// A column of a wrong length, which the tables do not allow, is exported as zeros, which no record hashes to.
fn fixed(bytes: &[u8]) -> [u8; 32] {
    bytes.try_into().unwrap_or([0; 32])
}

fn without_feed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}
