//! Chance that is the same on every machine and with every release of every library: the mix is compared with what
//! is kept.

/// A seeded generator (`SplitMix64`: Steele, Lea, Flood, OOPSLA 2014).
#[derive(Debug)]
pub(super) struct Chance(u64);

impl Chance {
    /// A stream of its own for `number` under `seed`.
    pub(super) fn new(seed: u64, number: u64) -> Self {
        let mut chance = Self(seed ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        chance.next();
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; the bias is below 2^-32 for the bounds here.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True so often of a thousand times.
    pub(super) fn happens(&mut self, per_thousand: u32) -> bool {
        self.below(1_000) < u64::from(per_thousand)
    }

    /// One of the values, by its weight.
    pub(super) fn weighted<T: Copy>(&mut self, choices: &[(u32, T)]) -> T {
        let total = choices.iter().map(|(weight, _)| u64::from(*weight)).sum();
        let mut left = self.below(total);
        for (weight, value) in choices {
            match left.checked_sub(u64::from(*weight)) {
                None => return *value,
                Some(rest) => left = rest,
            }
        }
        choices[choices.len() - 1].1
    }

    /// How often something happens that happens again with that chance each time: 1 at least, `most` at most.
    pub(super) fn times(&mut self, again_per_thousand: u32, most: u32) -> u32 {
        let mut times = 1;
        while times < most && self.happens(again_per_thousand) {
            times += 1;
        }
        times
    }

    /// A value of a distribution that is given by values at per-mille quantiles, linear between them.
    pub(super) fn quantile(&mut self, table: &[(u64, u64)]) -> u64 {
        let at = self.below(1_000_000);
        let above = table.iter().position(|(quantile, _)| quantile * 1_000 > at).unwrap_or(table.len() - 1);
        let ((low, from), (high, to)) = (table[above - 1], table[above]);
        from + (to - from) * (at - low * 1_000) / ((high - low) * 1_000)
    }
}

/// Ranks from 0 whose frequency falls as `1 / (rank + 1)^exponent`.
#[derive(Debug)]
pub(super) struct Zipf {
    sums: Vec<u64>,
}

impl Zipf {
    /// Over `ranks` ranks.
    pub(super) fn new(ranks: u16, exponent: f64) -> Self {
        let mut sum = 0;
        let sums = (1..=ranks).map(|rank| {
            sum += weight(rank, exponent);
            sum
        });
        Self { sums: sums.collect() }
    }

    /// A rank.
    pub(super) fn draw(&self, chance: &mut Chance) -> u16 {
        let total = self.sums[self.sums.len() - 1];
        let at = chance.below(total);
        u16::try_from(self.sums.partition_point(|sum| *sum <= at)).unwrap_or(u16::MAX)
    }
}

/// Rounded to millionths, so that the last bit of a machine's power function does not matter.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to a million")]
fn weight(rank: u16, exponent: f64) -> u64 {
    (1_000_000.0 * f64::from(rank).powf(-exponent)).round() as u64
}
