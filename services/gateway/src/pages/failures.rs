//! What failures have in common on every page: their status, and the words that are the same in each room. What only one
//! room can say of a failure is that room's.

use http::StatusCode;
use stagedoor_domain::{ErrorCode, PublicError};

use super::MessageView;

/// What the page of a failure says.
pub(crate) struct Words {
    /// The page's title.
    pub(crate) heading: &'static str,
    /// What happened.
    pub(crate) what: &'static str,
    /// What the person can do.
    pub(crate) now: &'static str,
}

impl Words {
    /// The page; `again` if to load it again may help.
    pub(crate) fn page(self, error: &PublicError, again: bool, call: Option<String>) -> MessageView {
        let page = MessageView::wanted(self.heading, self.what, self.now);
        MessageView { again, code: Some(error.code.as_str()), call, ..page }
    }
}

/// The status of a failure's page. Codes that are a tool's have none of their own: they are someone else's failure.
pub(crate) fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        other => match other.http_status() {
            200 => StatusCode::BAD_GATEWAY,
            status => StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        },
    }
}

/// Whether it passes by itself, whatever the page is about.
pub(crate) const fn passes(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::RateLimited
            | ErrorCode::StoreUnavailable
            | ErrorCode::KeyUnavailable
            | ErrorCode::AuditUnavailable
    )
}

/// What is said of a failure of which the room has nothing of its own to say.
pub(crate) const fn words(code: ErrorCode) -> Words {
    match code {
        ErrorCode::LinkUnknown => Words {
            heading: "This address does not work",
            what: "There is no such page: part of its address may be missing, or it is too old.",
            now: "Copy the whole address from your agent, or ask it for a new one.",
        },
        ErrorCode::InvalidOrigin => Words {
            heading: "This form came from another site",
            what: "Your answer was sent by a page that is not ours, so it was not taken.",
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
            what: "The form did not arrive as this page sends it, so your answer was not taken.",
            now: "Open the page again and answer once more.",
        },
        ErrorCode::StoreUnavailable | ErrorCode::KeyUnavailable | ErrorCode::AuditUnavailable => Words {
            heading: "This does not work at the moment",
            what: "Something that is needed here is out of reach, so what you asked for was not done.",
            now: "Try again in a minute. If the page has expired by then, ask the agent for a new one.",
        },
        _ => Words {
            heading: "Something went wrong",
            what: "What you asked for was not done.",
            now: "Ask the agent for a new page. If this happens again, tell whoever runs this service, and give them the code below.",
        },
    }
}
