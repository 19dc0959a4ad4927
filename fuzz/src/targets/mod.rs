//! One file per target.

pub(crate) mod damage;
pub(crate) mod engine;
pub(crate) mod name;
pub(crate) mod record;
pub(crate) mod reply;
pub(crate) mod url;

/// Bytes as text: most inputs are, and the rest is made so.
fn text(input: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(input)
}
