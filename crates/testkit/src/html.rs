//! Just enough HTML to read our own pages: one form, one heading, a footer. No parser: what it cannot read, a test
//! notices.

/// The first form of a page.
#[derive(Debug)]
pub(crate) struct Form {
    /// Where it goes; empty for the page itself.
    pub(crate) action: String,
    /// Whether by POST.
    pub(crate) posts: bool,
    /// The fields that the person does not see.
    pub(crate) hidden: Vec<(String, String)>,
}

/// The first form of a page.
pub(crate) fn form(page: &str) -> Option<Form> {
    let start = page.find("<form")?;
    let end = page[start..].find("</form>")? + start;
    let source = &page[start..end];
    let mut tags = source.split('<').skip(1).map(|tag| tag.split('>').next().unwrap_or_default());
    let opening = tags.next()?;
    let hidden = tags
        .filter(|tag| tag.starts_with("input") && attribute(tag, "type").as_deref() == Some("hidden"))
        .filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default())));
    Some(Form {
        action: attribute(opening, "action").unwrap_or_default(),
        posts: attribute(opening, "method").is_some_and(|method| method.eq_ignore_ascii_case("post")),
        hidden: hidden.collect(),
    })
}

/// What stands between the first `<name …>` and its end, as it is.
pub(crate) fn source_of(page: &str, name: &str) -> Option<String> {
    let start = page.match_indices(&format!("<{name}")).find_map(|(at, opening)| {
        let rest = &page[at + opening.len()..];
        rest.starts_with(['>', ' ']).then(|| at + opening.len() + rest.find('>').unwrap_or(0) + 1)
    })?;
    let end = page[start..].find(&format!("</{name}>"))? + start;
    Some(page[start..end].to_owned())
}

/// The same without tags.
pub(crate) fn text_of(page: &str, name: &str) -> Option<String> {
    let source = source_of(page, name)?;
    let mut text = String::new();
    for part in source.split('<') {
        text.push_str(part.split_once('>').map_or(part, |(_, after)| after));
    }
    Some(unescape(text.trim()))
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    let end = tag[start..].find('"')? + start;
    Some(unescape(&tag[start..end]))
}

fn unescape(text: &str) -> String {
    const ENTITIES: [(&str, &str); 9] = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#38;", "&"),
    ];
    let plain = ENTITIES.iter().fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain));
    plain.replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_our_pages_have() {
        let page = "<h1>A &#38; <b>B</b></h1><form method=\"post\">\n<input type=\"hidden\" name=\"form\" value=\"x&#39;y\">\
            <button name=\"decision\" value=\"agree\">Go</button></form><footer><p>Code: <code>link_used</code></p></footer>";
        let form = form(page).unwrap();
        assert!(form.posts && form.action.is_empty());
        assert_eq!(form.hidden, [("form".to_owned(), "x'y".to_owned())]);
        assert_eq!(text_of(page, "h1").unwrap(), "A & B");
        assert_eq!(text_of(&source_of(page, "footer").unwrap(), "code").unwrap(), "link_used");
    }
}
