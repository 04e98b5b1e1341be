//! The lines of an `.env` file as members of an object: `NAME=value`, `export NAME="value" # remark`.

use serde_json::{Map, Value};

/// The assignments; the last one of a name counts, as with dotenv. Lines that assign nothing are passed over.
pub(crate) fn parse(text: &str) -> Map<String, Value> {
    text.lines().filter_map(assignment).map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    let (name, value) = line.split_once('=')?;
    let name = name.trim_end();
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then(|| (name, unquoted(value.trim())))
}

/// Tokens hold no quotes, spaces or backslashes, so that no escape needs to be understood.
fn unquoted(value: &str) -> &str {
    for quote in ['"', '\'', '`'] {
        if let Some((quoted, _)) = value.strip_prefix(quote).and_then(|rest| rest.split_once(quote)) {
            return quoted;
        }
    }
    if value.starts_with('#') {
        ""
    } else {
        value.split_once(" #").map_or(value, |(value, _)| value.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_dotenv_reads_them() {
        let text = "# remark\nA=1\r\n  export B = \"two words\" # remark\nC='x#y'\nD=plain#not # remark\nE=\nF=#none\n\
            nonsense\n=x\nG H=1\nA=2\nI=a=b\nJ=\"open";
        let expected = [
            ("A", "2"),
            ("B", "two words"),
            ("C", "x#y"),
            ("D", "plain#not"),
            ("E", ""),
            ("F", ""),
            ("I", "a=b"),
            ("J", "\"open"),
        ];
        let expected = expected.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value)));
        assert_eq!(parse(text), expected.collect::<Map<_, _>>());
    }
}
