//! The lies there are.

/// What is told in the place of an answer.
#[derive(Clone, Debug)]
pub(super) enum Lie {
    /// The answer.
    Nothing,
    /// Something of another kind.
    Instead(&'static [u8]),
    /// The answer byte by byte.
    Drip,
    /// A string or a list that does not end.
    Endless(Vec<u8>),
    /// A length that is not believable, or the beginning of an answer, and no more.
    Mute,
    /// The beginning of an answer, and the end of the connection.
    Close,
    /// The answer twice.
    Twice,
    /// No answer at all.
    None,
    /// The answer before this one.
    Stale,
    /// Something unasked before the answer.
    Push(&'static [u8]),
    /// The answer with a byte changed.
    Changed { at: u8, to: u8 },
    /// The answer so many levels deep.
    Deep(u8),
}

/// Answers of every kind, none of which can be had by asking.
const INSTEAD: [&[u8]; 34] = [
    b"+OK\r\n",
    b"+QUEUED\r\n",
    b":0\r\n",
    b":-1\r\n",
    b":-9223372036854775808\r\n",
    b":9223372036854775807\r\n",
    b":9007199254740992\r\n",
    b":9007199254740991\r\n",
    b":1\r\n",
    b"$-1\r\n",
    b"$0\r\n\r\n",
    b"$3\r\n\xff\xfe\xfd\r\n",
    b"_\r\n",
    b"#t\r\n",
    b",1.5\r\n",
    b",inf\r\n",
    b"(123456789012345678901234567890\r\n",
    b"*0\r\n",
    b"*1\r\n:2\r\n",
    b"*2\r\n:3\r\n:9223372036854775807\r\n",
    b"*2\r\n:3\r\n:0\r\n",
    b"*2\r\n:5\r\n:0\r\n",
    b"*2\r\n:5\r\n:4294967295\r\n",
    b"*8\r\n:1\r\n:-1\r\n:0\r\n:9223372036854775807\r\n:0\r\n$0\r\n\r\n:0\r\n*0\r\n",
    b"%1\r\n+a\r\n:1\r\n",
    b"~1\r\n:1\r\n",
    b"=7\r\ntxt:abc\r\n",
    b"-ERR no\r\n",
    b"-NOSCRIPT No matching script.\r\n",
    b"-READONLY You can't write against a read only replica.\r\n",
    b"-NOAUTH Authentication required.\r\n",
    b"-MOVED 1 127.0.0.1:1\r\n",
    b"-OOM command not allowed\r\n",
    b"$99999999999\r\n",
];

/// What nobody asked for.
const PUSHES: [&[u8]; 8] = [
    b">0\r\n",
    b">1\r\n:1\r\n",
    b">2\r\n+invalidate\r\n*1\r\n+a\r\n",
    b">3\r\n+message\r\n+nowhere\r\n+h 00000000000000000000000000000001 7\r\n",
    b">3\r\n$7\r\nmessage\r\n$7\r\nnowhere\r\n$40\r\nh 00000000000000000000000000000001 90000\r\n",
    b">3\r\n+subscribe\r\n+nowhere\r\n:1\r\n",
    b">3\r\n+unsubscribe\r\n_\r\n:0\r\n",
    b"|1\r\n+ttl\r\n:3600\r\n",
];

/// What is decided by the input, byte by byte; when it is used up, no lie is told.
pub(super) struct Choices {
    bytes: std::vec::IntoIter<u8>,
}

impl Choices {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self {
            bytes: bytes.into_iter(),
        }
    }

    fn byte(&mut self) -> u8 {
        self.bytes.next().unwrap_or(0)
    }

    /// The next lie, or none: three answers of four are passed on.
    pub(super) fn lie(&mut self) -> Lie {
        match self.byte() {
            0..192 => Lie::Nothing,
            192..210 => Lie::Instead(INSTEAD[usize::from(self.byte()) % INSTEAD.len()]),
            210..214 => Lie::Drip,
            214 => Lie::Endless(b"x".repeat(1 << 16)),
            215 => Lie::Endless(b":1\r\n".repeat(1 << 14)),
            216..220 => Lie::Mute,
            220..224 => Lie::Close,
            224..228 => Lie::Twice,
            228..232 => Lie::None,
            232..236 => Lie::Stale,
            236..242 => Lie::Push(PUSHES[usize::from(self.byte()) % PUSHES.len()]),
            242..253 => Lie::Changed {
                at: self.byte(),
                to: self.byte(),
            },
            253..=255 => Lie::Deep(self.byte()),
        }
    }
}

impl Lie {
    /// The bytes that are told first; `Endless` goes on from there.
    pub(super) fn tell(&self, honest: &[u8], last: &[u8]) -> Vec<u8> {
        match self {
            Self::Nothing | Self::Drip => honest.to_vec(),
            Self::Instead(other) => other.to_vec(),
            Self::Endless(piece) if piece[0] == b'x' => b"+".to_vec(),
            Self::Endless(_) => b"*131072\r\n".to_vec(),
            Self::Mute | Self::Close => honest[..honest.len() / 2].to_vec(),
            Self::Twice => honest.repeat(2),
            Self::None => Vec::new(),
            Self::Stale => last.to_vec(),
            Self::Push(push) => [push, honest].concat(),
            Self::Changed { at, to } => {
                let mut changed = honest.to_vec();
                let at = usize::from(*at) % changed.len().max(1);
                if let Some(byte) = changed.get_mut(at) {
                    *byte = *to;
                }
                changed
            }
            Self::Deep(levels) => [&b"*1\r\n".repeat(usize::from(*levels) * 64), honest].concat(),
        }
    }
}
