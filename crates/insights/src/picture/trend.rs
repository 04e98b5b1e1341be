//! Plays over the period beside those of the period before, as pairs of bars.

use super::{Anchor, BLACK, Colour, GREY, LINE, PALE, Picture, WHITE, many, subtitle};
use crate::{Insights, TrendBucket};

/// Blue and orange of Okabe and Ito, which people with any colour vision tell apart; the bars before are hollow besides.
const NOW: Colour = [0x00, 0x72, 0xb2];
const BEFORE: Colour = [0xd5, 0x5e, 0x00];

const LEFT: u32 = 72;
const TOP: u32 = 84;
const PLOT: (u32, u32) = (640, 200);
const WIDTH: u32 = LEFT + PLOT.0 + 24;
const MOST_TICKS: u64 = 5;

/// Plays over the period and over the one before.
pub fn trend(insights: &Insights) -> Picture {
    let unit = match insights.trend.bucket_days {
        1 => "day".to_owned(),
        7 => "week".to_owned(),
        days => format!("{days} days"),
    };
    let title = format!("{}: plays per {unit}", insights.provider.title());
    let bottom = TOP + PLOT.1;
    let mut picture = Picture::new(WIDTH, bottom + 52, title.clone(), description(insights));
    picture.heading((LEFT, 12), title);
    picture.text((LEFT, 12 + LINE + 4), Anchor::Start, GREY, subtitle(insights));
    legend(&mut picture, insights);

    let buckets = &insights.trend.buckets;
    let most = buckets.iter().map(|bucket| bucket.plays.max(bucket.previous_plays)).max().unwrap_or_default();
    let step = step(most);
    let ticks = most.div_ceil(step).max(1);
    let top = step * ticks;
    let height = |plays: u64| u32::try_from(plays * u64::from(PLOT.1) / top).unwrap_or_default();
    for tick in 0..=ticks {
        let at = bottom - height(tick * step);
        picture.fill((LEFT, at), (PLOT.0, 1), if tick == 0 { GREY } else { PALE });
        picture.text((LEFT - 8, at - LINE / 2), Anchor::End, BLACK, (tick * step).to_string());
    }
    picture.text((LEFT - 8, TOP - LINE - 10), Anchor::End, GREY, "plays");

    let count = u32::try_from(buckets.len()).unwrap_or(1).max(1);
    let place = PLOT.0 / count;
    // A period of a day has one pair of bars, not as wide as the picture.
    let bar = (place * 2 / 5).clamp(2, 60);
    let labelled = (count / 8).max(1);
    for (number, bucket) in (0..).zip(buckets) {
        let middle = LEFT + number * place + place / 2;
        let (before, now) = (height(bucket.previous_plays), height(bucket.plays));
        if bucket.previous_plays > 0 {
            picture.framed((middle - bar, bottom - before), (bar, before.max(2)), WHITE, BEFORE);
        }
        if bucket.plays > 0 {
            picture.fill((middle, bottom - now.max(1)), (bar, now.max(1)), NOW);
        }
        if number % labelled == 0 {
            picture.text((middle, bottom + 6), Anchor::Middle, BLACK, label(bucket, insights));
        }
    }
    if insights.trend.bucket_days > 1 {
        picture.text(
            (LEFT + PLOT.0 / 2, bottom + 6 + LINE),
            Anchor::Middle,
            GREY,
            "first day of each pair of bars",
        );
    }
    picture
}

fn legend(picture: &mut Picture, insights: &Insights) {
    let top = 12 + 2 * (LINE + 4);
    let previous = &insights.trend.previous;
    picture.fill((LEFT, top + 2), (LINE - 4, LINE - 4), NOW);
    let text = format!("this period: {}", many(insights.totals.plays, "play"));
    let width = u32::try_from(text.len()).unwrap_or_default() * super::LETTER;
    picture.text((LEFT + LINE, top), Anchor::Start, BLACK, text);
    let left = LEFT + LINE + width + 24;
    picture.framed((left, top + 2), (LINE - 4, LINE - 4), WHITE, BEFORE);
    let text = format!("the {} before: {}", many(previous.days, "day"), many(previous.plays, "play"));
    picture.text((left + LINE, top), Anchor::Start, BLACK, text);
}

fn label(bucket: &TrendBucket, insights: &Insights) -> String {
    let form = if insights.trend.bucket_days >= 28 { "%Y-%m" } else { "%m-%d" };
    bucket.from.format(form).to_string()
}

/// The step between ticks: 1, 2 or 5 times a power of ten, so that few of them reach the most.
fn step(most: u64) -> u64 {
    let mut power = 1;
    loop {
        for factor in [1, 2, 5] {
            if power * factor * MOST_TICKS >= most {
                return power * factor;
            }
        }
        power *= 10;
    }
}

fn description(insights: &Insights) -> String {
    let (now, previous) = (&insights.totals, &insights.trend.previous);
    let change = match insights.trend.plays_change {
        Some(change) if change > 0.0 => format!("{:.1} % more than", change * 100.0),
        Some(change) if change < 0.0 => format!("{:.1} % fewer than", -change * 100.0),
        _ => "after".to_owned(),
    };
    format!(
        "{}. {}, {change} {} from {} to {}.",
        subtitle(insights),
        many(now.plays, "play"),
        many(previous.plays, "play"),
        previous.from,
        previous.to,
    )
}

#[cfg(test)]
mod tests {
    use super::step;

    #[test]
    fn ticks_are_round_and_reach_the_most() {
        assert_eq!([0, 1, 5, 6, 10, 11, 41, 100, 12_345].map(step), [1, 1, 1, 2, 2, 5, 10, 20, 5_000]);
    }
}
