//! What the servers told the client, by which the leases that it claims are judged.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::frame::{length, words};

/// What all servers of a case told.
#[derive(Clone, Default)]
pub(crate) struct Evidence(Arc<Mutex<Vec<Told>>>);

/// An answer, and to what.
struct Told {
    node: usize,
    /// The command; nothing if it was told unasked.
    asked: Option<Vec<u8>>,
    answer: Vec<u8>,
}

/// One connection.
pub(super) struct Heard {
    all: Evidence,
    node: usize,
    /// Without an answer yet.
    open: Mutex<VecDeque<Vec<u8>>>,
}

impl Evidence {
    pub(super) fn connection(&self, node: usize) -> Heard {
        Heard {
            all: self.clone(),
            node,
            open: Mutex::default(),
        }
    }

    /// The nodes that told of a grant with this token to whoever asked with this
    /// nonce, or that handed it over.
    pub(crate) fn granted(&self, nonce: &str, token: u64) -> usize {
        let number = format!(":{token}\r\n");
        let handed = format!("{nonce} {token}");
        self.nodes(|told| match &told.asked {
            Some(asked) => {
                contains(asked, nonce.as_bytes()) && contains(&told.answer, number.as_bytes())
            }
            None => contains(&told.answer, handed.as_bytes()),
        })
    }

    /// The nodes that told `1` to a command with this nonce, as to an extend.
    pub(crate) fn agreed(&self, nonce: &str) -> usize {
        self.nodes(|told| {
            let asked = told.asked.as_ref();
            asked.is_some_and(|asked| contains(asked, nonce.as_bytes()))
                && contains(&told.answer, b":1\r\n")
        })
    }

    /// How many answers there were.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn nodes(&self, which: impl Fn(&Told) -> bool) -> usize {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let nodes = all.iter().filter(|told| which(told)).map(|told| told.node);
        nodes.collect::<BTreeSet<_>>().len()
    }
}

impl Heard {
    /// The client asks this.
    pub(super) fn asked(&self, command: &[u8]) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push_back(command.to_vec());
    }

    /// The client is told this, whatever it is: each whole value in it is an answer to
    /// what was asked first, unless it is a push.
    pub(super) fn told(&self, mut bytes: &[u8]) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(length) = length(bytes).filter(|length| *length > 0) {
            let answer = bytes[..length].to_vec();
            bytes = &bytes[length..];
            let confirms = || {
                let first = open.front().map(|command| words(command));
                first.is_some_and(|words| {
                    words
                        .first()
                        .is_some_and(|word| word.ends_with(b"SUBSCRIBE"))
                })
            };
            let push = answer.first() == Some(&b'>');
            let asked = if push && !confirms() {
                None
            } else {
                open.pop_front()
            };
            if asked.is_some() || push {
                all.push(Told {
                    node: self.node,
                    asked,
                    answer,
                });
            }
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_what_was_answered_to_its_own_request() {
        let evidence = Evidence::default();
        for node in 0..2 {
            let heard = evidence.connection(node);
            heard.asked(b"*2\r\n$7\r\nEVALSHA\r\n$2\r\naa\r\n");
            heard.asked(b"*2\r\n$7\r\nEVALSHA\r\n$2\r\nbb\r\n");
            heard.told(b":7\r\n");
            heard.told(if node == 0 { b":8\r\n" } else { b"_\r\n" });
            heard.told(b">3\r\n+message\r\n+c\r\n+h aa 9\r\n");
        }
        assert_eq!(evidence.granted("aa", 7), 2);
        assert_eq!(evidence.granted("aa", 8), 0);
        assert_eq!(evidence.granted("bb", 8), 1);
        assert_eq!(evidence.granted("aa", 9), 2);
        assert_eq!(evidence.agreed("aa"), 0);
    }
}
