//! The words and the status of every failure of a privacy page. Each says what happened and what to do now.

use http::StatusCode;
use stagedoor_domain::{ErrorCode, PublicError};

use crate::pages::MessageView;

struct Words {
    heading: &'static str,
    what: &'static str,
    now: &'static str,
}

/// The page of a failure.
pub(super) fn view(error: &PublicError, call: Option<String>) -> MessageView {
    let Words { heading, what, now } = words(error.code);
    MessageView {
        heading,
        what: what.to_owned(),
        remove_at: None,
        now,
        again: may_be_tried_again(error.code),
        code: Some(error.code.as_str()),
        call,
    }
}

/// The status of a failure's page. Codes that are a tool's have none of their own: they are someone else's failure.
pub(super) fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        other => match other.http_status() {
            200 => StatusCode::BAD_GATEWAY,
            status => StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        },
    }
}

const fn may_be_tried_again(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::RateLimited
            | ErrorCode::StoreUnavailable
            | ErrorCode::KeyUnavailable
            | ErrorCode::AuditUnavailable
            | ErrorCode::DeadlineExceeded
            | ErrorCode::LinkStateInvalid
            | ErrorCode::BodyTimeout
            | ErrorCode::InvalidRequest
    )
}

const fn words(code: ErrorCode) -> Words {
    match code {
        ErrorCode::LinkUnknown => Words {
            heading: "This address does not work",
            what: "There is no such page: part of its address may be missing, or it is too old.",
            now: "Copy the whole address from your agent, or ask it for a new one.",
        },
        ErrorCode::LinkExpired => Words {
            heading: "This page has expired",
            what: "It works for a few minutes only, and until a newer one takes its place. Nothing was handed out or deleted.",
            now: "Ask the agent for a new one.",
        },
        ErrorCode::LinkUsed => Words {
            heading: "This copy was taken before",
            what: "The page hands out its copy once. It has been downloaded, or a download has begun.",
            now: "If that was not you, tell whoever runs this service. If the download broke off, ask the agent for a new copy.",
        },
        ErrorCode::LinkStateInvalid => Words {
            heading: "This does not belong together",
            what: "What arrived here does not belong to this page as it was shown in this browser. Nothing was handed out or deleted.",
            now: "Open the page again, with cookies allowed, and answer once more. If you did not begin this yourself, close the page.",
        },
        ErrorCode::InvalidOrigin => Words {
            heading: "This form came from another site",
            what: "Your answer was sent by a page that is not ours, so it was not taken. Nothing was handed out or deleted.",
            now: "Close that page. Open the address that your agent gave you.",
        },
        ErrorCode::InvalidHost | ErrorCode::NotFound => Words {
            heading: "There is nothing here",
            what: "This address leads to no page.",
            now: "Copy the whole address from your agent, or ask it for a new one.",
        },
        ErrorCode::MethodNotAllowed => Words {
            heading: "This page can only be opened or answered",
            what: "Your program asked for something that this page does not do.",
            now: "Open the address in a web browser.",
        },
        ErrorCode::TooManyAttempts => Words {
            heading: "Too many attempts",
            what: "This address leads nowhere, and your network has tried too many addresses or keys that do not exist.",
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
            what: "The form did not arrive as this page sends it. Nothing was handed out or deleted.",
            now: "Open the page again and answer once more.",
        },
        ErrorCode::StoreUnavailable | ErrorCode::KeyUnavailable | ErrorCode::AuditUnavailable => Words {
            heading: "This does not work at the moment",
            what: "Something that is needed here is out of reach, so nothing was begun.",
            now: "Try again in a minute. If the page has expired by then, ask the agent for a new one.",
        },
        ErrorCode::DeadlineExceeded => Words {
            heading: "This takes too long",
            what: "There was no answer in time. What you asked for may have begun all the same.",
            now: "Open this page anew: it shows how far it is.",
        },
        _ => Words {
            heading: "Something went wrong",
            what: "What you asked for was not done.",
            now: "Ask the agent for a new page. If this happens again, tell whoever runs this service, and give them the code below.",
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
            let html = view(&error, None).render().unwrap();
            assert!(html.contains("What to do now") && html.contains(code.as_str()), "{code}");
            assert!(!html.contains("<script"), "{code} reflects markup");
            assert!(!html.replace(code.as_str(), "").contains("linked"), "{code} speaks of links");
            assert!(status(*code).as_u16() >= 400, "{code}");
        }
    }
}
