//! How long many calls took, in little room: a `DDSketch` (Masson, Rim, Lee: `DDSketch`, VLDB 2019), which answers any
//! quantile within a relative error, whichever parts it was merged from.

use std::time::Duration;

use sketches_ddsketch::{Config, DDSketch};

use crate::error::StoreError;

/// The largest relative error of a quantile. What is stored is merged only with what was made with the same.
const RELATIVE_ERROR: f64 = 0.008;
/// As the format's decoder takes them to be. From a microsecond to an hour it takes 1,400 bins.
const BINS: u32 = 2_048;
const SMALLEST: f64 = 1.0e-9;
/// What stored bytes begin with: 1 is the format of `DDSketchWithExactSummaryStatistics` of sketches-java, of
/// milliseconds.
const FORMAT: u8 = 1;

/// Durations of calls. Of what was merged only what `record` and `merge` have in common is kept: never a single call.
#[derive(Clone)]
pub struct LatencySketch(DDSketch);

impl LatencySketch {
    /// No call.
    pub fn new() -> Self {
        Self(DDSketch::new(Config::new(RELATIVE_ERROR, BINS, SMALLEST)))
    }

    /// Adds one call.
    pub fn record(&mut self, duration: Duration) {
        self.0.add(duration.as_secs_f64() * 1_000.0);
    }

    /// Adds all of another sketch.
    #[expect(clippy::missing_panics_doc, reason = "it cannot: all sketches have one configuration")]
    pub fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0).expect("all sketches have one configuration, which reading checks");
    }

    /// How many calls it has.
    pub fn count(&self) -> u64 {
        self.0.count() as u64
    }

    /// How many milliseconds the part `quantile` (0 to 1) of the calls took at most, within 1 %; `None` if there was no
    /// call, or for another part.
    pub fn milliseconds(&self, quantile: f64) -> Option<f64> {
        let found = self.0.quantile(quantile).ok().flatten()?;
        // The estimate is the middle of a bin, which need not lie between the extremes.
        Some(found.clamp(self.0.min()?, self.0.max()?))
    }

    /// The form that is stored; nothing for no call.
    pub fn to_bytes(&self) -> Vec<u8> {
        if self.count() == 0 {
            return Vec::new();
        }
        let mut bytes = vec![FORMAT];
        bytes.extend(self.0.to_java_bytes());
        bytes
    }

    /// Reads what was stored. [`StoreError::NotUnderstood`] for another format, or for other errors than ours.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let unusable = |what: String| StoreError::not_understood("a sketch of durations", what);
        match bytes.split_first() {
            None => Ok(Self::new()),
            Some((&FORMAT, sketch)) => {
                let read = DDSketch::from_java_bytes(sketch).map_err(|error| unusable(error.to_string()))?;
                let mut ours = Self::new();
                ours.0.merge(&read).map_err(|error| unusable(error.to_string()))?;
                Ok(ours)
            }
            Some((format, _)) => Err(unusable(format!("format {format}"))),
        }
    }
}

impl Default for LatencySketch {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for LatencySketch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LatencySketch").field("count", &self.count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Durations over six orders of magnitude, most of them short, the same ones each time.
    fn durations(number: u32) -> Vec<Duration> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            f64::from(u32::try_from(state >> 32).unwrap()) / f64::from(u32::MAX)
        };
        (0..number).map(|_| Duration::from_secs_f64(10_f64.powf(-5.0 + 6.0 * next() * next()))).collect()
    }

    fn of(durations: &[Duration]) -> LatencySketch {
        let mut sketch = LatencySketch::new();
        for duration in durations {
            sketch.record(*duration);
        }
        sketch
    }

    const QUANTILES: [f64; 7] = [0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 1.0];

    fn told(sketch: &LatencySketch) -> Vec<Option<f64>> {
        QUANTILES.iter().map(|quantile| sketch.milliseconds(*quantile)).collect()
    }

    #[test]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank is a small whole number"
    )]
    fn a_quantile_of_a_hundred_thousand_calls_is_within_one_percent() {
        let mut all = durations(100_000);
        let sketch = of(&all);
        all.sort_unstable();
        for quantile in QUANTILES {
            let exact = all[(quantile * 99_999.0) as usize].as_secs_f64() * 1_000.0;
            let found = sketch.milliseconds(quantile).unwrap();
            assert!((found - exact).abs() <= exact * 0.01, "{quantile}: {found} for {exact}");
        }
    }

    #[test]
    fn it_does_not_matter_in_which_order_parts_are_merged_or_stored() {
        let all = durations(30_000);
        let whole = of(&all);
        let [a, b, c] = [&all[..7], &all[7..9_000], &all[9_000..]].map(of);
        let merged = |first: &LatencySketch, rest: [&LatencySketch; 2]| {
            let mut merged = LatencySketch::from_bytes(&first.to_bytes()).unwrap();
            for part in rest {
                merged.merge(&LatencySketch::from_bytes(&part.to_bytes()).unwrap());
            }
            merged
        };
        let mut right = b.clone();
        right.merge(&c);
        let mut nested = a.clone();
        nested.merge(&right);
        for other in [merged(&a, [&b, &c]), merged(&c, [&a, &b]), merged(&b, [&c, &a]), nested] {
            assert_eq!((told(&other), other.count()), (told(&whole), 30_000));
        }
    }

    #[test]
    fn what_is_stored_is_small_and_of_a_known_format() {
        let none = LatencySketch::new();
        assert_eq!((none.to_bytes(), none.milliseconds(0.5)), (Vec::new(), None));
        assert_eq!(LatencySketch::from_bytes(&[]).unwrap().count(), 0);
        let one = of(&[Duration::from_millis(3)]);
        assert!(one.to_bytes().len() < 64 && one.milliseconds(0.99) == Some(3.0), "{}", one.to_bytes().len());
        assert!(of(&durations(100_000)).to_bytes().len() < 5_000);
        let mut newer = one.to_bytes();
        newer[0] = 2;
        assert!(LatencySketch::from_bytes(&newer).is_err());
        let mut coarse = vec![FORMAT];
        let mut other = DDSketch::new(Config::new(0.02, BINS, SMALLEST));
        other.add(3.0);
        coarse.extend(other.to_java_bytes());
        assert!(LatencySketch::from_bytes(&coarse).is_err(), "of another error");
    }

    #[test]
    fn a_call_that_took_no_time_counts() {
        let both = of(&[Duration::ZERO, Duration::from_millis(2)]);
        assert_eq!((both.count(), both.milliseconds(0.0), both.milliseconds(1.0)), (2, Some(0.0), Some(2.0)));
        let read = LatencySketch::from_bytes(&both.to_bytes()).unwrap();
        assert_eq!((read.count(), read.milliseconds(0.5)), (2, Some(0.0)));
    }
}
