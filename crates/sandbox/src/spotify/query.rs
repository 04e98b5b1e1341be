//! Search expressions: free words and the field filters `track: artist: album: year: isrc: upc: genre:`.

use super::Failure;
use crate::text::fold;

/// A search expression, taken apart. Texts are folded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Expression {
    pub(super) words: String,
    pub(super) track: String,
    pub(super) artist: String,
    pub(super) album: String,
    pub(super) genre: String,
    pub(super) years: Option<(u16, u16)>,
    pub(super) isrc: Option<String>,
    pub(super) upc: Option<String>,
}

impl Expression {
    /// Takes `text` apart. A filter's value is quoted, or runs to the next filter; codes and years are one word.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let mut parts: Vec<(String, String)> = vec![(String::new(), String::new())];
        let mut rest = text.trim();
        while !rest.is_empty() {
            if let Some((field, after)) = field_at(rest) {
                rest = after;
                parts.push((field, String::new()));
            }
            let (word, after) = word_at(rest);
            rest = after;
            if let Some((field, value)) = parts.last_mut() {
                value.push_str(word);
                value.push(' ');
                if matches!(field.as_str(), "year" | "isrc" | "upc" | "tag") {
                    parts.push((String::new(), String::new()));
                }
            }
        }
        let mut expression = Self::default();
        for (field, value) in parts {
            let value = value.trim();
            match field.as_str() {
                "track" => push(&mut expression.track, value),
                "artist" => push(&mut expression.artist, value),
                "album" => push(&mut expression.album, value),
                "genre" => push(&mut expression.genre, value),
                "isrc" => expression.isrc = Some(value.replace('-', "").to_ascii_uppercase()),
                "upc" => expression.upc = Some(value.to_owned()),
                "year" => {
                    expression.years = Some(years(value).ok_or_else(|| Failure::bad("Invalid year filter"))?);
                }
                "tag" => {}
                _ => push(&mut expression.words, value),
            }
        }
        Ok(expression)
    }

    /// Every word that a hit must hold somewhere.
    pub(super) fn all_words(&self) -> String {
        // Free words go last, because the index takes the last word as a beginning.
        [&self.track, &self.artist, &self.album, &self.words].map(String::as_str).join(" ").trim().to_owned()
    }
}

fn push(to: &mut String, value: &str) {
    if !to.is_empty() && !value.is_empty() {
        to.push(' ');
    }
    to.push_str(&fold(value));
}

fn field_at(text: &str) -> Option<(String, &str)> {
    let (name, after) = text.split_once(':')?;
    let known = ["track", "artist", "album", "year", "isrc", "upc", "genre", "tag"];
    let name = name.to_ascii_lowercase();
    known.contains(&name.as_str()).then_some((name, after.trim_start()))
}

fn word_at(text: &str) -> (&str, &str) {
    if let Some(quoted) = text.strip_prefix('"') {
        let (word, after) = quoted.split_once('"').unwrap_or((quoted, ""));
        return (word, after.trim_start());
    }
    let (word, after) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, after.trim_start())
}

fn years(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::Expression;

    #[test]
    fn filters_run_to_the_next_filter_or_are_quoted() {
        let parsed = Expression::parse("remaster track:Doxy artist:Miles Davis").unwrap();
        assert_eq!((&*parsed.words, &*parsed.track, &*parsed.artist), ("remaster", "doxy", "miles davis"));
        let parsed =
            Expression::parse(r#"track:"Blue Train" late isrc:us-rc1-76-07839 night year:1955-1960"#)
                .unwrap();
        assert_eq!(&*parsed.track, "blue train late");
        assert_eq!(parsed.isrc.as_deref(), Some("USRC17607839"));
        assert_eq!((&*parsed.words, parsed.years), ("night", Some((1955, 1960))));
        assert_eq!(&*Expression::parse("Vol. 2: Reprise").unwrap().words, "vol 2 reprise");
        assert!(Expression::parse("year:soon").is_err());
    }
}
