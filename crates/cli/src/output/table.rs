//! A table that fits the terminal.

use super::{HEADING, shorten, styled, width};
use anstyle::Style;

/// Between two columns.
const GAP: usize = 2;

/// One column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    heading: &'static str,
    /// Numbers are set to the right.
    right: bool,
    /// How narrow it may become, `None` if it must not be cut.
    least: Option<usize>,
}

impl Column {
    /// A column that is never cut.
    pub(crate) const fn whole(heading: &'static str) -> Self {
        Self {
            heading,
            right: false,
            least: None,
        }
    }

    /// A column of numbers, never cut.
    pub(crate) const fn number(heading: &'static str) -> Self {
        Self {
            heading,
            right: true,
            least: None,
        }
    }

    /// A column that may be cut down to `least` columns of the terminal.
    pub(crate) const fn text(heading: &'static str, least: usize) -> Self {
        Self {
            heading,
            right: false,
            least: Some(least),
        }
    }
}

/// Rows below headings.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<(String, Style)>>,
    indent: usize,
}

impl Table {
    pub(crate) fn new(indent: usize, columns: impl Into<Vec<Column>>) -> Self {
        Self {
            columns: columns.into(),
            rows: Vec::new(),
            indent,
        }
    }

    /// Adds a row of one cell for each column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = (String, Style)>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as text, each line at most `room` columns wide.
    pub(crate) fn render(&self, room: usize) -> String {
        let widths = self.widths(room);
        let headings = self
            .columns
            .iter()
            .map(|column| (column.heading.to_owned(), HEADING));
        let mut text = self.line(&headings.collect::<Vec<_>>(), &widths);
        for row in &self.rows {
            text.push_str(&self.line(row, &widths));
        }
        text
    }

    /// Each column as wide as its content; then the widest that may be cut gives
    /// way until all fit.
    fn widths(&self, room: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = (0..self.columns.len())
            .map(|at| {
                let cells = self.rows.iter().map(|row| width(&row[at].0));
                cells
                    .max()
                    .unwrap_or(0)
                    .max(width(self.columns[at].heading))
            })
            .collect();
        let total = |widths: &[usize]| {
            self.indent + widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
        };
        while total(&widths) > room {
            let widest = (0..widths.len())
                .filter(|&at| {
                    self.columns[at]
                        .least
                        .is_some_and(|least| widths[at] > least)
                })
                .max_by_key(|&at| widths[at]);
            match widest {
                Some(at) => widths[at] -= 1,
                None => break,
            }
        }
        widths
    }

    fn line(&self, cells: &[(String, Style)], widths: &[usize]) -> String {
        let mut line = " ".repeat(self.indent);
        let mut owed = 0;
        for (at, (text, style)) in cells.iter().enumerate() {
            let text = shorten(text, widths[at]);
            let pad = widths[at] - width(&text);
            let (before, after) = match self.columns[at].right {
                true => (pad, 0),
                false => (0, pad),
            };
            // Blanks are owed to the next cell, so that no line ends in them.
            line.push_str(&" ".repeat(owed + before));
            line.push_str(&styled(*style, text));
            owed = after + GAP;
        }
        line.push('\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn long_cells_give_way_and_numbers_stay_whole() {
        let mut table = Table::new(
            0,
            [
                Column::text("NAME", 8),
                Column::text("OWNER", 8),
                Column::number("TOKEN"),
            ],
        );
        table.row([
            ("n".repeat(60), Style::new()),
            ("o".repeat(30), Style::new()),
            ("1881234567890123".to_owned(), Style::new()),
        ]);
        table.row([
            ("a".to_owned(), Style::new()),
            ("錠".repeat(30), Style::new()),
            ("7".to_owned(), Style::new()),
        ]);
        let text = plain(&table.render(80));
        assert!(text.lines().all(|line| width(line) <= 80), "{text}");
        assert!(
            text.contains("1881234567890123") && text.contains('…'),
            "{text}"
        );
        assert!(text.lines().nth(2).unwrap().ends_with("  7"), "{text}");
    }
}
