//! The requests of one nonce, one after the other in the order of the calls.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::grant::Grant;

/// The turns of one nonce.
#[derive(Default)]
pub(crate) struct Turns {
    last: Cell<u64>,
    /// Whose turn it is; 0 for nobody's.
    current: Cell<u64>,
    /// Those behind, in order.
    waiting: RefCell<VecDeque<(u64, Option<Waker>)>>,
}

/// One request's turn, until it is dropped. Taken when the request comes, so that none
/// that came later is carried out before.
pub(crate) struct Turn {
    pub(crate) grant: Rc<Grant>,
    number: u64,
}

impl Turn {
    pub(crate) fn take(grant: Rc<Grant>) -> Self {
        let turns = &grant.turns;
        let number = turns.last.get() + 1;
        turns.last.set(number);
        match turns.current.get() {
            0 => turns.current.set(number),
            _ => turns.waiting.borrow_mut().push_back((number, None)),
        }
        Self { grant, number }
    }

    /// Whether nobody is before it.
    pub(crate) fn has_come(&self) -> bool {
        self.grant.turns.current.get() == self.number
    }

    /// Resolves when nobody is before it.
    pub(crate) async fn come(&self) {
        poll_fn(|cx| {
            if self.has_come() {
                return Poll::Ready(());
            }
            let mut waiting = self.grant.turns.waiting.borrow_mut();
            if let Some((_, waker)) = waiting.iter_mut().find(|(of, _)| *of == self.number) {
                *waker = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let turns = &self.grant.turns;
        let mut waiting = turns.waiting.borrow_mut();
        if turns.current.get() != self.number {
            waiting.retain(|(of, _)| *of != self.number);
            return;
        }
        let next = waiting.pop_front();
        drop(waiting);
        turns.current.set(next.as_ref().map_or(0, |(of, _)| *of));
        if let Some((_, Some(waker))) = next {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Context;

    use super::*;

    fn has_come(turn: &Turn) -> bool {
        let come = pin!(turn.come());
        let come = come.poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(come.is_ready(), turn.has_come());
        turn.has_come()
    }

    #[test]
    fn turns_come_in_the_order_in_which_they_were_taken() {
        let grant = Rc::new(Grant::default());
        let take = || Turn::take(Rc::clone(&grant));
        let (first, second, third, fourth) = (take(), take(), take(), take());
        assert!(has_come(&first) && !has_come(&second) && !has_come(&third));
        drop(second);
        assert!(has_come(&first) && !has_come(&third));
        drop(first);
        assert!(has_come(&third) && !has_come(&fourth));
        drop((third, fourth));
        assert!(has_come(&take()));
    }
}
