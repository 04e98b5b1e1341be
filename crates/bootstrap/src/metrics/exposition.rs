//! The text that `Metrics::render` makes, read back: as families, for who sends them on, and as the older text form of
//! Prometheus (0.0.4), for who cannot read `OpenMetrics`.

use std::fmt::Write as _;

/// What a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
    /// Anything else, which nothing here has.
    Other,
}

/// Metrics of one name.
#[derive(Debug, PartialEq)]
pub(crate) struct Family<'a> {
    /// The name, without the endings of samples.
    pub(crate) name: &'a str,
    pub(crate) help: &'a str,
    pub(crate) unit: Option<&'a str>,
    pub(crate) kind: Kind,
    pub(crate) samples: Vec<Sample<'a>>,
}

/// One line.
#[derive(Debug, PartialEq)]
pub(crate) struct Sample<'a> {
    /// What the sample's name has beyond the family's, such as `_total` or `_bucket`.
    pub(crate) ending: &'a str,
    pub(crate) labels: Vec<(&'a str, String)>,
    pub(crate) value: f64,
    pub(crate) exemplar: Option<Exemplar<'a>>,
}

/// One call among those that were counted.
#[derive(Debug, PartialEq)]
pub(crate) struct Exemplar<'a> {
    pub(crate) labels: Vec<(&'a str, String)>,
    pub(crate) value: f64,
    /// Seconds since 1970.
    pub(crate) at: Option<f64>,
}

/// The families of `text`; a line that is none of theirs is left out.
pub(crate) fn families(text: &str) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# ") {
            describe(&mut families, described);
        } else if let Some(family) = families.last_mut()
            && let Some(sample) = sample(line, family.name)
        {
            family.samples.push(sample);
        }
    }
    families
}

fn describe<'a>(families: &mut Vec<Family<'a>>, described: &'a str) {
    let mut words = described.splitn(3, ' ');
    let (Some(what), Some(name)) = (words.next(), words.next()) else { return };
    let text = words.next().unwrap_or_default();
    if families.last().is_none_or(|family| family.name != name) {
        families.push(Family { name, help: "", unit: None, kind: Kind::Other, samples: Vec::new() });
    }
    let Some(family) = families.last_mut() else { return };
    match what {
        "HELP" => family.help = text,
        "UNIT" => family.unit = Some(text),
        "TYPE" => {
            family.kind = match text {
                "counter" => Kind::Counter,
                "gauge" => Kind::Gauge,
                "histogram" => Kind::Histogram,
                _ => Kind::Other,
            }
        }
        _ => {}
    }
}

fn sample<'a>(line: &'a str, family: &str) -> Option<Sample<'a>> {
    let rest = line.strip_prefix(family)?;
    let (ending, rest) = rest.split_at(rest.find(['{', ' '])?);
    let (labels, rest) = labels(rest)?;
    let (value, exemplar) = match rest.split_once(" # ") {
        Some((value, exemplar)) => (value, Some(exemplar)),
        None => (rest, None),
    };
    let value = value.split_whitespace().next()?.parse().ok()?;
    Some(Sample { ending, labels, value, exemplar: exemplar.and_then(read_exemplar) })
}

fn read_exemplar(text: &str) -> Option<Exemplar<'_>> {
    let (labels, rest) = labels(text)?;
    let mut numbers = rest.split_whitespace().map(str::parse);
    Some(Exemplar { labels, value: numbers.next()?.ok()?, at: numbers.next().and_then(Result::ok) })
}

type Labels<'a> = Vec<(&'a str, String)>;

/// The labels at the beginning of `text`, if there are any, and what comes after them.
fn labels(text: &str) -> Option<(Labels<'_>, &str)> {
    let Some(mut rest) = text.strip_prefix('{') else { return Some((Vec::new(), text)) };
    let mut labels = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, quoted) = rest.strip_prefix(',').unwrap_or(rest).split_once("=\"")?;
        let mut value = String::new();
        let mut marks = quoted.char_indices();
        let end = loop {
            match marks.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match marks.next()?.1 {
                    'n' => '\n',
                    mark => mark,
                }),
                (_, mark) => value.push(mark),
            }
        };
        labels.push((name, value));
        rest = &quoted[end + 1..];
    }
}

/// The same in the older form: counters are described under the names of their samples, there are no units and no exemplars.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap_or((help, ""));
            let counts = lines
                .peek()
                .and_then(|next| next.strip_prefix("# TYPE "))
                .is_some_and(|kind| kind.strip_prefix(name) == Some(" counter"));
            let ending = if counts { "_total" } else { "" };
            // Writing to a string cannot fail.
            let _ = writeln!(plain, "# HELP {name}{ending} {help}");
        } else if let Some(name) = line.strip_prefix("# TYPE ").and_then(|kind| kind.strip_suffix(" counter"))
        {
            let _ = writeln!(plain, "# TYPE {name}_total counter");
        } else if !line.starts_with("# UNIT ") && line != "# EOF" {
            plain.push_str(line.split_once(" # {").map_or(line, |(sample, _)| sample));
            plain.push('\n');
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
        # HELP music_calls Calls.\n\
        # TYPE music_calls counter\n\
        music_calls_total{tool=\"a \\\"b\\\"\\n\\\\c\",outcome=\"ok\"} 3\n\
        # HELP music_duration_seconds How long.\n\
        # TYPE music_duration_seconds histogram\n\
        # UNIT music_duration_seconds seconds\n\
        music_duration_seconds_sum 0.5\n\
        music_duration_seconds_count 2\n\
        music_duration_seconds_bucket{le=\"0.1\"} 1 # {trace_id=\"0a\",span_id=\"0b\"} 0.05 1700000000.5\n\
        music_duration_seconds_bucket{le=\"+Inf\"} 2\n\
        # HELP music_now Now.\n\
        # TYPE music_now gauge\n\
        music_now -4\n\
        # EOF\n";

    #[test]
    fn what_was_written_is_read() {
        let families = families(TEXT);
        let names: Vec<_> = families.iter().map(|family| (family.name, family.kind)).collect();
        let wanted = [
            ("music_calls", Kind::Counter),
            ("music_duration_seconds", Kind::Histogram),
            ("music_now", Kind::Gauge),
        ];
        assert_eq!(names[..3], wanted);
        assert_eq!((families[0].help, families[1].unit), ("Calls.", Some("seconds")));
        let sample = &families[0].samples[0];
        assert_eq!((sample.ending, sample.value), ("_total", 3.0));
        let labels = [("tool", "a \"b\"\n\\c".to_owned()), ("outcome", "ok".to_owned())];
        assert_eq!(sample.labels, labels);
        let samples = &families[1].samples;
        assert_eq!(samples[3].labels, [("le", "+Inf".to_owned())]);
        let exemplar = samples[2].exemplar.as_ref().unwrap();
        assert_eq!((exemplar.value, exemplar.at), (0.05, Some(1_700_000_000.5)));
        assert_eq!(exemplar.labels[0], ("trace_id", "0a".to_owned()));
        assert!((families[2].samples[0].value + 4.0).abs() < 1e-9);
    }

    #[test]
    fn the_older_form_has_no_exemplars_and_counters_under_their_full_names() {
        let plain = plain(TEXT);
        assert!(
            plain.contains("# HELP music_calls_total Calls.\n# TYPE music_calls_total counter\n"),
            "{plain}"
        );
        assert!(plain.contains("music_duration_seconds_bucket{le=\"0.1\"} 1\n"), "{plain}");
        assert!(!plain.contains("UNIT") && !plain.contains("EOF") && !plain.contains("trace_id"), "{plain}");
    }
}
