//! Commands as they go to a server.

use leasehold_core::Nonce;

/// Commands in the order in which they are to be sent. Each has one answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packed {
    bytes: Vec<u8>,
    commands: usize,
}

/// One word of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arg<'a> {
    /// As it is.
    Text(&'a str),
    /// As they are.
    Bytes(&'a [u8]),
    /// In decimal digits.
    Number(u64),
    /// In hex digits.
    Nonce(Nonce),
}

impl<'a> From<&'a str> for Arg<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl Packed {
    /// No command yet, with room for so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            commands: 0,
        }
    }

    /// One command of plain words.
    pub(crate) fn of(words: &[&str]) -> Self {
        let mut packed = Self::default();
        packed.words(words);
        packed
    }

    /// Adds a command of plain words.
    pub(crate) fn words(&mut self, words: &[&str]) {
        self.begin(words.len());
        for word in words {
            self.arg(Arg::Text(word));
        }
    }

    /// Adds a call of the script with this hash.
    pub(crate) fn call(&mut self, sha: &str, keys: &[Arg<'_>], args: &[Arg<'_>]) {
        self.begin(3 + keys.len() + args.len());
        self.arg(Arg::Text("EVALSHA"));
        self.arg(Arg::Text(sha));
        self.arg(Arg::Number(keys.len() as u64));
        for arg in keys.iter().chain(args) {
            self.arg(*arg);
        }
    }

    /// Adds all of those commands.
    pub(crate) fn append(&mut self, more: &Self) {
        self.bytes.extend_from_slice(&more.bytes);
        self.commands += more.commands;
    }

    /// What goes over the wire.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many answers there will be.
    pub(crate) const fn commands(&self) -> usize {
        self.commands
    }

    fn begin(&mut self, words: usize) {
        self.commands += 1;
        self.length(b'*', words as u64);
    }

    fn arg(&mut self, arg: Arg<'_>) {
        match arg {
            Arg::Text(text) => self.bulk(text.len(), |out| out.extend_from_slice(text.as_bytes())),
            Arg::Bytes(bytes) => self.bulk(bytes.len(), |out| out.extend_from_slice(bytes)),
            Arg::Number(number) => {
                let mut room = [0; DIGITS];
                let digits = digits(number, &mut room);
                self.bulk(digits.len(), |out| out.extend_from_slice(digits));
            }
            Arg::Nonce(nonce) => self.bulk(32, |out| {
                let digit = |half: u8| b"0123456789abcdef"[usize::from(half)];
                out.extend((nonce.as_bytes().iter()).flat_map(|b| [digit(b >> 4), digit(b & 15)]));
            }),
        }
    }

    fn bulk(&mut self, length: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.length(b'$', length as u64);
        write(&mut self.bytes);
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn length(&mut self, kind: u8, length: u64) {
        let mut room = [0; DIGITS];
        self.bytes.push(kind);
        self.bytes.extend_from_slice(digits(length, &mut room));
        self.bytes.extend_from_slice(b"\r\n");
    }
}

/// The most that a number has.
const DIGITS: usize = 20;

fn digits(mut number: u64, room: &mut [u8; DIGITS]) -> &[u8] {
    let mut at = DIGITS;
    loop {
        at -= 1;
        room[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &room[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_packed_as_bulk_strings() {
        let mut packed = Packed::of(&["GET", "é"]);
        packed.call(
            "abc",
            &[Arg::Text("a{b}")],
            &[
                Arg::Number(0),
                Arg::Number(u64::MAX),
                Arg::Nonce(Nonce::from_bytes([0x1f; 16])),
                Arg::Text(""),
            ],
        );
        assert_eq!(packed.commands(), 2);
        let nonce = "1f".repeat(16);
        let text = format!(
            "*2\r\n$3\r\nGET\r\n$2\r\né\r\n*8\r\n$7\r\nEVALSHA\r\n$3\r\nabc\r\n$1\r\n1\r\n$4\r\na{{b}}\r\n\
             $1\r\n0\r\n$20\r\n18446744073709551615\r\n$32\r\n{nonce}\r\n$0\r\n\r\n"
        );
        assert_eq!(std::str::from_utf8(packed.bytes()).unwrap(), text);
    }

    #[test]
    fn a_number_has_its_own_digits() {
        for number in [0, 9, 10, 99, 100, 1 << 53, u64::MAX] {
            let mut room = [0; DIGITS];
            assert_eq!(digits(number, &mut room), number.to_string().as_bytes());
        }
    }
}
