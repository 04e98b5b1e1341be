//! Checking an export, without the database: line by line, in little memory however long the file is.

use std::io::BufRead;

use stagedoor_crypto::VerifyingKey;
use stagedoor_crypto::digest::sha256;
use stagedoor_crypto::signed_lines::{SignedLinesError, SignedLinesReader};

use super::lines::{FORMAT, Header, Line, PayloadState, RecordLine};
use super::marks::{Marks, Place};
use crate::chain::{Link, LinkPayload};
use crate::check::TrailCheck;
use crate::days::DayRange;
use crate::hex;
use crate::report::{AuditFault, FaultKind, VerificationReport};
use crate::verify::VerifyError;

/// Checks an exported trail against the tenant's public keys: every link, payload and checkpoint, every mark, and the
/// manifest over all of it. What is wrong with the file is in the report; an error is that it cannot be checked.
pub fn verify_export(input: impl BufRead, keys: &[VerifyingKey]) -> Result<VerificationReport, VerifyError> {
    if keys.is_empty() {
        return Err(VerifyError::NoKeys);
    }
    let mut reader = SignedLinesReader::new(input);
    let first = match reader.next_line() {
        Ok(Some(line)) => line,
        Err(SignedLinesError::Read(error)) => return Err(error.into()),
        Ok(None) | Err(_) => return Err(VerifyError::NotAnExport),
    };
    let header: Header = serde_json::from_slice(&first).map_err(|_| VerifyError::NotAnExport)?;
    let days = DayRange::new(header.from, header.to).filter(|_| header.format == FORMAT);
    let days = days.ok_or(VerifyError::NotAnExport)?;

    let mut check = TrailCheck::new(header.tenant, days, keys, header.checkpoints);
    let mut marks = Marks::new(sha256(&[&first]), keys);
    let whole = loop {
        match reader.next_line() {
            Ok(Some(line)) => read_line(&line, reader.lines(), &mut check, &mut marks),
            Ok(None) => break true,
            Err(SignedLinesError::Read(error)) => return Err(error.into()),
            Err(_) => {
                check.at_line(reader.lines() + 1);
                check.tell(FaultKind::Malformed);
                break false;
            }
        }
    };
    for fault in marks.end() {
        check.tell_at(fault);
    }
    let mut report = check.end();
    match reader.verify(keys) {
        Ok(_) if whole => {}
        Err(SignedLinesError::Read(error)) => return Err(error.into()),
        _ => report.tell(AuditFault { tenant: report.tenant, ..AuditFault::new(FaultKind::Manifest) }),
    }
    Ok(report)
}

fn read_line(line: &[u8], number: u64, check: &mut TrailCheck, marks: &mut Marks<'_>) {
    check.at_line(number);
    let mut place = Place { line: number, ..Place::default() };
    match serde_json::from_slice(line) {
        Ok(Line::Mark(mark)) => {
            for fault in marks.mark(&mark, number) {
                check.tell_at(fault);
            }
            return;
        }
        Ok(Line::Record(record)) => {
            (place.day, place.seq) = (Some(record.day), Some(record.seq));
            match link(&record) {
                Some(link) => check.record(record.day, &link),
                None => check.tell(FaultKind::Malformed),
            }
        }
        Ok(Line::Checkpoint(checkpoint)) => {
            place.day = Some(checkpoint.day);
            (place.seq, place.checkpoint) = (Some(checkpoint.seq), Some(checkpoint.number));
            check.checkpoint(&checkpoint);
        }
        Ok(Line::Head(head)) => {
            (place.day, place.seq) = (Some(head.day), Some(head.seq));
            check.head(head.day, head.seq, &head.hash);
        }
        Err(_) => {
            // Between which records it stands is all that is known of it.
            (place.day, place.seq) = check.place().unzip();
            check.tell_at(place.fault(FaultKind::Malformed));
        }
    }
    if let Some(fault) = marks.line(line, place) {
        check.tell_at(fault);
    }
}

/// `None` unless the line has a payload with all that belongs to it, or says why not.
fn link<'a>(record: &'a RecordLine<'_>) -> Option<Link<'a>> {
    let payload = match (record.missing, record.call, &record.salt, &record.payload) {
        (Some(PayloadState::Erased), None, None, None) => LinkPayload::Erased,
        (Some(PayloadState::Unreadable), None, None, None) => LinkPayload::Unreadable,
        (None, Some(call), Some(salt), Some(text)) => {
            LinkPayload::Open { salt: hex::decode(salt)?, text: text.as_bytes(), call }
        }
        _ => return None,
    };
    Some(Link {
        seq: record.seq,
        kind: record.r#type,
        at: record.at,
        previous_hash: &record.previous_hash,
        hash: &record.hash,
        commitment: &record.commitment,
        payload,
    })
}
