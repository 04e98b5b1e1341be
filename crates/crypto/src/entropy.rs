//! The system's randomness behind `domain::Entropy`.

use stagedoor_domain::Entropy;

/// Random bytes of the operating system, through aws-lc's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes)
            .expect("the system's random generator does not fail once the process runs");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ_and_fill_every_byte() {
        let mut seen = [0_u8; 64];
        for _ in 0..32 {
            let mut draw = [0_u8; 64];
            SystemEntropy.fill(&mut draw);
            assert_ne!(draw, [0; 64]);
            for (seen, byte) in seen.iter_mut().zip(draw) {
                *seen |= byte;
            }
        }
        assert!(seen.iter().all(|byte| *byte != 0), "a byte stayed untouched");
    }
}
