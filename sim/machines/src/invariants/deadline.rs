//! C2: a deadline counts from before the first byte.

use leasehold_core::{Deadline, Instant, Ttl};

/// Looks at a deadline that a client was given. `asked` is what its clock showed
/// before it last asked, `before` the deadline that it had already.
///
/// # Errors
///
/// If the deadline is later than the TTL, less the margin, from then on.
pub fn check(
    asked: Instant,
    ttl: Ttl,
    deadline: Deadline,
    before: Option<Deadline>,
) -> Result<(), String> {
    let latest = before.max(Some(Deadline::of(asked, ttl)));
    match Some(deadline) <= latest {
        true => Ok(()),
        false => Err(format!(
            "C2: asked at {asked:?} for {ttl}, and believes in it until {deadline:?}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn later_than_the_ttl_from_the_question_is_noticed() {
        let at = |millis| Instant::from_start(Duration::from_millis(millis));
        let ttl = Ttl::new(Duration::from_secs(1)).unwrap();
        let of = |asked| Deadline::of(at(asked), ttl);
        assert!(check(at(100), ttl, of(100), None).is_ok());
        assert!(check(at(100), ttl, of(50), None).is_ok());
        assert!(check(at(100), ttl, of(101), None).is_err());
        assert!(check(at(100), ttl, of(500), Some(of(500))).is_ok());
    }
}
