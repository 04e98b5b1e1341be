//! What quickstart has to know: from flags, or asked for where a person sits at the terminal.

use stagedoor_proto::admin::v1::Provider;

use super::{QuickstartArguments, provider};
use crate::error::CtlError;
use crate::input_files::read_secret;
use crate::surroundings::Surroundings;

/// All that is known before anything is made.
pub(super) struct Answers {
    pub(super) tenant: String,
    pub(super) name: String,
    pub(super) provider: Provider,
    pub(super) client_id: String,
    /// Empty for a public client.
    pub(super) client_secret: String,
    pub(super) user_label: String,
    pub(super) scopes: Vec<String>,
    pub(super) key_name: String,
}

impl Answers {
    /// From flags; what is missing is asked for, or named all at once where there is nobody to ask.
    pub(super) fn collect(
        arguments: QuickstartArguments,
        tenant: Option<String>,
        surroundings: &mut Surroundings,
    ) -> Result<Self, CtlError> {
        let tenant = arguments.tenant.or(tenant);
        if !surroundings.terminal.input {
            let given = [
                ("--tenant", tenant.is_some()),
                ("--provider", arguments.provider.is_some()),
                ("--client-id", arguments.client_id.is_some()),
                ("--user-label", arguments.user_label.is_some()),
            ];
            let missing: Vec<&str> =
                given.iter().filter(|(_, given)| !given).map(|(flag, _)| *flag).collect();
            if !missing.is_empty() {
                return Err(CtlError::usage(format!(
                    "{} needed: nobody can be asked here",
                    missing.join(", ")
                )));
            }
        }
        let is_asked = arguments.client_id.is_none();
        let tenant = given_or(tenant, surroundings, "Tenant's name in URLs (such as acme)")?;
        let name = arguments.name.unwrap_or_else(|| tenant.clone());
        let provider = match arguments.provider {
            Some(provider) => provider,
            None => ask_provider(surroundings)?,
        };
        let client_id = given_or(arguments.client_id, surroundings, "Client id at the music service")?;
        let client_secret = match arguments.client_secret_file {
            Some(path) => read_secret("--client-secret-file", &path, surroundings)?,
            None if is_asked => ask_secret(surroundings)?,
            None => String::new(),
        };
        let user_label =
            given_or(arguments.user_label, surroundings, "Whom the agent acts for (a label of yours)")?;
        let (scopes, key_name) = (arguments.scopes, arguments.key_name);
        Ok(Self { tenant, name, provider, client_id, client_secret, user_label, scopes, key_name })
    }
}

fn given_or(
    given: Option<String>,
    surroundings: &mut Surroundings,
    question: &str,
) -> Result<String, CtlError> {
    match given {
        Some(given) => Ok(given),
        None => loop {
            let answer = ask(surroundings, question)?;
            if !answer.is_empty() {
                return Ok(answer);
            }
        },
    }
}

fn ask_provider(surroundings: &mut Surroundings) -> Result<Provider, CtlError> {
    loop {
        match provider(&ask(surroundings, "Music service (spotify or tidal)")?) {
            Ok(provider) => return Ok(provider),
            Err(right) => surroundings.say(&right),
        }
    }
}

/// Nothing of it is seen; nothing at all is a public client.
fn ask_secret(surroundings: &mut Surroundings) -> Result<String, CtlError> {
    let hidden = Hidden::begin();
    let answer = ask(surroundings, "Client secret (not shown; empty for a public client)");
    drop(hidden);
    surroundings.say("");
    answer
}

fn ask(surroundings: &mut Surroundings, question: &str) -> Result<String, CtlError> {
    let _ = write!(surroundings.messages, "{question}: ");
    let _ = surroundings.messages.flush();
    let mut line = String::new();
    let read = surroundings.input.read_line(&mut line).map_err(CtlError::Stream)?;
    if read == 0 {
        return Err(CtlError::usage("the input ended before the last question"));
    }
    Ok(line.trim().to_owned())
}

/// The terminal shows nothing of what is typed while this lives.
struct Hidden(Option<rustix::termios::Termios>);

impl Hidden {
    fn begin() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let Ok(before) = tcgetattr(std::io::stdin()) else { return Self(None) };
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        let set = tcsetattr(std::io::stdin(), OptionalActions::Flush, &silent);
        Self(set.ok().map(|()| before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ =
                rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Flush, before);
        }
    }
}
