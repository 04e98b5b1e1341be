//! A refusal of the server, told so that one knows what to do: what was wrong with which flag, the stable reason, when to
//! try again.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::connection::causes;
use crate::error::Exit;
use crate::flags::Flag;

/// What the server said, and what is to be made of it.
#[derive(Debug)]
pub(crate) struct StatusReport {
    code: Code,
    message: String,
    /// The stable reason (`google.rpc.ErrorInfo`), such as `ETAG_MISMATCH`.
    reason: Option<String>,
    /// What is wrong with which flag or field.
    violations: Vec<Violation>,
    /// Kind and name of what it was about.
    resource: Option<(String, String)>,
    retry_after: Option<Duration>,
    /// What the server says to do (`hint` among the metadata of its `ErrorInfo`).
    help: Option<String>,
    /// What of the environment it may come from.
    hint: Option<String>,
}

#[derive(Debug)]
struct Violation {
    /// Such as `--expire-time`, or the field's name where no flag sets it.
    at: String,
    description: String,
}

impl StatusReport {
    /// Reads a status; `flags` are those of the command, `server` is where it was sent.
    pub(crate) fn read(status: &Status, flags: &[Flag], server: &str) -> Self {
        let details = status.get_error_details();
        let violations = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
        // A message that repeats the first of them says nothing more.
        let repeats = violations.first().is_some_and(|first| status.message().contains(&first.description));
        let violations = violations.iter().map(|violation| Violation {
            at: flag_of(&violation.field, flags),
            description: violation.description.clone(),
        });
        let resource = details
            .resource_info()
            .map(|resource| (resource.resource_type.clone(), resource.resource_name.clone()));
        let reason = details.error_info().map(|info| info.reason.clone());
        // Servers of other projects, and proxies, know no reasons of ours.
        let is_ours = reason.is_some();
        let message = message(status, is_ours);
        let of_transport = if is_ours { None } else { transport_hint(&message, server) };
        let hint = of_transport.or_else(|| hint(status.code(), reason.as_deref(), is_ours, server));
        Self {
            code: status.code(),
            message: if repeats { "The request is wrong.".to_owned() } else { message },
            violations: violations.collect(),
            resource,
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
            help: details.error_info().and_then(|info| info.metadata.get("hint")).cloned(),
            hint,
            reason,
        }
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        exit(self.code)
    }

    /// Whether nothing of this name is there.
    pub(crate) fn is_not_found(&self) -> bool {
        self.code == Code::NotFound
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "code": name(self.code),
            "reason": self.reason,
            "message": self.message,
            "violations": self.violations.iter()
                .map(|violation| json!({"at": violation.at, "description": violation.description}))
                .collect::<Vec<_>>(),
            "retryAfterSeconds": self.retry_after.map(|after| after.as_secs_f64()),
            "hints": self.help.iter().chain(&self.hint).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for StatusReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(reason) = &self.reason {
            write!(f, " [{reason}]")?;
        }
        for Violation { at, description } in &self.violations {
            write!(f, "\n  {at}: {description}")?;
        }
        if let Some((kind, name)) =
            self.resource.as_ref().filter(|(_, name)| !self.message.contains(name.as_str()))
        {
            write!(f, "\n  about {kind} {name}")?;
        }
        if let Some(after) = self.retry_after {
            write!(f, "\n  try again in {} s", after.as_secs_f64().ceil())?;
        }
        for hint in self.help.iter().chain(&self.hint) {
            write!(f, "\n  {hint}")?;
        }
        Ok(())
    }
}

