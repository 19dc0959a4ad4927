//! Sets of stretches of time.

use super::leases::Span;

/// The stretches in order, those that touch made one, empty ones left out.
pub(super) fn union(mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|span| span.from < span.to);
    spans.sort_by_key(|span| span.from);
    let mut joined: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
            _ => joined.push(span),
        }
    }
    joined
}

/// What is in `from` and not in `less`; both as [`union`] gives them.
pub(super) fn minus(from: &[Span], less: &[Span]) -> Vec<Span> {
    let mut left = Vec::new();
    let mut at = 0;
    for span in from {
        let mut begin = span.from;
        while at < less.len() && less[at].to <= begin {
            at += 1;
        }
        let mut next = at;
        while next < less.len() && less[next].from < span.to {
            if less[next].from > begin {
                left.push(Span {
                    from: begin,
                    to: less[next].from,
                });
            }
            begin = begin.max(less[next].to);
            next += 1;
        }
        if begin < span.to {
            left.push(Span {
                from: begin,
                to: span.to,
            });
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span((from, to): (u64, u64)) -> Span {
        Span { from, to }
    }

    fn has(spans: &[Span], at: u64) -> bool {
        spans.iter().any(|span| span.from <= at && at < span.to)
    }

    proptest! {
        #[test]
        fn a_moment_is_left_if_it_is_in_one_and_not_in_the_other(
            a in prop::collection::vec((0_u64..40, 0_u64..40), 0..6),
            b in prop::collection::vec((0_u64..40, 0_u64..40), 0..6),
        ) {
            let given = [a, b].map(|set| set.into_iter().map(span).collect::<Vec<_>>());
            let [a, b] = given.clone().map(union);
            let left = minus(&a, &b);
            for at in 0..41 {
                prop_assert_eq!(has(&a, at), has(&given[0], at));
                prop_assert_eq!(has(&left, at), has(&a, at) && !has(&b, at));
            }
            for pair in left.windows(2) {
                prop_assert!(pair[0].to < pair[1].from);
            }
        }
    }
}
