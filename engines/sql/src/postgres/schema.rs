//! The table of locks: made if it is not there, and looked at if it is.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::fail;
use crate::config::SqlOptions;
use crate::fail::{Kind, Trouble};

/// The file for those who may not create tables has the same; a test compares them.
const CREATE: &str = include_str!("../../migrations/postgres.sql");

/// Its columns, each with its type.
const COLUMNS: [(&str, &str); 9] = [
    ("name", "text"),
    ("version", "bigint"),
    ("record", "text"),
    ("written", "timestamp with time zone"),
    ("era", "text"),
    ("token", "bigint"),
    ("fence", "bigint"),
    ("holder", "text"),
    ("held_until", "timestamp with time zone"),
];

/// What was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prepared {
    /// The server tells its timeline.
    pub(super) has_timeline: bool,
}

/// Sees to it that the table is there, is ours, and may be used.
pub(super) async fn prepare(client: &Client, options: &SqlOptions) -> Result<Prepared, Trouble> {
    let failed = |error| fail::of_request(options, &error);
    let facts = client
        .query_typed_one(
            "SELECT pg_is_in_recovery(), current_setting('server_encoding'), current_setting('server_version_num')::int",
            &[],
        )
        .await
        .map_err(failed)?;
    refuse_unfit(options, facts.get(0), facts.get(1), facts.get(2))?;
    if !exists(client, options).await? {
        create(client, options).await?;
    }
    check(client, options).await?;
    let timeline = client
        .query_typed_one("SELECT pg_walfile_name(pg_current_wal_lsn())", &[])
        .await;
    if let Err(error) = &timeline {
        tracing::warn!(%error, "this server does not tell its timeline: tokens may repeat if it fails over and loses writes");
    }
    Ok(Prepared {
        has_timeline: timeline.is_ok(),
    })
}

/// Sees to it that the table is ours and may be used.
pub(super) async fn check(client: &Client, options: &SqlOptions) -> Result<(), Trouble> {
    check_columns(client, options).await?;
    check_rights(client, options).await
}

fn refuse_unfit(
    options: &SqlOptions,
    standby: bool,
    encoding: &str,
    version: i32,
) -> Result<(), Trouble> {
    let place = options.place();
    let refuse = |detail: String, remedy: &str| Err(Trouble::new(Kind::Refused, detail, remedy));
    if standby {
        return refuse(
            format!("{place} is a standby, which takes no writes"),
            "name the primary, or all hosts with commas between, of which the one that takes writes is used",
        );
    }
    if encoding != "UTF8" {
        return refuse(
            format!("the database on {place} is encoded as {encoding}"),
            "use a database whose encoding is UTF8, since names and labels may have any character",
        );
    }
    if version < 120_000 {
        return refuse(
            format!("{place} is PostgreSQL {}", version / 10_000),
            "use PostgreSQL 12 or later",
        );
    }
    Ok(())
}

async fn exists(client: &Client, options: &SqlOptions) -> Result<bool, Trouble> {
    let found = client
        .query_typed_one(
            "SELECT to_regclass($1) IS NOT NULL",
            &[(&options.table, Type::TEXT)],
        )
        .await;
    Ok(found
        .map_err(|error| fail::of_request(options, &error))?
        .get(0))
}

/// Two clients may do it at once, and one then finds that the other did.
async fn create(client: &Client, options: &SqlOptions) -> Result<(), Trouble> {
    let sql = CREATE.replace("leasehold", &options.table);
    match client.batch_execute(&sql).await {
        Ok(()) => Ok(()),
        Err(_) if exists(client, options).await? => Ok(()),
        Err(error) => {
            let trouble = fail::of_request(options, &error);
            Err(Trouble {
                detail: format!(
                    "there is no table {}, and it cannot be made: {}",
                    options.table, trouble.detail
                ),
                remedy: format!(
                    "let somebody who may create tables run engines/sql/migrations/postgres.sql, or choose a schema= where this user may; {}",
                    trouble.remedy
                ),
                ..trouble
            })
        }
    }
}

async fn check_columns(client: &Client, options: &SqlOptions) -> Result<(), Trouble> {
    let rows = client
        .query_typed(
            "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), coalesce(c.collname::text, ''), \
             a.attnotnull AND NOT a.atthasdef \
             FROM pg_attribute a LEFT JOIN pg_collation c ON c.oid = a.attcollation \
             WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped",
            &[(&options.table, Type::TEXT)],
        )
        .await
        .map_err(|error| fail::of_request(options, &error))?;
    let found: Vec<(String, String, String, bool)> = rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
        .collect();
    let wrong = COLUMNS.iter().find_map(|(name, kind)| {
        match found.iter().find(|column| column.0 == *name) {
            None => Some(format!("it has no column {name}")),
            Some(column) if column.1 != *kind => {
                Some(format!("its column {name} is {}, not {kind}", column.1))
            }
            // Another order of letters, or one that takes two names for one.
            Some(column) if *name == "name" && column.2 != "C" => Some(format!(
                "its column name has the collation {:?}, not \"C\"",
                column.2
            )),
            Some(_) => None,
        }
    });
    let stranger = found
        .iter()
        .find(|column| column.3 && !COLUMNS.iter().any(|(name, _)| *name == column.0));
    let unique = client
        .query_typed_one(
            "SELECT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid \
             AND a.attname = 'name' WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid \
             AND i.indpred IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum)",
            &[(&options.table, Type::TEXT)],
        )
        .await;
    let unique: bool = unique
        .map_err(|error| fail::of_request(options, &error))?
        .get(0);
    let wrong = wrong.or_else(|| (!unique).then(|| "its column name is not unique".to_owned()));
    let wrong =
        wrong.or_else(|| stranger.map(|column| format!("its column {} must be filled", column.0)));
    wrong.map_or(Ok(()), |wrong| {
        Err(Trouble::new(
            Kind::Shape,
            format!("{} on {} is a table of another kind: {wrong}", options.table, options.place()),
            "choose another table= in the URL, or restore its columns as engines/sql/migrations/postgres.sql has them",
        ))
    })
}

async fn check_rights(client: &Client, options: &SqlOptions) -> Result<(), Trouble> {
    let row = client
        .query_typed_one(
            "SELECT current_user::text, string_agg(r, ', ') FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) r \
             WHERE NOT has_table_privilege(to_regclass($1), r)",
            &[(&options.table, Type::TEXT)],
        )
        .await
        .map_err(|error| fail::of_request(options, &error))?;
    let (user, missing): (String, Option<String>) = (row.get(0), row.get(1));
    missing.map_or(Ok(()), |missing| {
        Err(Trouble::new(
            Kind::Refused,
            format!(
                "the user {user} lacks the right to {missing} on {}",
                options.table
            ),
            format!(
                "GRANT SELECT, INSERT, UPDATE ON {} TO {user}",
                options.table
            ),
        ))
    })
}
