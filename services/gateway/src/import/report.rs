//! One line for each file: a table for people, JSON for scripts; and the exit code that sums them up.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_domain::text::clean;
use stagedoor_legacy_sessions::{Format, Found, Missing};
use stagedoor_tools::import::{ImportOutcome, Imported};

use super::files::{FileError, shown};

/// What is said about one file.
#[derive(Debug)]
pub(super) struct Line {
    file: String,
    found: Option<Shown>,
    state: State,
    warnings: Vec<String>,
}

/// What a file was found to hold.
#[derive(Debug)]
struct Shown {
    format: Format,
    provider: Provider,
    account: Option<String>,
    ends: Option<DateTime<Utc>>,
    missing: Vec<Missing>,
    notes: Vec<String>,
}

#[derive(Debug)]
enum State {
    Found,
    NotRead(String),
    OtherService,
    NotTried,
    Done(Imported),
}

/// The lines of a run.
#[derive(Debug)]
pub(super) struct Report {
    json: bool,
    dry_run: bool,
    headed: bool,
    worst: Verdict,
}

/// What the exit code says, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    AllUsable,
    SomeNot,
    Failed,
}

impl Line {
    pub(super) fn found(path: &Path, found: &Found) -> Self {
        let session = &found.session;
        let shown = Shown {
            format: found.format,
            provider: session.provider,
            account: session.provider_user_id.clone(),
            ends: session.expires_at,
            missing: session.missing(),
            notes: found.notes.iter().map(ToString::to_string).collect(),
        };
        Self { found: Some(shown), ..Self::new(path, State::Found) }
    }

    pub(super) fn not_read(path: &Path, error: &FileError) -> Self {
        Self::new(path, State::NotRead(error.to_string()))
    }

    pub(super) fn not_tried(self) -> Self {
        Self { state: State::NotTried, ..self }
    }

    pub(super) fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    pub(super) fn of_another_service(self) -> Self {
        Self { state: State::OtherService, ..self }
    }

    pub(super) fn with_outcome(mut self, imported: Imported) -> Self {
        self.warnings.extend(imported.warnings.iter().cloned());
        Self { state: State::Done(imported), ..self }
    }

    fn new(path: &Path, state: State) -> Self {
        let file = shown(path);
        Self { file, found: None, state, warnings: Vec::new() }
    }

    fn outcome(&self) -> &'static str {
        match &self.state {
            State::Found | State::OtherService => ImportOutcome::NotUsable.as_str(),
            State::NotRead(_) => "not_read",
            State::NotTried => "not_tried",
            State::Done(imported) => imported.outcome.as_str(),
        }
    }

    fn reason(&self) -> Option<&'static str> {
        match &self.state {
            State::Found => None,
            State::OtherService => Some("other_provider"),
            State::NotRead(_) => Some("not_read"),
            State::NotTried => Some("interrupted"),
            State::Done(imported) => imported.reason,
        }
    }

    fn explanation(&self) -> &str {
        match &self.state {
            State::Found => "",
            State::OtherService => "it is of another service than --provider",
            State::NotRead(problem) => problem,
            State::NotTried => "the import was interrupted before",
            State::Done(imported) => &imported.explanation,
        }
    }

    /// The provider's id of the account, as the provider confirmed it or the file says.
    fn account(&self) -> Option<&str> {
        let confirmed = match &self.state {
            State::Done(imported) => imported.provider_user_id.as_deref(),
            _ => None,
        };
        confirmed.or_else(|| self.found.as_ref()?.account.as_deref())
    }

    fn json(&self, dry_run: bool) -> Value {
        let done = match &self.state {
            State::Done(imported) => Some(imported),
            _ => None,
        };
        let found = self.found.as_ref();
        json!({
            "file": self.file,
            "format": found.map(|found| found.format.as_str()),
            "provider": found.map(|found| found.provider.as_str()),
            "outcome": self.outcome(),
            "reason": self.reason(),
            "explanation": self.explanation(),
            "account": done.and_then(|done| done.account).map(|id| id.to_string()),
            "provider_user_id": self.account(),
            "name": done.and_then(|done| done.name.as_deref()),
            "token_expires_at": found.and_then(|found| found.ends).map(iso),
            "missing": found.map(|found| found.missing.iter().map(|missing| missing.as_str()).collect::<Vec<_>>()),
            "notes": found.map(|found| &found.notes),
            "warnings": self.warnings,
            "dry_run": dry_run,
        })
    }

    fn text(&self) -> String {
        let found = self.found.as_ref();
        let mut text = format!(
            "{:<17} {:<14} {:<24} {:<20} {}\n",
            self.outcome(),
            found.map_or("-", |found| found.format.as_str()),
            self.account().map_or_else(|| "-".to_owned(), |account| clean(account, 24)),
            found.and_then(|found| found.ends).map_or_else(|| "-".to_owned(), iso),
            self.file,
        );
        let mut indented = |remark: &str| {
            let (first, rest) = remark.split_at(remark.chars().next().map_or(0, char::len_utf8));
            let _ = writeln!(text, "  {}{rest}.", first.to_uppercase());
        };
        if let Some(found) = found {
            indented(&format!("It is {}", found.format.title()));
            found.notes.iter().for_each(|note| indented(note));
            if !found.missing.is_empty() {
                let names: Vec<_> = found.missing.iter().map(|missing| missing.as_str()).collect();
                indented(&format!("It does not tell: {}", names.join(", ")));
            }
        }
        indented(self.explanation());
        for warning in &self.warnings {
            indented(&format!("Warning: {warning}"));
        }
        text
    }

    fn verdict(&self) -> Verdict {
        match &self.state {
            State::NotTried => Verdict::Failed,
            State::Done(imported) if imported.outcome == ImportOutcome::Failed => Verdict::Failed,
            State::Done(imported) if imported.outcome.is_usable() => Verdict::AllUsable,
            _ => Verdict::SomeNot,
        }
    }
}

impl Report {
    pub(super) fn new(json: bool, dry_run: bool) -> Self {
        Self { json, dry_run, headed: false, worst: Verdict::AllUsable }
    }

    /// Prints a line and counts it in.
    pub(super) fn add(&mut self, line: &Line) {
        self.worst = self.worst.max(line.verdict());
        let text = if self.json { format!("{}\n", line.json(self.dry_run)) } else { line.text() };
        let head = if self.json || self.headed { String::new() } else { self.head() };
        self.headed = true;
        // Whoever read the output may have gone; the import goes on, and the exit code tells how it went.
        let mut output = std::io::stdout().lock();
        let _ = output.write_all((head + &text).as_bytes()).and_then(|()| output.flush());
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        match self.worst {
            Verdict::AllUsable => ExitCode::SUCCESS,
            Verdict::SomeNot => ExitCode::from(2),
            Verdict::Failed => ExitCode::FAILURE,
        }
    }

    fn head(&self) -> String {
        let dry = if self.dry_run { "Dry run: nothing is stored, no token is refreshed.\n" } else { "" };
        format!("{dry}{:<17} {:<14} {:<24} {:<20} FILE\n", "OUTCOME", "FORMAT", "ACCOUNT", "TOKEN ENDS")
    }
}

fn iso(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
