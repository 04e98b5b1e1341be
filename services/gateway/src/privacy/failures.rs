//! The words of the failures that are told on a privacy page in a way of its own. Each says what happened and what to do
//! now.

use stagedoor_domain::{ErrorCode, PublicError};

use crate::pages::MessageView;
use crate::pages::failures::{self, Words};

/// The page of a failure.
pub(super) fn view(error: &PublicError, call: Option<String>) -> MessageView {
    words(error.code).page(error, may_be_tried_again(error.code), call)
}

const fn may_be_tried_again(code: ErrorCode) -> bool {
    failures::passes(code)
        || matches!(
            code,
            ErrorCode::DeadlineExceeded
                | ErrorCode::LinkStateInvalid
                | ErrorCode::BodyTimeout
                | ErrorCode::InvalidRequest
        )
}

const fn words(code: ErrorCode) -> Words {
    match code {
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
        ErrorCode::DeadlineExceeded => Words {
            heading: "This takes too long",
            what: "There was no answer in time. What you asked for may have begun all the same.",
            now: "Open this page anew: it shows how far it is.",
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
            let html = view(&error, None).render().unwrap();
            assert!(html.contains("What to do now") && html.contains(code.as_str()), "{code}");
            assert!(!html.contains("<script"), "{code} reflects markup");
            assert!(!html.replace(code.as_str(), "").contains("linked"), "{code} speaks of links");
            assert!(failures::status(*code).as_u16() >= 400, "{code}");
        }
    }
}
