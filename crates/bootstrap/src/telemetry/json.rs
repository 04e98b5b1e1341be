//! One event as one line of JSON (RFC 8259): time, level, the event's fields, target, the trace and span around it. Written
//! straight into the line, because every request writes one.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// The format. Spans must be recorded with [`JsonFields`].
#[derive(Debug)]
pub(super) struct JsonLines;

impl<S> FormatEvent<S, JsonFields> for JsonLines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        writer.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut writer)?;
        writer.write_str("\",\"level\":\"")?;
        writer.write_str(metadata.level().as_str())?;
        writer.write_str("\"")?;
        let mut fields = Fields { line: writer.by_ref(), outcome: Ok(()) };
        event.record(&mut fields);
        fields.outcome?;
        writer.write_str(",\"target\":")?;
        quote(&mut writer, metadata.target())?;
        if let Some((trace, span)) = super::current() {
            write!(writer, ",\"trace_id\":\"{trace}\",\"span_id\":\"{span}\"")?;
        }
        if let Some(span) = context.lookup_current() {
            writer.write_str(",\"span\":{\"name\":")?;
            quote(&mut writer, span.name())?;
            let extensions = span.extensions();
            let recorded = extensions.get::<FormattedFields<JsonFields>>();
            // They are an object of their own; its members go into this one.
            let members = recorded.and_then(|fields| fields.fields.strip_prefix('{')?.strip_suffix('}'));
            if let Some(members) = members.filter(|members| !members.is_empty()) {
                write!(writer, ",{members}")?;
            }
            writer.write_char('}')?;
        }
        writer.write_str("}\n")
    }
}

/// Writes fields as members of an object that is already begun; a field without a value is left out.
struct Fields<'a> {
    line: Writer<'a>,
    outcome: fmt::Result,
}

impl Fields<'_> {
    fn member(&mut self, field: &Field, write: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.outcome.is_ok() {
            self.outcome = self.try_member(field, write);
        }
    }

    fn try_member(
        &mut self,
        field: &Field,
        write: impl FnOnce(&mut Writer<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let name = field.name();
        // Names are the program's own and need no escapes; a raw identifier's mark is not part of the name.
        self.line.write_str(",\"")?;
        self.line.write_str(name.strip_prefix("r#").unwrap_or(name))?;
        self.line.write_str("\":")?;
        write(&mut self.line)
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, |line| quote(line, value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, |line| write!(line, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, |line| write!(line, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, |line| line.write_str(if value { "true" } else { "false" }));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has neither infinities nor NaN.
        self.member(
            field,
            |line| {
                if value.is_finite() { write!(line, "{value}") } else { line.write_str("null") }
            },
        );
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field, |line| {
            line.write_str("\"")?;
            write!(Escaping(line), "{value:?}")?;
            line.write_str("\"")
        });
    }
}

fn quote(line: &mut Writer<'_>, text: &str) -> fmt::Result {
    line.write_str("\"")?;
    Escaping(line).write_str(text)?;
    line.write_str("\"")
}

/// Writes what stands inside of a JSON string.
struct Escaping<'a, 'b>(&'a mut Writer<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut written = 0;
        for (at, byte) in text.bytes().enumerate() {
            if byte >= b' ' && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.0.write_str(&text[written..at])?;
            match byte {
                b'"' => self.0.write_str("\\\"")?,
                b'\\' => self.0.write_str("\\\\")?,
                b'\n' => self.0.write_str("\\n")?,
                control => write!(self.0, "\\u{control:04x}")?,
            }
            written = at + 1;
        }
        self.0.write_str(&text[written..])
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing_subscriber::fmt;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn line(log: impl FnOnce()) -> Value {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn every_kind_of_field_is_json() {
        let nothing: Option<u64> = None;
        let mut line = line(|| {
            tracing::warn!(
                target: "here",
                text = "a \"quoted\"\\\n\u{1}ö",
                number = 7_u64,
                below = -7_i64,
                share = 0.5,
                never = f64::NAN,
                yes = true,
                shown = ?vec!["x"],
                nothing,
                r#type = %"kind",
                "what {} happened", "it was that"
            );
        });
        let time = line["timestamp"].take();
        let form = "2026-07-28T12:00:00.000000Z";
        assert!(time.as_str().is_some_and(|time| time.len() == form.len() && time.ends_with('Z')), "{time}");
        let wanted = json!({
            "timestamp": null, "level": "WARN", "target": "here", "text": "a \"quoted\"\\\n\u{1}ö", "number": 7,
            "below": -7, "share": 0.5, "never": null, "yes": true, "shown": "[\"x\"]", "type": "kind",
            "message": "what it was that happened",
        });
        assert_eq!(line, wanted);
    }

    #[test]
    fn the_span_around_it_is_named_with_its_fields() {
        let with_fields =
            line(|| tracing::info_span!("call", tenant = "a").in_scope(|| tracing::info!("in")));
        assert_eq!(with_fields["span"], json!({ "name": "call", "tenant": "a" }));
        let without = line(|| tracing::info_span!("call").in_scope(|| tracing::info!("in")));
        assert_eq!(without["span"], json!({ "name": "call" }));
    }
}
