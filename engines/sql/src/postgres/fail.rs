//! What PostgreSQL's refusals mean.

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

use crate::config::SqlOptions;
use crate::fail::{Kind, Trouble};

/// Why no connection could be made. Nothing was sent, so nothing was done.
pub(super) fn of_connect(options: &SqlOptions, error: &Error) -> Trouble {
    let mut trouble = match error.as_db_error() {
        Some(said) => of_server(options, said),
        None => Trouble::new(
            Kind::Refused,
            format!("{}: {}", options.place(), whole(error)),
            if options.tls.is_some() {
                "see that host and port are right and a PostgreSQL server listens there that talks TLS, and that ca= names the authority of its certificate"
            } else {
                "see that host and port are right and a PostgreSQL server listens there; if it wants TLS, add sslmode=verify-full to the URL"
            },
        ),
    };
    if trouble.kind == Kind::Silent {
        trouble.kind = Kind::Refused;
    }
    trouble
}

/// What became of a statement.
pub(super) fn of_request(options: &SqlOptions, error: &Error) -> Trouble {
    match error.as_db_error() {
        Some(said) => of_server(options, said),
        None => Trouble::new(
            Kind::Silent,
            format!(
                "the connection to {} broke: {}",
                options.place(),
                whole(error)
            ),
            "see that the server runs; its log may say why it hung up",
        ),
    }
}

fn of_server(options: &SqlOptions, said: &DbError) -> Trouble {
    let place = options.place();
    let detail = format!("{place} says: {} ({})", said.message(), said.code().code());
    let (kind, remedy) = classify(options, said.code());
    Trouble::new(kind, detail, remedy)
}

fn classify(options: &SqlOptions, code: &SqlState) -> (Kind, String) {
    let table = &options.table;
    let refused = |remedy: &str| (Kind::Refused, remedy.to_owned());
    match code.code() {
        "28P01" | "28000" => refused(
            "put the right user:password@ before the host of the URL (in percent-escapes where need be), and see that pg_hba.conf lets this user in from here; if it asks for encryption, add sslmode=verify-full",
        ),
        "3D000" => refused("name a database that exists behind the host of the URL, or create it"),
        "42501" => (
            Kind::Refused,
            format!(
                "grant the user what it lacks: CONNECT on the database, USAGE on the schema, and SELECT, INSERT, UPDATE on {table}, which engines/sql/migrations/postgres.sql makes for those who may not create it"
            ),
        ),
        "42P01" | "3F000" => (
            Kind::Refused,
            format!(
                "create {table} as engines/sql/migrations/postgres.sql has it, or open the engine anew as a user who may"
            ),
        ),
        "42703" | "42804" | "42883" | "23502" => (
            Kind::Shape,
            format!(
                "{table} is a table of another kind: choose another table= in the URL, or restore its columns as engines/sql/migrations/postgres.sql has them"
            ),
        ),
        "25006" | "55000" => refused(
            "it is a standby, or takes no writes: name the primary, or all hosts with commas between, of which the one that takes writes is used",
        ),
        "53300" => refused(
            "raise max_connections, lower connections= in the URLs, or put a pooler in between",
        ),
        "57P03" => refused("wait until the server has started"),
        "53100" | "53200" => refused("give the server more disk or memory"),
        "40001" | "40P01" => (Kind::Again, "try again".to_owned()),
        // It ended in the middle of a statement, which may have been committed.
        "57P01" | "57P02" | "57P05" | "58000" | "XX000" => (
            Kind::Silent,
            "see why the server, or somebody there, ended the connection".to_owned(),
        ),
        "57014" => refused("see who cancels statements there; statement_timeout may be too short"),
        _ => refused("see what the server says"),
    }
}

/// An error with what it is about.
fn whole(error: &Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
