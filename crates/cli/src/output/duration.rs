//! Durations as people say them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A duration in at most two units: `<1s`, `12s`, `2m 5s`, `3h 4m`, `5d 2h`.
pub(crate) fn brief(length: Duration) -> String {
    let seconds = length.as_secs();
    let two = |n: u64, unit: char, rest: u64, small: char| match rest {
        0 => format!("{n}{unit}"),
        rest => format!("{n}{unit} {rest}{small}"),
    };
    match seconds {
        0 if length.is_zero() => "0s".to_owned(),
        0 => "<1s".to_owned(),
        1..60 => format!("{seconds}s"),
        60..3_600 => two(seconds / 60, 'm', seconds % 60, 's'),
        3_600..86_400 => two(seconds / 3_600, 'h', seconds % 3_600 / 60, 'm'),
        _ => two(seconds / 86_400, 'd', seconds % 86_400 / 3_600, 'h'),
    }
}

/// How long ago a wall-clock time was; for people only.
pub(crate) fn ago(unix_seconds: u64) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    match now.checked_sub(unix_seconds) {
        Some(0) => "just now".to_owned(),
        Some(seconds) => format!("{} ago", brief(Duration::from_secs(seconds))),
        None => "just now, by a clock ahead of this one".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_units_at_most() {
        for (millis, said) in [
            (0, "0s"),
            (400, "<1s"),
            (12_900, "12s"),
            (125_000, "2m 5s"),
            (120_000, "2m"),
            (11_040_000, "3h 4m"),
            (439_200_000, "5d 2h"),
        ] {
            assert_eq!(brief(Duration::from_millis(millis)), said);
        }
    }
}