/// `--jwks-uri` of `issuer.jwks_uri`; what no flag sets keeps its name. `scopes[1]` is of the flag `--scopes`.
fn flag_of(field: &str, flags: &[Flag]) -> String {
    let plain = field.split('[').next().unwrap_or(field);
    let is_it = |flag: &&Flag| {
        let dotted = flag.dotted();
        dotted == plain || dotted.ends_with(&format!(".{plain}")) || flag.field().json_name() == plain
    };
    // A member of what a flag takes as JSON is that flag's.
    let holds = |flag: &&Flag| {
        let dotted = flag.dotted();
        let begins = |path: &str| plain.starts_with(&format!("{path}."));
        begins(&dotted) || dotted.split_once('.').is_some_and(|(_, member)| begins(member))
    };
    let found = flags.iter().find(is_it).map(|flag| {
        // Which value of several it is, as the server counts.
        if plain == field { format!("--{}", flag.name) } else { format!("--{} ({field})", flag.name) }
    });
    found
        .or_else(|| flags.iter().find(holds).map(|flag| format!("--{} ({field})", flag.name)))
        .unwrap_or_else(|| field.to_owned())
}

fn message(status: &Status, is_ours: bool) -> String {
    let mut message = status.message().to_owned();
    // Where no server of ours spoke, the reason is in what the transport met.
    if let Some(cause) = std::error::Error::source(status).filter(|_| !is_ours) {
        let cause = causes(cause);
        message = if cause.contains(&message) { cause } else { format!("{message}: {cause}") };
    }
    if message.is_empty() { name(status.code()).to_owned() } else { message }
}

