//! The log of a run: always digested, kept only on request.

use std::fmt::{self, Write};

/// A log that knows its own digest (FNV-1a, 64 bits).
#[derive(Debug)]
pub struct Log {
    digest: Digest,
    lines: Option<Vec<String>>,
}

#[derive(Debug)]
struct Digest(u64);

impl Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}

impl Log {
    /// An empty log; keeps its lines if told to.
    #[must_use]
    pub fn new(keep: bool) -> Self {
        Self {
            digest: Digest(0xcbf2_9ce4_8422_2325),
            lines: keep.then(Vec::new),
        }
    }

    /// Adds a line.
    pub fn line(&mut self, line: fmt::Arguments<'_>) {
        // Digesting cannot fail.
        let _ = writeln!(self.digest, "{line}");
        if let Some(lines) = &mut self.lines {
            lines.push(line.to_string());
        }
    }

    /// The digest and the lines that were kept.
    #[must_use]
    pub fn finish(self) -> (u64, Vec<String>) {
        (self.digest.0, self.lines.unwrap_or_default())
    }
}
