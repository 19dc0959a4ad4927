//! What is sent, and what comes back.
//!
//! Values are written into the statements as numbers and hexadecimal literals, which
//! mean the same in every character set and mode: a write and the look after it then
//! go in one request, which prepared statements cannot.

use mysql_async::Row as MyRow;
use mysql_async::prelude::FromValue;

use crate::clock;
use crate::row::{Row, Seen, Write, Wrote};

/// Microseconds since 1970, when the statement began.
const NOW: &str = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))";

/// The statements for one table.
#[derive(Debug)]
pub(super) struct Statements {
    table: String,
    /// What is read of a row, beside the clock and the era.
    columns: String,
    era: String,
}

impl Statements {
    pub(super) fn new(table: &str, era: &str) -> Self {
        Self {
            table: table.to_owned(),
            columns: format!(
                "t.version, t.record, t.token, t.era, t.written, {NOW}, {era}, t.name"
            ),
            era: era.to_owned(),
        }
    }

    pub(super) fn look(&self, name: &str) -> String {
        format!(
            "SELECT {} FROM (SELECT 1 AS one) o LEFT JOIN {} t ON t.name = {}",
            self.columns,
            self.table,
            hex(name)
        )
    }

    pub(super) fn list(&self, prefix: &str) -> String {
        let (from, bytes) = (hex(prefix), prefix.len());
        // No name in UTF-8 has a byte 255.
        format!(
            "SELECT {} FROM {} t WHERE t.name >= {from} AND t.name <= CONCAT({from}, REPEAT(x'ff', 512)) \
             AND LEFT(t.name, {bytes}) = {from} AND t.held_until IS NOT NULL ORDER BY t.name",
            self.columns, self.table
        )
    }

    /// A write, and a look at what is there after it.
    pub(super) fn write(&self, write: &Write<'_>) -> String {
        let table = &self.table;
        let name = hex(write.name.as_str());
        let written = write
            .written
            .map_or_else(|| NOW.to_owned(), |at| at.to_string());
        let until = match write.lasts {
            Some(lasts) => format!("UTC_TIMESTAMP(6) + INTERVAL {lasts} MICROSECOND"),
            None => "NULL".to_owned(),
        };
        let holder = write.holder.as_deref().map_or("NULL".to_owned(), hex);
        let (version, token, fence) = (write.version, write.token, write.fence);
        let (record, era) = (hex(&write.record), hex(write.era));
        let change = match write.expected {
            Some(expected) => {
                let young = write
                    .max_age
                    .map(|age| format!(" AND {NOW} - written <= {age}"));
                format!(
                    "UPDATE {table} SET version = {version}, record = {record}, token = {token}, fence = {fence}, \
                     holder = {holder}, held_until = {until}, era = {era}, written = {written} \
                     WHERE name = {name} AND version = {expected} AND {} = {era}{}",
                    self.era,
                    young.unwrap_or_default()
                )
            }
            // Set to itself, a row that is there counts as unchanged.
            None => format!(
                "INSERT INTO {table} (name, version, record, token, fence, holder, held_until, era, written) \
                 VALUES ({name}, {version}, {record}, {token}, {fence}, {holder}, {until}, {era}, {written}) \
                 ON DUPLICATE KEY UPDATE name = {table}.name"
            ),
        };
        format!("{change}; {}", self.look(write.name.as_str()))
    }
}

/// Bytes as a literal.
fn hex(text: &str) -> String {
    let digits: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("x'{digits}'")
}

/// What a look found; `None` if it is none of ours.
pub(super) fn seen(row: &MyRow) -> Option<Seen> {
    let version: Option<i64> = value(row, 0)?;
    let stored = match version {
        None => None,
        Some(version) => Some(Row {
            version,
            record: String::from_utf8(value(row, 1)?).ok()?,
            token: value(row, 2)?,
            era: String::from_utf8(value(row, 3)?).ok()?,
            written: value(row, 4)?,
        }),
    };
    Some(Seen {
        row: stored,
        now: value(row, 5)?,
        era: String::from_utf8(value(row, 6)?).ok()?,
        received: clock::now(),
    })
}

/// One row of a list; a name that is no text is given a place of its own in it.
pub(super) fn listed(row: &MyRow) -> Option<(String, Seen)> {
    let name: Vec<u8> = value(row, 7)?;
    Some((String::from_utf8(name).unwrap_or_default(), seen(row)?))
}

/// What became of a write, by whether it changed a row and what was there after.
pub(super) fn wrote(write: &Write<'_>, done: bool, seen: Seen) -> Wrote {
    if !done {
        return Wrote::Not(Some(seen));
    }
    let own = seen.row.as_ref().filter(|row| row.version == write.version);
    let written = own.map_or(seen.now, |row| row.written);
    Wrote::Done {
        written: write.written.unwrap_or(written),
        seen,
    }
}

fn value<T: FromValue>(row: &MyRow, at: usize) -> Option<T> {
    row.get_opt::<T, _>(at)?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_ends_a_literal() {
        let statements = Statements::new("`leasehold`", "@@server_uuid");
        let sql = statements.look("x' OR '1'='1\\");
        assert!(
            sql.ends_with("t.name = x'7827204f52202731273d27315c'"),
            "{sql}"
        );
    }
}
