//! The only place that asks what time it is.

use chrono::{DateTime, SecondsFormat, Utc};
use std::time::Instant;

/// The current moment in UTC.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one door to the wall clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// RFC 3339 to the second, as records store it.
#[must_use]
pub fn stamp(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A form that can be part of a folder name and sorts by time.
#[must_use]
pub fn compact(moment: DateTime<Utc>) -> String {
    moment.format("%Y%m%dT%H%M%SZ").to_string()
}

/// How long ago an RFC 3339 moment was; `None` for another text.
#[must_use]
pub fn since(moment: &str) -> Option<chrono::TimeDelta> {
    Some(now() - DateTime::parse_from_rfc3339(moment).ok()?.to_utc())
}

/// A point on the monotonic clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one door to the monotonic clock")]
pub fn tick() -> Instant {
    Instant::now()
}
