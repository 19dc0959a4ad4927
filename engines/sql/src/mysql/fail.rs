//! What refusals of MySQL and MariaDB mean.

use mysql_async::{Error, ServerError};

use crate::config::SqlOptions;
use crate::fail::{Kind, Trouble};

/// Why no connection could be made. Nothing was sent, so nothing was done.
pub(super) fn of_connect(options: &SqlOptions, error: &Error) -> Trouble {
    let mut trouble = of_request(options, error);
    if trouble.kind == Kind::Silent {
        trouble.kind = Kind::Refused;
        trouble.remedy = match options.tls {
            Some(_) => "see that host and port are right and a MySQL or MariaDB server listens there that talks TLS, and that ca= names the authority of its certificate",
            None => "see that host and port are right and a MySQL or MariaDB server listens there; if it wants TLS, add sslmode=verify-full to the URL",
        }
        .to_owned();
    }
    trouble
}

/// What became of a statement.
pub(super) fn of_request(options: &SqlOptions, error: &Error) -> Trouble {
    let place = options.place();
    match error {
        Error::Server(said) => {
            let (kind, remedy) = classify(options, said);
            let detail = format!("{place} says: {} ({})", said.message, said.code);
            Trouble::new(kind, detail, remedy)
        }
        other => Trouble::new(
            Kind::Silent,
            format!("the connection to {place} broke: {other}"),
            "see that the server runs; its log may say why it hung up",
        ),
    }
}

fn classify(options: &SqlOptions, said: &ServerError) -> (Kind, String) {
    let table = &options.table;
    let refused = |remedy: &str| (Kind::Refused, remedy.to_owned());
    match said.code {
        1045 | 1698 | 1130 => refused(
            "put the right user:password@ before the host of the URL (in percent-escapes where need be), and see that the server has this user for this host",
        ),
        1049 => refused("name a database that exists behind the host of the URL, or create it"),
        1046 => refused("name a database behind the host of the URL, as in mysql://db.example/app"),
        1044 | 1142 | 1143 | 1227 => (
            Kind::Refused,
            format!(
                "GRANT SELECT, INSERT, UPDATE ON {table} TO the user; engines/sql/migrations/mysql.sql makes it for those who may not create it"
            ),
        ),
        1146 => (
            Kind::Refused,
            format!(
                "create {table} as engines/sql/migrations/mysql.sql has it, or open the engine anew as a user who may"
            ),
        ),
        1054 | 1364 | 1366 | 1406 => (
            Kind::Shape,
            format!(
                "{table} is a table of another kind: choose another table= in the URL, or restore its columns as engines/sql/migrations/mysql.sql has them"
            ),
        ),
        1290 | 1836 | 1792 => refused(
            "it takes no writes, as a replica does not: name the primary, or all hosts with commas between",
        ),
        1040 | 1203 => refused("raise max_connections, or lower connections= in the URLs"),
        1047 => refused("wait until this node of the cluster has joined a majority again"),
        1205 => refused("a transaction keeps the lock's row: see which, and make it shorter"),
        1064 => refused(
            "check that it is MySQL 8 or MariaDB 10.5, or later, and that nothing in between forbids several statements in one request",
        ),
        // Two transactions met; on Galera, a certification failed.
        1213 | 1020 => (Kind::Again, "try again".to_owned()),
        // It ended in the middle of a statement, which may have been committed.
        1053 | 1152 | 1180 | 1927 | 3169 => (
            Kind::Silent,
            "see why the server, or somebody there, ended the connection".to_owned(),
        ),
        _ => refused("see what the server says"),
    }
}
