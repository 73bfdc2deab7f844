//! Axes of figures: from values to pixels.

use serde::Serialize;

/// A mark beside an axis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tick {
    pub at: String,
    pub text: String,
}

/// From values to pixels, with a margin on both sides.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// An axis over all of these values, drawn between two pixels.
    #[must_use]
    pub fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        const MARGIN: f64 = 0.06;
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
        // Without a value there is nothing to draw, and with one nothing to draw it against.
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let margin = ((high - low) * MARGIN).max(low.abs() * 1e-3).max(1e-6);
        Self { low: low - margin, high: high + margin, from, to }
    }

    #[must_use]
    pub fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Round numbers, five or so.
    #[must_use]
    pub fn ticks(&self) -> Vec<Tick> {
        let rough = (self.high - self.low) / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|step| *step >= rough).unwrap_or(rough);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few digits")]
        let digits = (-step.log10().floor()).max(0.0) as usize;
        let first = (self.low / step).ceil();
        let values = (0..20).map(|n| (first + f64::from(n)) * step).take_while(|value| *value <= self.high);
        values.map(|value| Tick { at: pixel(self.at(value)), text: format!("{:.digits$}", value + 0.0) }).collect()
    }
}

/// A place, to a tenth of a pixel.
#[must_use]
pub fn pixel(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::over([2.03, 9.7].into_iter(), 70.0, 700.0);
        let texts: Vec<String> = axis.ticks().into_iter().map(|tick| tick.text).collect();
        assert_eq!(texts, ["2", "4", "6", "8", "10"]);
        assert!((axis.at(axis.low) - 70.0).abs() < 1e-9 && (axis.at(axis.high) - 700.0).abs() < 1e-9);
        for few in [vec![], vec![0.0], vec![98.9, 98.9]] {
            let axis = Axis::over(few.into_iter(), 0.0, 1.0);
            assert!((1..=12).contains(&axis.ticks().len()), "{axis:?}");
        }
    }
}
