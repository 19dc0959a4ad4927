//! The log of a run: not made at all, digested, or kept.

use std::fmt::{self, Write};

/// What to keep of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: most runs are of no interest, and words cost more than deeds.
    #[default]
    Nothing,
    /// Its digest.
    Digest,
    /// Its digest and its lines.
    Lines,
}

/// A log that knows its own digest (FNV-1a, 64 bits).
#[derive(Debug)]
pub struct Log {
    digest: Digest,
    keep: Keep,
    lines: Vec<String>,
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
    /// An empty log.
    #[must_use]
    pub const fn new(keep: Keep) -> Self {
        Self {
            digest: Digest(0xcbf2_9ce4_8422_2325),
            keep,
            lines: Vec::new(),
        }
    }

    /// Adds a line.
    pub fn line(&mut self, line: fmt::Arguments<'_>) {
        match self.keep {
            Keep::Nothing => {}
            // Digesting cannot fail.
            Keep::Digest => _ = writeln!(self.digest, "{line}"),
            Keep::Lines => {
                let text = line.to_string();
                _ = writeln!(self.digest, "{text}");
                self.lines.push(text);
            }
        }
    }

    /// The digest and the lines that were kept.
    #[must_use]
    pub fn finish(&mut self) -> (u64, Vec<String>) {
        (self.digest.0, std::mem::take(&mut self.lines))
    }
}
