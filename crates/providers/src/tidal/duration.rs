//! Lengths as Tidal writes them (ISO 8601).

/// Milliseconds of an ISO 8601 duration of days and smaller units: `PT1H2M3.5S`.
pub(super) fn milliseconds(duration: &str) -> Option<u64> {
    let mut rest = duration.strip_prefix('P')?;
    let mut total = 0_u64;
    let mut in_time = false;
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('T') {
            (rest, in_time) = (time, true);
            continue;
        }
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, tail) = rest.split_at(end);
        let unit = match (tail.chars().next()?, in_time) {
            ('D', false) => 86_400_000,
            ('H', true) => 3_600_000,
            ('M', true) => 60_000,
            ('S', true) => 1_000,
            _ => return None,
        };
        total = total.checked_add(scaled(number, unit)?)?;
        rest = &tail[1..];
    }
    Some(total)
}

/// `number`, with at most a decimal fraction, times `unit`.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let digits = &fraction[..fraction.len().min(3)];
    if digits.is_empty() {
        return Some(whole);
    }
    let scale = 10_u64.pow(u32::try_from(digits.len()).ok()?);
    whole.checked_add(digits.parse::<u64>().ok()?.checked_mul(unit)? / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_iso_8601_become_milliseconds() {
        for (text, expected) in [
            ("PT3M5S", Some(185_000)),
            ("PT1H2M3.5S", Some(3_723_500)),
            ("P1DT1S", Some(86_401_000)),
            ("PT0.0625S", Some(62)),
            ("PT", Some(0)),
            ("P1M", None),
            ("3:05", None),
            ("PT5", None),
            ("PT99999999999999999999S", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
    }
}
