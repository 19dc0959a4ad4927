//! What has come over a connection and was not read yet.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use redis::Value;
use tokio::io::{AsyncRead, ReadBuf};

use super::parse::{Malformed, parse};
use super::scan::Scan;

/// Room for the answers of one round, usually.
const ROOM: usize = 32 << 10;
/// An answer of which so much is there is not read again from its beginning with every
/// few bytes that come: a server that sends a long one in small pieces would keep the
/// engine busy.
const SHORT: usize = 4 << 10;

/// What has come over a connection and was not read yet.
pub(crate) struct Incoming {
    bytes: Vec<u8>,
    /// The part that was received and not read yet.
    from: usize,
    to: usize,
    /// How far a long answer has been looked at.
    scan: Option<Scan>,
}

impl Incoming {
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; ROOM],
            from: 0,
            to: 0,
            scan: None,
        }
    }

    /// The next answer, if it is all there.
    pub(crate) fn next(&mut self) -> Result<Option<Value>, Malformed> {
        if self.from == self.to {
            return Ok(None);
        }
        let bytes = &self.bytes[self.from..self.to];
        if let Some(scan) = &mut self.scan
            && !scan.is_whole(bytes)?
        {
            return Ok(None);
        }
        let Some((value, length)) = parse(bytes)? else {
            if bytes.len() > SHORT {
                self.scan.get_or_insert_default();
            }
            return Ok(None);
        };
        self.scan = None;
        self.from += length;
        Ok(Some(value))
    }

    /// Receives more. `false` if there will be no more.
    pub(crate) fn poll_fill(
        &mut self,
        stream: Pin<&mut (impl AsyncRead + ?Sized)>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<bool>> {
        self.make_room();
        let mut room = ReadBuf::new(&mut self.bytes[self.to..]);
        ready!(stream.poll_read(cx, &mut room))?;
        let length = room.filled().len();
        self.to += length;
        Poll::Ready(Ok(length > 0))
    }

    fn make_room(&mut self) {
        if self.from > 0 {
            self.bytes.copy_within(self.from..self.to, 0);
            self.to -= self.from;
            self.from = 0;
        }
        if self.to == 0 && self.bytes.len() > ROOM {
            // A single long answer is no reason to keep as much for ever.
            self.bytes = vec![0; ROOM];
        }
        if self.to == self.bytes.len() {
            // `parse` bounds the length of an answer.
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt;

    use super::*;

    async fn read_all(mut bytes: &[u8]) -> Result<Vec<Value>, Malformed> {
        let mut incoming = Incoming::new();
        let mut values = Vec::new();
        loop {
            while let Some(value) = incoming.next()? {
                values.push(value);
            }
            // At most a little at once, so that answers are cut anywhere.
            let mut little = (&mut bytes).take(7);
            let fill = poll_fn(|cx| incoming.poll_fill(Pin::new(&mut little), cx));
            if !fill.await.expect("a slice can be read") {
                return Ok(values);
            }
        }
    }

    #[test]
    fn answers_are_read_however_they_are_cut() {
        let long = "x".repeat(3 * ROOM);
        let text = format!(
            ":1\r\n${}\r\n{long}\r\n*2\r\n:2\r\n+OK\r\n:3\r\n",
            long.len()
        );
        let values = pollster::block_on(read_all(text.as_bytes())).unwrap();
        let expected = [
            Value::Int(1),
            Value::BulkString(long.into_bytes()),
            Value::Array(vec![Value::Int(2), Value::Okay]),
            Value::Int(3),
        ];
        assert_eq!(values, expected);
    }

    #[test]
    fn a_bad_answer_is_refused_behind_good_ones() {
        assert!(pollster::block_on(read_all(b":1\r\n?\r\n")).is_err());
    }
}
