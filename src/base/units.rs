//! Numbers as people read them. Every function is total: a number that cannot be shown is a dash.

use std::fmt::Write as _;

/// What stands where there is no number.
pub const ABSENT: &str = "–";

fn or_absent(value: f64, text: String) -> String {
    if value.is_finite() { text } else { ABSENT.to_owned() }
}

/// A fraction as a percentage with three decimals, so that one sample of fifty thousand still
/// shows: `0.98996` → `98.996 %`.
#[must_use]
pub fn percent(fraction: f64) -> String {
    or_absent(fraction, format!("{:.3} %", fraction * 100.0))
}

/// A signed difference of fractions in percentage points: `-0.348` → `−34.80 points`.
#[must_use]
pub fn points(fraction: f64) -> String {
    or_absent(fraction, format!("{} points", signed(fraction * 100.0, 2)))
}

/// A number that always carries its sign, with a real minus; zero carries none.
#[must_use]
pub fn signed(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let is_zero = text.bytes().all(|b| b == b'0' || b == b'.');
    match (is_zero, value < 0.0) {
        (true, _) => text,
        (false, true) => format!("−{text}"),
        (false, false) => format!("+{text}"),
    }
}

/// `1 image`, `2 images`.
#[must_use]
pub fn counted(n: usize, what: &str) -> String {
    let ending = if what.ends_with('s') { "es" } else { "s" };
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}{ending}") }
}

/// Milliseconds with three significant decimals.
#[must_use]
pub fn milliseconds(ms: f64) -> String {
    or_absent(ms, format!("{ms:.3} ms"))
}

/// Bytes in decimal megabytes, as model sizes are usually quoted.
#[must_use]
pub fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}

/// A ratio such as a speedup: `1.8` → `1.80×`.
#[must_use]
pub fn times(ratio: f64) -> String {
    or_absent(ratio, format!("{ratio:.2}×"))
}

/// `0-3,7`
#[must_use]
pub fn ranges(numbers: &[usize]) -> String {
    let mut text = String::new();
    let mut at = 0;
    while at < numbers.len() {
        let mut end = at;
        while end + 1 < numbers.len() && numbers[end + 1] == numbers[end] + 1 {
            end += 1;
        }
        let comma = if text.is_empty() { "" } else { "," };
        let _ = match end - at {
            0 => write!(text, "{comma}{}", numbers[at]),
            _ => write!(text, "{comma}{}-{}", numbers[at], numbers[end]),
        };
        at = end + 1;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_never_lost_or_invented() {
        assert_eq!(points(-0.348), "−34.80 points");
        assert_eq!(points(0.001), "+0.10 points");
        assert_eq!(points(-0.000_001), "0.00 points");
        assert_eq!(percent(f64::NAN), ABSENT);
        assert_eq!(times(f64::INFINITY), ABSENT);
    }
}
