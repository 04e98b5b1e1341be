//! The words of the failures that are told on a link page in a way of its own, and their status. Each says what happened
//! and what to do now.

use http::StatusCode;
use stagedoor_domain::{ErrorCode, Provider, PublicError};

use super::visit::Step;
use crate::pages::failures::{self, Words};
use crate::pages::{MessageView, Removal, sentence};

/// The page of a failure; `granted` is the service at which the person had said yes before it.
pub(super) fn view(
    error: &PublicError,
    step: Step,
    granted: Option<Provider>,
    call: Option<String>,
) -> MessageView {
    let mut page = words(error.code).page(error, may_be_tried_again(error.code, step), call);
    page.remove_at = granted.and_then(Removal::at);
    // The others are told in full by our own words; some of theirs are for agents.
    if error.code == ErrorCode::LinkFailed {
        page.what = sentence(&error.message);
    }
    page
}

/// The status of a failure's page. To decline is an answer like any other.
pub(super) fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::LinkDeclined => StatusCode::OK,
        other => failures::status(other),
    }
}

/// Whether opening the same address again can help. A service's answer that was taken is not taken again: it is told
/// what became of it.
const fn may_be_tried_again(code: ErrorCode, step: Step) -> bool {
    match code {
        ErrorCode::LinkUnderway => true,
        ErrorCode::DeadlineExceeded => matches!(step, Step::Callback),
        // The form of an older copy of the page, or cookies that are allowed only now.
        ErrorCode::LinkStateInvalid | ErrorCode::BodyTimeout | ErrorCode::InvalidRequest => {
            matches!(step, Step::Consent | Step::Decision)
        }
        other => failures::passes(other),
    }
}

const fn words(code: ErrorCode) -> Words {
    match code {
        ErrorCode::LinkExpired => Words {
            heading: "This link has expired",
            what: "A link works for a few minutes only, and until a newer one takes its place. Nothing was linked.",
            now: "Ask the agent for a new link.",
        },
        ErrorCode::LinkUsed => Words {
            heading: "This link was used before",
            what: "An account was linked with it. Each link works once.",
            now: "If that was you, all is well: go back to the agent. To link another account, ask it for a new link.",
        },
        ErrorCode::LinkUnderway => Words {
            heading: "Your account is being linked",
            what: "The music service has answered, and its answer is being taken at this moment.",
            now: "Wait a few seconds, then open this page anew.",
        },
        ErrorCode::LinkDeclined => Words {
            heading: "Nothing was linked",
            what: "The permission was declined. Nothing was stored, and the agent is told.",
            now: "You can close this page. If you change your mind, ask the agent for a new link.",
        },
        ErrorCode::LinkStateInvalid => Words {
            heading: "This does not belong together",
            what: "What arrived here does not belong to a link that was agreed to in this browser. Nothing was linked.",
            now: "Ask the agent for a new link, open it, and finish in the same browser, with cookies allowed. If you did not begin this yourself, close the page.",
        },
        ErrorCode::LinkIssuerMismatch => Words {
            heading: "The answer came from somewhere else",
            what: "The answer does not come from the music service that was asked. It was not used, and nothing was linked.",
            now: "Ask the agent for a new link. If this happens again, tell whoever runs this service.",
        },
        ErrorCode::LinkFailed => Words {
            heading: "The account was not linked",
            what: "Nothing was stored.",
            now: "Go back to the agent. It is told the same, and what can be done about it.",
        },
        ErrorCode::LinkRevoked => Words {
            heading: "The agent may no longer ask",
            what: "The agent's key has been withdrawn, or has ended, since it asked for this link. Nothing was linked.",
            now: "You can close this page. If you still want to link an account, ask whoever gave you the agent.",
        },
        ErrorCode::DeadlineExceeded => Words {
            heading: "This takes too long",
            what: "The music service has not answered in time. The account may still be linked in a moment.",
            now: "Open this page anew in a moment, or ask the agent whether it worked.",
        },
        other => failures::words(other),
    }
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::*;

    #[test]
    fn every_failure_has_a_page_that_says_what_to_do() {
        for code in ErrorCode::ALL {
            let error = PublicError::new(*code, "<script>alert(1)</script>");
            let html = view(&error, Step::Callback, Some(Provider::Spotify), None).render().unwrap();
            assert!(html.contains("https://www.spotify.com/account/apps/"), "{code}");
            assert!(html.contains("What to do now") && html.contains(code.as_str()), "{code}");
            assert!(!html.contains("<script"), "{code} reflects markup");
            assert!(status(*code).as_u16() >= 400 || *code == ErrorCode::LinkDeclined, "{code}");
        }
    }
}
