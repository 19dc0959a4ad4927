//! What people read: a summary in text, and a page with timelines.
//!
//! * `text`: the summary. `page`: the page, one file that needs no other.
//! * `windows`: which stretches of a run are worth drawing. `timeline`: one of them.
//!   `overview`: the whole run, in grants a second.

mod overview;
mod page;
mod text;
mod timeline;
mod windows;

pub use page::page;
pub use text::{classes, summary};
pub use timeline::standalone;
pub use windows::{Window, windows};

use std::fmt::Write as _;

/// A length of time as people say it.
pub(crate) fn length(micros: u64) -> String {
    #[allow(clippy::cast_precision_loss)] // shown to three digits
    let value = micros as f64;
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..10_000 => format!("{:.2} ms", value / 1e3),
        10_000..1_000_000 => format!("{:.0} ms", value / 1e3),
        _ => format!("{:.2} s", value / 1e6),
    }
}

/// Text as HTML and SVG want it.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() && c != '\n' => {
                // Writing to a string does not fail.
                let _ = write!(escaped, "\\u{{{:x}}}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{escape, length};

    #[test]
    fn lengths_have_the_unit_that_suits_them() {
        for (micros, said) in [
            (7, "7 µs"),
            (1_500, "1.50 ms"),
            (15_400, "15 ms"),
            (2_345_678, "2.35 s"),
        ] {
            assert_eq!(length(micros), said);
        }
    }

    #[test]
    fn nothing_of_a_text_is_taken_for_markup() {
        assert_eq!(
            escape("<a href=\"x\">&'\u{1b}"),
            "&lt;a href=&quot;x&quot;&gt;&amp;&#39;\\u{1b}"
        );
    }
}
