//! The pages for people: plain HTML without script. Everything that is not written here is escaped.

use std::fmt::Write as _;

use stagedoor_domain::Provider;

use super::request::{AuthorizationRequest, AuthorizeRefusal};
use crate::exchange::Query;

/// The value of the choice to make an account.
pub(super) const NEW_ACCOUNT: &str = "new";

const STYLE: &str = "\
:root{color-scheme:light dark;font:100%/1.5 system-ui,sans-serif}\
body{max-width:34rem;margin:2rem auto;padding:0 1rem}\
fieldset{margin:0 0 1rem;padding:1rem;border:1px solid;border-radius:.5rem}\
label{display:block;padding:.25rem 0}\
input[type=text]{display:block;font:inherit;padding:.4rem;width:100%;box-sizing:border-box}\
button{font:inherit;padding:.6rem 1.4rem;margin-right:.6rem;cursor:pointer}\
:focus-visible{outline:3px solid;outline-offset:2px}\
.note{border-left:.3rem solid;padding-left:.8rem}\
code{overflow-wrap:anywhere}";

/// Someone who can agree.
pub(super) struct Person {
    pub(super) account_id: String,
    pub(super) name: String,
    pub(super) country: String,
}

/// Asks for consent. `complaint` says what was wrong with the answer before.
pub(super) fn consent(
    request: &AuthorizationRequest,
    people: &[Person],
    query: &Query,
    complaint: Option<&str>,
) -> String {
    let name = request.provider.title();
    let mut body = format!(
        "<h1>Allow access to your {name} account?</h1>\n{}\n\
         <p>The app <code>{}</code> asks for:</p>\n<ul>\n",
        stand_in(request.provider),
        escape(&request.client_id)
    );
    for scope in &request.scopes {
        let _ = writeln!(body, "<li><code>{}</code></li>", escape(scope));
    }
    if request.scopes.is_empty() {
        body.push_str("<li>your public profile</li>\n");
    }
    body.push_str("</ul>\n");
    if let Some(complaint) = complaint {
        let _ = writeln!(body, "<p role=\"alert\"><strong>{}</strong></p>", escape(complaint));
    }
    let _ = writeln!(body, "<form method=\"post\" action=\"?{}\">", escape(&query.with(&[])));
    body.push_str("<fieldset>\n<legend>Whose account?</legend>\n");
    for (number, person) in people.iter().enumerate() {
        let checked = if number == 0 { " checked" } else { "" };
        let _ = writeln!(
            body,
            "<label><input type=\"radio\" name=\"account\" value=\"{}\"{checked}> {} ({})</label>",
            escape(&person.account_id),
            escape(&person.name),
            escape(&person.country)
        );
    }
    let checked = if people.is_empty() { " checked" } else { "" };
    let _ = write!(
        body,
        "<label><input type=\"radio\" name=\"account\" value=\"{NEW_ACCOUNT}\"{checked}> A new account</label>\n\
         <label>Name of the new account\n\
         <input type=\"text\" name=\"name\" maxlength=\"80\" autocomplete=\"off\"></label>\n\
         <label>Its country, two letters\n\
         <input type=\"text\" name=\"country\" maxlength=\"2\" value=\"DE\" autocomplete=\"off\"></label>\n\
         </fieldset>\n\
         <button type=\"submit\" name=\"decision\" value=\"allow\">Allow</button>\n\
         <button type=\"submit\" name=\"decision\" value=\"deny\">Deny</button>\n\
         </form>\n"
    );
    document(&format!("Allow access? – {name} sandbox"), &body)
}

/// Says why nobody is sent back.
pub(super) fn refusal(provider: Provider, refusal: AuthorizeRefusal) -> String {
    let body = format!(
        "<h1>This request cannot be shown</h1>\n{}\n<p role=\"alert\">{}</p>\n",
        stand_in(provider),
        escape(&refusal.to_string())
    );
    document(&format!("Refused – {} sandbox", provider.title()), &body)
}

fn stand_in(provider: Provider) -> String {
    let name = provider.title();
    format!(
        "<p class=\"note\">This is not {name} but a stand-in for trying things out. No real account is touched.</p>"
    )
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escape(title)
    )
}

/// Text as content or as a quoted attribute's value.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_gets_out_of_content_or_attribute() {
        assert_eq!(escape(r#"<a href='x' b="y">&"#), "&lt;a href=&#39;x&#39; b=&quot;y&quot;&gt;&amp;");
    }
}
