//! The table of locks: made if it is not there, and looked at if it is.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::fail;
use crate::config::SqlOptions;
use crate::fail::{Kind, Trouble};

/// The file for those who may not create tables.
const CREATE: &str = include_str!("../../migrations/mysql.sql");

/// Its columns, each with its type.
const COLUMNS: [(&str, &str); 9] = [
    ("name", "varbinary"),
    ("version", "bigint"),
    ("record", "mediumtext"),
    ("written", "bigint"),
    ("era", "varchar"),
    ("token", "bigint"),
    ("fence", "bigint"),
    ("holder", "varchar"),
    ("held_until", "datetime"),
];

/// What was found.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// What tells the server from another that is promoted in its place: SQL.
    pub(super) era: String,
}

/// Sees to it that the table is there, is ours, and may be used.
pub(super) async fn prepare(conn: &mut Conn, options: &SqlOptions) -> Result<Prepared, Trouble> {
    let era = era(conn, options).await?;
    if columns(conn, options).await?.is_empty() {
        create(conn, options).await?;
    }
    check(conn, options).await?;
    Ok(Prepared { era })
}

/// Sees to it that the table is ours and may be used.
pub(super) async fn check(conn: &mut Conn, options: &SqlOptions) -> Result<(), Trouble> {
    check_columns(conn, options).await?;
    check_rights(conn, options).await
}

/// Nodes of a Galera cluster write alike, so they are one era. Otherwise it is the
/// server's own identity.
async fn era(conn: &mut Conn, options: &SqlOptions) -> Result<String, Trouble> {
    let sql = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('wsrep_on', 'server_uuid')";
    let found = conn.query::<(String, String), _>(sql).await;
    let found = found.map_err(|error| fail::of_request(options, &error))?;
    let has = |name: &str| found.iter().find(|(found, _)| found == name);
    Ok(
        if has("wsrep_on").is_some_and(|(_, value)| value == "ON" || value == "1") {
            "'galera'".to_owned()
        } else if has("server_uuid").is_some() {
            "@@server_uuid".to_owned()
        } else {
            "CONCAT(@@server_id, ':', @@hostname, ':', @@port)".to_owned()
        },
    )
}

/// The table's schema and name, as SQL.
fn names(options: &SqlOptions) -> (String, String) {
    let bare = options.table.replace('`', "");
    match bare.split_once('.') {
        Some((schema, table)) => (format!("'{schema}'"), format!("'{table}'")),
        None => ("DATABASE()".to_owned(), format!("'{bare}'")),
    }
}

/// Name, type, and whether it must be filled.
async fn columns(
    conn: &mut Conn,
    options: &SqlOptions,
) -> Result<Vec<(String, String, i64)>, Trouble> {
    let (schema, table) = names(options);
    let sql = format!(
        "SELECT LOWER(column_name), LOWER(data_type), \
         is_nullable = 'NO' AND column_default IS NULL AND extra NOT LIKE '%auto_increment%' \
         FROM information_schema.columns WHERE table_schema = {schema} AND table_name = {table}"
    );
    let rows = conn.query(sql).await;
    rows.map_err(|error| fail::of_request(options, &error))
}

async fn create(conn: &mut Conn, options: &SqlOptions) -> Result<(), Trouble> {
    let sql = CREATE.replace("leasehold", &options.table);
    let created = conn.query_drop(sql.trim_end().trim_end_matches(';')).await;
    created.map_err(|error| {
        let trouble = fail::of_request(options, &error);
        Trouble {
            detail: format!(
                "there is no table {}, and it cannot be made: {}",
                options.table, trouble.detail
            ),
            remedy: format!(
                "let somebody who may create tables run engines/sql/migrations/mysql.sql; {}",
                trouble.remedy
            ),
            ..trouble
        }
    })
}

async fn check_columns(conn: &mut Conn, options: &SqlOptions) -> Result<(), Trouble> {
    let found = columns(conn, options).await?;
    let wrong = COLUMNS.iter().find_map(|(name, kind)| {
        match found.iter().find(|column| column.0 == *name) {
            None => Some(format!("it has no column {name}")),
            Some(column) if column.1 != *kind => {
                Some(format!("its column {name} is {}, not {kind}", column.1))
            }
            Some(_) => None,
        }
    });
    let stranger = found
        .iter()
        .find(|column| column.2 != 0 && !COLUMNS.iter().any(|(name, _)| *name == column.0));
    let wrong = wrong.or_else(|| stranger.map(|c| format!("its column {} must be filled", c.0)));
    let wrong = match wrong {
        Some(wrong) => Some(wrong),
        None => unfit(conn, options).await?,
    };
    wrong.map_or(Ok(()), |wrong| {
        Err(Trouble::new(
            Kind::Shape,
            format!("{} on {} is a table of another kind: {wrong}", options.table, options.place()),
            "choose another table= in the URL, or restore its columns as engines/sql/migrations/mysql.sql has them",
        ))
    })
}

/// What is wrong with the table besides its columns.
async fn unfit(conn: &mut Conn, options: &SqlOptions) -> Result<Option<String>, Trouble> {
    let (schema, table) = names(options);
    let engine = format!(
        "SELECT engine FROM information_schema.tables WHERE table_schema = {schema} AND table_name = {table}"
    );
    let unique = format!(
        "SELECT COUNT(*) FROM (SELECT index_name FROM information_schema.statistics \
         WHERE table_schema = {schema} AND table_name = {table} AND non_unique = 0 \
         GROUP BY index_name HAVING COUNT(*) = 1 AND MAX(LOWER(column_name)) = 'name' AND MAX(sub_part) IS NULL) u"
    );
    let failed = |error| fail::of_request(options, &error);
    let engine: Option<Option<String>> = conn.query_first(engine).await.map_err(failed)?;
    let engine = engine.flatten().unwrap_or_default();
    if ["myisam", "aria", "memory", "csv", "archive"].contains(&engine.to_lowercase().as_str()) {
        return Ok(Some(format!(
            "its engine is {engine}, which has no transactions"
        )));
    }
    let unique: Option<i64> = conn.query_first(unique).await.map_err(failed)?;
    Ok((unique == Some(0)).then(|| "its column name is not unique".to_owned()))
}

/// Tries what is needed, on no row.
async fn check_rights(conn: &mut Conn, options: &SqlOptions) -> Result<(), Trouble> {
    let table = &options.table;
    for sql in [
        format!("SELECT version FROM {table} LIMIT 0"),
        format!("UPDATE {table} SET version = 0 WHERE name = x''"),
        format!(
            "INSERT INTO {table} (name, version, record, written, era, token, fence) SELECT x'', 0, '', 0, '', 0, 0 FROM DUAL WHERE 1 = 0"
        ),
    ] {
        let tried = conn.query_drop(sql).await;
        tried.map_err(|error| fail::of_request(options, &error))?;
    }
    Ok(())
}
