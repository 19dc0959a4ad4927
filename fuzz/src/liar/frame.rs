//! Where commands and answers end.

/// What has come, taken apart into whole values.
pub(super) struct Frames {
    bytes: Vec<u8>,
    /// What was taken already.
    from: usize,
}

impl Frames {
    pub(super) const fn new() -> Self {
        let bytes = Vec::new();
        Self { bytes, from: 0 }
    }

    /// Where more is to be put.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        self.bytes.drain(..self.from);
        self.from = 0;
        self.bytes.reserve(16 << 10);
        &mut self.bytes
    }

    /// Takes the next value, if it is all there.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        let rest = &self.bytes[self.from..];
        let length = length(rest)?;
        self.from += length;
        Some(rest[..length].to_vec())
    }
}

/// The length of the first value, if it is all there. Servers and clients that are
/// asked are real, so what they say is believed.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut left = 1_usize;
    while left > 0 {
        let rest = bytes.get(at..)?;
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        at += end + 1;
        let number = || {
            std::str::from_utf8(line.get(1..)?)
                .ok()?
                .parse::<i64>()
                .ok()
        };
        let count = usize::try_from(number().unwrap_or(0)).unwrap_or(0);
        left -= 1;
        match line.first()? {
            b'$' | b'=' | b'!' if number() != Some(-1) => at += count + 2,
            b'*' | b'~' | b'>' => left += count,
            b'%' => left += 2 * count,
            // The value it is about follows.
            b'|' => left += 2 * count + 1,
            _ => {}
        }
    }
    (at <= bytes.len()).then_some(at)
}

/// The texts in a command.
pub(super) fn words(command: &[u8]) -> Vec<&[u8]> {
    let mut words = Vec::new();
    let mut rest = command;
    // The line that says how many.
    let mut skip = rest
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(rest.len(), |end| end + 1);
    rest = &rest[skip..];
    while let Some(length) = length(rest) {
        let value = &rest[..length];
        skip = value
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        words.push(value[skip..].strip_suffix(b"\r\n").unwrap_or(b""));
        rest = &rest[length..];
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_end_where_they_end() {
        let values: [&[u8]; 8] = [
            b":1\r\n",
            b"$3\r\na\r\n\r\n",
            b"$-1\r\n",
            b"*2\r\n:1\r\n*1\r\n$1\r\na\r\n",
            b"%1\r\n+a\r\n:1\r\n",
            b"|1\r\n+a\r\n:1\r\n:7\r\n",
            b">2\r\n+a\r\n+b\r\n",
            b"*0\r\n",
        ];
        let all = values.concat();
        let mut frames = Frames::new();
        let mut taken = Vec::new();
        for byte in all {
            frames.room().push(byte);
            taken.extend(frames.next());
        }
        assert_eq!(taken, values);
        assert_eq!(
            words(b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"),
            [b"GET".as_slice(), b"a"]
        );
    }
}
