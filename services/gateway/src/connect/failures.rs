//! The words and the status of every failure of a link page. Each says what happened and what to do now.

use http::StatusCode;
use stagedoor_domain::{ErrorCode, Provider, PublicError};

use super::visit::Step;
use crate::pages::{MessageView, Removal, sentence};

struct Words {
    heading: &'static str,
    what: &'static str,
    now: &'static str,
}

/// The page of a failure; `granted` is the service at which the person had said yes before it.
pub(super) fn view(
    error: &PublicError,
    step: Step,
    granted: Option<Provider>,
    call: Option<String>,
) -> MessageView {
    let Words { heading, what, now } = words(error.code);
    MessageView {
        heading,
        // The others are told in full by our own words; some of theirs are for agents.
        what: if error.code == ErrorCode::LinkFailed { sentence(&error.message) } else { what.to_owned() },
        remove_at: granted.and_then(Removal::at),
        now,
        again: may_be_tried_again(error.code, step),
        code: Some(error.code.as_str()),
        call,
    }
}

/// The status of a failure's page. Codes that are a tool's have none of their own: they are someone else's failure.
pub(super) fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::LinkDeclined => StatusCode::OK,
        ErrorCode::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        other => match other.http_status() {
            200 => StatusCode::BAD_GATEWAY,
            status => StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        },
    }
}

/// Whether opening the same address again can help. A service's answer that was taken is not taken again: it is told
/// what became of it.
const fn may_be_tried_again(code: ErrorCode, step: Step) -> bool {
    match code {
        ErrorCode::LinkUnderway
        | ErrorCode::RateLimited
        | ErrorCode::StoreUnavailable
        | ErrorCode::KeyUnavailable
        | ErrorCode::AuditUnavailable => true,
        ErrorCode::DeadlineExceeded => matches!(step, Step::Callback),
        // The form of an older copy of the page, or cookies that are allowed only now.
        ErrorCode::LinkStateInvalid | ErrorCode::BodyTimeout | ErrorCode::InvalidRequest => {
            matches!(step, Step::Consent | Step::Decision)
        }
        _ => false,
    }
}

const fn words(code: ErrorCode) -> Words {
    match code {
        ErrorCode::LinkUnknown => Words {
            heading: "This link does not work",
            what: "There is no such link: part of its address may be missing, or it is too old.",
            now: "Copy the whole address from your agent, or ask it for a new link.",
        },
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
        ErrorCode::InvalidOrigin => Words {
            heading: "This form came from another site",
            what: "Your answer was sent by a page that is not ours, so it was not taken. Nothing was linked.",
            now: "Close that page. To link an account, open the address that your agent gave you.",
        },
        ErrorCode::InvalidHost | ErrorCode::NotFound => Words {
            heading: "There is nothing here",
            what: "This address leads to no page.",
            now: "Copy the whole address from your agent, or ask it for a new link.",
        },
        ErrorCode::MethodNotAllowed => Words {
            heading: "This page can only be opened or answered",
            what: "Your program asked for something that this page does not do.",
            now: "Open the address in a web browser.",
        },
        ErrorCode::TooManyAttempts => Words {
            heading: "Too many attempts",
            what: "This address leads to no link, and your network has tried too many addresses or keys that do not exist.",
            now: "Wait a quarter of an hour. An address that is complete and right works in the meantime too.",
        },
        ErrorCode::RateLimited => Words {
            heading: "Too many requests",
            what: "More requests came from your network than this service answers at a time.",
            now: "Wait a minute, then open the page again.",
        },
        ErrorCode::InvalidRequest
        | ErrorCode::BodyTooLarge
        | ErrorCode::BodyTimeout
        | ErrorCode::UnsupportedMediaType => Words {
            heading: "Your answer could not be read",
            what: "The form did not arrive as this page sends it. Nothing was linked.",
            now: "Open the page again and answer once more.",
        },
        ErrorCode::StoreUnavailable | ErrorCode::KeyUnavailable | ErrorCode::AuditUnavailable => Words {
            heading: "This does not work at the moment",
            what: "Something that is needed here is out of reach. Nothing was linked.",
            now: "Try again in a minute. If the link has expired by then, ask the agent for a new one.",
        },
        ErrorCode::DeadlineExceeded => Words {
            heading: "This takes too long",
            what: "The music service has not answered in time. The account may still be linked in a moment.",
            now: "Open this page anew in a moment, or ask the agent whether it worked.",
        },
        _ => Words {
            heading: "Something went wrong",
            what: "The account was not linked.",
            now: "Ask the agent for a new link. If this happens again, tell whoever runs this service, and give them the code below.",
        },
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
