//! What is sent, and what comes back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row as PgRow};

use crate::clock;
use crate::row::{Micros, Row, Seen, Write, Wrote};

/// The number of the timeline that the server writes, which a promotion changes.
const TIMELINE: &str = "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";
/// Where the server does not tell.
const NO_TIMELINE: &str = "'-'::text";
/// A commit that waits for the disk, be it that the server's default is not to.
const DURABLE: &str = "CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'local', true) END";
/// A commit that does not.
const LAZY: &str = "set_config('synchronous_commit', 'off', true)";
/// Tells others, if the transaction is committed.
const WAKE: &str =
    "(SELECT count(pg_notify(c, p)) FROM unnest($12::text[], $13::text[]) AS n(c, p))";
const NO_WAKE: &str = "0";

/// The statements for one table.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) look: String,
    pub(super) list: String,
    /// By whether there is a row already, whether it may be lost in a crash, and
    /// whether somebody is to be woken.
    writes: [String; 8],
}

impl Statements {
    pub(super) fn new(table: &str, has_timeline: bool) -> Self {
        let era = match has_timeline {
            true => TIMELINE,
            false => NO_TIMELINE,
        };
        let writes = std::array::from_fn(|number| {
            write_sql(table, era, number & 1 > 0, number & 2 > 0, number & 4 > 0)
        });
        Self {
            look: format!(
                "SELECT t.version, t.record, t.token, t.era, t.written, clock_timestamp(), {era} \
                 FROM (SELECT 1) one LEFT JOIN {table} t ON t.name = $1"
            ),
            // The greatest character as often as a name can have it is the end of
            // all names that start with the prefix.
            list: format!(
                "SELECT t.version, t.record, t.token, t.era, t.written, clock_timestamp(), {era}, t.name \
                 FROM {table} t WHERE t.name >= $1 AND t.name <= $1 || repeat(chr(1114111), 129) \
                 AND starts_with(t.name, $1) AND t.held_until IS NOT NULL ORDER BY t.name"
            ),
            writes,
        }
    }

    pub(super) fn write(&self, write: &Write<'_>) -> &str {
        let update = usize::from(write.expected.is_some());
        let lazy = usize::from(write.lazy);
        let wake = usize::from(!write.wake.is_empty());
        &self.writes[update | lazy << 1 | wake << 2]
    }
}

/// One statement that writes if it may, and else tells what is there: the row as it
/// was when the statement began. If that is the row that was expected, it was
/// changed meanwhile.
fn write_sql(table: &str, era: &str, update: bool, lazy: bool, wake: bool) -> String {
    let now = "coalesce($8, clock_timestamp())";
    let until = format!("{now} + $9 * interval '1 microsecond'");
    let change = match update {
        true => format!(
            "UPDATE {table} SET version = $3, record = $4, token = $5, fence = $6, holder = $7, \
             written = {now}, held_until = {until}, era = $10 \
             WHERE name = $1 AND version = $2 AND {era} = $10 \
             AND ($11::bigint IS NULL OR clock_timestamp() - written <= $11 * interval '1 microsecond')"
        ),
        false => format!(
            "INSERT INTO {table} (name, version, record, token, fence, holder, written, held_until, era) \
             SELECT $1, $3, $4, $5, $6, $7, {now}, {until}, $10 WHERE {era} = $10 \
             ON CONFLICT (name) DO NOTHING"
        ),
    };
    let commit = if lazy { LAZY } else { DURABLE };
    let wake = if wake { WAKE } else { NO_WAKE };
    format!(
        "WITH w AS ({change} RETURNING written) \
         SELECT NULL::bigint, NULL::text, NULL::bigint, NULL::text, w.written, clock_timestamp(), $10::text, {commit}, {wake} FROM w \
         UNION ALL \
         SELECT t.version, t.record, t.token, t.era, t.written, clock_timestamp(), {era}, NULL, 0 \
         FROM {table} t WHERE t.name = $1 AND NOT EXISTS (SELECT FROM w)"
    )
}

/// What a write's parameters refer to.
pub(super) struct Values<'a> {
    name: &'a str,
    written: Option<SystemTime>,
    channels: Vec<&'a str>,
    payloads: Vec<&'a str>,
}

impl<'a> Values<'a> {
    pub(super) fn of(write: &'a Write<'_>) -> Self {
        let wake = write.wake.iter();
        let (channels, payloads) = wake.map(|(c, p)| (c.as_str(), p.as_str())).unzip();
        Self {
            name: write.name.as_str(),
            written: write.written.map(system_time),
            channels,
            payloads,
        }
    }

    pub(super) fn parameters(
        &'a self,
        write: &'a Write<'_>,
    ) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
        let mut all: Vec<(&(dyn ToSql + Sync), Type)> = vec![
            (&self.name, Type::TEXT),
            (&write.expected, Type::INT8),
            (&write.version, Type::INT8),
            (&write.record, Type::TEXT),
            (&write.token, Type::INT8),
            (&write.fence, Type::INT8),
            (&write.holder, Type::TEXT),
            (&self.written, Type::TIMESTAMPTZ),
            (&write.lasts, Type::INT8),
            (&write.era, Type::TEXT),
            (&write.max_age, Type::INT8),
        ];
        if !self.channels.is_empty() {
            all.push((&self.channels, Type::TEXT_ARRAY));
            all.push((&self.payloads, Type::TEXT_ARRAY));
        }
        all
    }
}

/// What a look found.
pub(super) fn seen(row: Option<&PgRow>) -> Result<Seen, Error> {
    let Some(row) = row else {
        unreachable!("an outer join has a row");
    };
    let version: Option<i64> = row.try_get(0)?;
    Ok(Seen {
        row: version.map(|version| stored(row, version)).transpose()?,
        now: micros(row.try_get(5)?),
        era: row.try_get(6)?,
        received: clock::now(),
    })
}

/// One row of a list.
pub(super) fn listed(row: &PgRow) -> Result<(String, Seen), Error> {
    Ok((row.try_get(7)?, seen(Some(row))?))
}

/// What became of a write.
pub(super) fn wrote(row: Option<&PgRow>) -> Result<Wrote, Error> {
    let Some(row) = row else {
        return Ok(Wrote::Not(None));
    };
    let seen = seen(Some(row))?;
    Ok(match seen.row {
        Some(_) => Wrote::Not(Some(seen)),
        None => Wrote::Done {
            written: micros(row.try_get(4)?),
            seen,
        },
    })
}

fn stored(row: &PgRow, version: i64) -> Result<Row, Error> {
    Ok(Row {
        version,
        record: row.try_get(1)?,
        token: row.try_get(2)?,
        era: row.try_get(3)?,
        written: micros(row.try_get(4)?),
    })
}

fn micros(time: SystemTime) -> Micros {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn system_time(micros: Micros) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