/// What a connection that could not be made may come from, by what TLS says of it (RFC 8446 §6.2).
fn transport_hint(message: &str, server: &str) -> Option<String> {
    const REFUSED: [&str; 8] = [
        "UnknownCA",
        "BadCertificate",
        "CertificateUnknown",
        "CertificateExpired",
        "CertificateRevoked",
        "UnsupportedCertificate",
        "DecryptError",
        "AccessDenied",
    ];
    let is_alert = message.contains("fatal alert");
    // Whoever writes on before the alert is read learns only that the connection is gone.
    let is_cut = message.contains("connection error") || message.contains("connection closed");
    let is_of_peer = message.contains("invalid peer certificate");
    let hint = if is_alert && message.contains("CertificateRequired") {
        "The server asks for a certificate: --client-certificate and --client-key, of an authority in the server's \
         admin.client_authority_file."
    } else if is_alert && REFUSED.iter().any(|alert| message.contains(alert)) {
        "The server does not accept the certificate of --client-certificate: it has to be of an authority in the server's \
         admin.client_authority_file, for clients, and in its time."
    } else if is_of_peer && message.contains("UnknownIssuer") {
        "Nobody whom this machine trusts vouches for the server: --ca-file names the certificates to trust."
    } else if is_of_peer && message.contains("NotValidForName") {
        "The server's certificate is for another name than that of its address."
    } else if is_of_peer && message.contains("Expired") {
        "The time of the server's certificate is over, or this machine's clock is wrong."
    } else if is_cut && server.starts_with("http://") {
        "Does the server speak TLS? Then its address begins with https://."
    } else if is_cut {
        "The server ended the connection. Does it ask for a certificate (--client-certificate and --client-key)?"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

fn hint(code: Code, reason: Option<&str>, is_ours: bool, server: &str) -> Option<String> {
    let hint = match (code, reason) {
        (Code::Unauthenticated, _) => {
            "The key is read from --key-file, STAGEDOOR_ADMIN_KEY, STAGEDOOR_ADMIN_KEY_FILE or the context, in this order; \
             agents' keys (sd_live_…) are no admin keys. `stagedoorctl context current` shows what is used."
                .to_owned()
        }
        (Code::PermissionDenied, _) => {
            "`stagedoorctl caller get` tells what this key may do; each command's roles are in docs/admin-api.md.".to_owned()
        }
        (Code::Unavailable, _) if !is_ours => {
            format!("Is {server} the admin API's address, and does it serve? --ca-file names certificates to trust.")
        }
        (Code::Unimplemented, _) => "The server is older than this program, or not Stagedoor's admin API.".to_owned(),
        (Code::DeadlineExceeded, _) => "Allow more time with --timeout.".to_owned(),
        (_, Some("ETAG_MISMATCH")) => "Look at it again, and repeat the change with the new etag.".to_owned(),
        _ => return None,
    };
    Some(hint)
}

/// The exit code of a gRPC code.
pub(crate) fn exit(code: Code) -> Exit {
    match code {
        Code::Ok => Exit::Done,
        Code::InvalidArgument | Code::OutOfRange => Exit::Usage,
        Code::Unauthenticated | Code::PermissionDenied => Exit::NotPermitted,
        Code::NotFound => Exit::NotFound,
        Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition => Exit::Conflict,
        Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => Exit::Unavailable,
        Code::Cancelled | Code::Unknown | Code::Unimplemented | Code::Internal | Code::DataLoss => {
            Exit::Failed
        }
    }
}

/// As gRPC spells it.
pub(crate) fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use stagedoor_proto::dynamic;
    use tonic_types::{ErrorDetails, FieldViolation};

    use super::*;
    use crate::flags;

    fn report(code: Code, details: ErrorDetails) -> StatusReport {
        let request =
            dynamic::pool().get_message_by_name("stagedoor.admin.v1.UpdateSettingsRequest").unwrap();
        let status = Status::with_error_details(code, "It is refused.", details);
        StatusReport::read(&status, &flags::of_request(&request), "https://admin.example.org")
    }

    #[test]
    fn violations_name_flags() {
        let violations = [
            ("settings.devices.new_device", "allow, alert or refuse"),
            ("cache_ttl_seconds", "no class \"x\""),
            ("limits.api.quotas[0].capacity", "at least 1"),
            ("newField", "not known"),
            ("preferences[1]", "no such thing"),
        ];
        let violations = violations.map(|(field, what)| FieldViolation::new(field, what));
        let text = report(Code::InvalidArgument, ErrorDetails::with_bad_request(violations)).to_string();
        for line in [
            "--devices.new-device: allow, alert or refuse",
            "--cache-ttl-seconds: no class",
            "--limits (limits.api.quotas[0].capacity): at least 1",
            "newField: not known",
            "--preferences (preferences[1]): no such thing",
        ] {
            assert!(text.contains(line), "no {line} in {text}");
        }
    }

    #[test]
    fn nothing_is_said_twice() {
        let violation = FieldViolation::new("retention.audit_days", "30 to 3650");
        let details = ErrorDetails::with_bad_request([violation]);
        let status =
            Status::with_error_details(Code::InvalidArgument, "retention.audit_days: 30 to 3650", details);
        let text = StatusReport::read(&status, &[], "https://admin.example.org").to_string();
        assert_eq!(text, "The request is wrong.\n  retention.audit_days: 30 to 3650");
    }

    #[test]
    fn reason_retry_and_exit_code_are_told() {
        let hint = HashMap::from([("hint".to_owned(), "Ask for less.".to_owned())]);
        let mut details = ErrorDetails::with_error_info("RATE_LIMITED", "stagedoor", hint);
        details.set_retry_info(Some(Duration::from_millis(1_500)));
        let report = report(Code::ResourceExhausted, details);
        assert_eq!(report.exit(), Exit::Unavailable);
        let text = report.to_string();
        assert!(
            text.starts_with("It is refused. [RATE_LIMITED]") && text.contains("try again in 2 s"),
            "{text}"
        );
        assert_eq!(report.to_json()["retryAfterSeconds"], 1.5);
    }

    #[test]
    fn what_tls_says_has_a_hint() {
        for (said, hint) in [
            ("connection error: received fatal alert: CertificateRequired", "asks for a certificate"),
            ("connection error: received fatal alert: UnknownCA", "does not accept the certificate"),
            ("invalid peer certificate: UnknownIssuer", "--ca-file"),
            ("invalid peer certificate: certificate not valid for name; NotValidForName", "another name"),
            ("connection error: stream closed because of a broken pipe", "--client-certificate"),
            ("transport error: operation was canceled: connection closed", "--client-certificate"),
        ] {
            let report = StatusReport::read(&Status::unknown(said), &[], "https://admin.example.org");
            assert!(report.to_string().contains(hint), "{report}");
        }
    }

    #[test]
    fn what_is_refused_for_want_of_a_key_says_where_keys_come_from() {
        let report = report(Code::Unauthenticated, ErrorDetails::new());
        assert_eq!(report.exit(), Exit::NotPermitted);
        assert!(report.to_string().contains("--key-file"));
    }
}
