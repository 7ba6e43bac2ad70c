//! What many measurements have in common.

use std::time::Duration;

/// Measurements in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spread {
    sorted: Vec<f64>,
}

impl Spread {
    /// Of durations, in milliseconds.
    pub fn of_ms(durations: impl IntoIterator<Item = Duration>) -> Self {
        Self::of(durations.into_iter().map(|duration| duration.as_secs_f64() * 1_000.0))
    }

    /// Of any finite numbers.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self { sorted }
    }

    /// All of several.
    pub fn pooled<'a>(spreads: impl IntoIterator<Item = &'a Self>) -> Self {
        Self::of(spreads.into_iter().flat_map(|spread| spread.sorted.iter().copied()))
    }

    /// The smallest value that a share of all (0 to 1) doesn't exceed; NaN of nothing.
    pub fn at(&self, share: f64) -> f64 {
        let rank = (share * self.sorted.len() as f64).ceil() as usize;
        self.sorted
            .get(rank.saturating_sub(1).min(self.sorted.len().saturating_sub(1)))
            .copied()
            .unwrap_or(f64::NAN)
    }

    /// The value in the middle.
    pub fn median(&self) -> f64 {
        self.at(0.5)
    }

    /// The smallest.
    pub fn least(&self) -> f64 {
        self.at(0.0)
    }

    /// The largest.
    pub fn most(&self) -> f64 {
        self.at(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_nearest_ranks() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]);
        let ranks = [(0.0, 1.0), (0.25, 1.0), (0.5, 2.0), (0.51, 3.0), (0.99, 4.0), (1.0, 4.0)];
        for (share, value) in ranks {
            assert!((spread.at(share) - value).abs() < f64::EPSILON, "{share}");
        }
        let pooled = Spread::pooled([&spread, &Spread::of([0.0, 9.0])]);
        assert_eq!(pooled, Spread::of([0.0, 1.0, 2.0, 3.0, 4.0, 9.0]));
        assert!(Spread::default().median().is_nan());
        assert!((Spread::of_ms([Duration::from_micros(1_500)]).most() - 1.5).abs() < 1e-9);
    }
}
