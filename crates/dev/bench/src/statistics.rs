//! Numbers out of samples.

use serde::Serialize;

/// A sample in short, in the unit of its values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The median.
    pub p50: f64,
    /// What one in a hundred exceeds; with fewer values than a hundred, the largest.
    pub p99: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The lower quartile.
    pub p25: f64,
    /// The upper quartile.
    pub p75: f64,
    /// How many values.
    pub n: usize,
}

impl Spread {
    /// Of these values, in any order; all zero when there are none.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |hundredths: usize| rounded(percentile(&sorted, hundredths));
        Self { p50: at(50), p99: at(99), min: at(0), max: at(100), p25: at(25), p75: at(75), n: sorted.len() }
    }
}

/// By the nearest rank: always one of the values.
fn percentile(sorted: &[f64], hundredths: usize) -> f64 {
    let rank = (sorted.len() * hundredths).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0.0)
}

/// To a millionth: microseconds, when the unit is seconds.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_of_the_sample() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        let spread = Spread::of(&values);
        assert_eq!((spread.min, spread.p25, spread.p50, spread.p75, spread.p99), (1.0, 50.0, 100.0, 150.0, 198.0));
        assert_eq!((spread.max, Spread::of(&[7.0]).p99), (200.0, 7.0));
        assert_eq!(Spread::of(&[]).n, 0);
    }
}
