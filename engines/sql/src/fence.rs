//! The token's check inside a transaction of the protected data.

use leasehold_core::{Error, LockName, Token};

/// Which SQL a [`Fence`] is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// PostgreSQL: parameters `$1` and `$2`, `FOR SHARE`.
    Postgres,
    /// MySQL and MariaDB: parameters `?`, `LOCK IN SHARE MODE`.
    Mysql,
}

/// A statement that checks a lease's token inside the transaction that writes the
/// protected data, where that data is in the same database as the locks.
///
/// It gives one row if the token is still good and none if a later grant or a break
/// has overtaken it; roll back then. It also keeps the lock's row as it is until the
/// transaction ends, so that nobody is granted the lock in between: what the
/// transaction writes is written under the lease, whatever clocks and pauses do. The
/// lease's own renewals wait as well, so a transaction must be shorter than the
/// engine's `timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    dialect: Dialect,
}

impl Fence {
    /// The check in this dialect.
    #[must_use]
    pub const fn new(dialect: Dialect) -> Self {
        Self { dialect }
    }

    /// The statement for a table of locks, as in `leasehold` or `app.leasehold`. Its
    /// parameters are the lock's name and the token, in this order.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for what is no name of a table.
    pub fn sql(&self, table: &str) -> Result<String, Error> {
        let table = quoted(table, self.dialect)?;
        Ok(match self.dialect {
            Dialect::Postgres => {
                format!("SELECT token FROM {table} WHERE name = $1 AND fence <= $2 FOR SHARE")
            }
            Dialect::Mysql => format!(
                "SELECT token FROM {table} WHERE name = ? AND fence <= ? LOCK IN SHARE MODE"
            ),
        })
    }

    /// The same with the name and the token written into it, for code that has no
    /// parameters.
    ///
    /// # Errors
    ///
    /// As for [`sql`](Self::sql).
    pub fn sql_for(&self, table: &str, name: &LockName, token: Token) -> Result<String, Error> {
        let name = match self.dialect {
            Dialect::Postgres => format!("'{}'", name.as_str().replace('\'', "''")),
            // As bytes, so that nothing depends on the session's character set or on
            // what a backslash means there.
            Dialect::Mysql => {
                let hex: String = name.as_str().bytes().map(|b| format!("{b:02x}")).collect();
                format!("x'{hex}'")
            }
        };
        let (first, second) = match self.dialect {
            Dialect::Postgres => ("$1", "$2"),
            Dialect::Mysql => ("name = ?", "fence <= ?"),
        };
        let sql = self.sql(table)?;
        Ok(match self.dialect {
            Dialect::Postgres => sql
                .replacen(second, &token.to_string(), 1)
                .replacen(first, &name, 1),
            Dialect::Mysql => sql
                .replacen(second, &format!("fence <= {token}"), 1)
                .replacen(first, &format!("name = {name}"), 1),
        })
    }
}

/// A table's name in quotes, with its schema if it has one.
pub(crate) fn quoted(table: &str, dialect: Dialect) -> Result<String, Error> {
    let mark = match dialect {
        Dialect::Postgres => '"',
        Dialect::Mysql => '`',
    };
    let parts: Vec<&str> = table.split('.').collect();
    let fits = |part: &&str| {
        let tame = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !part.is_empty()
            && part.len() <= 63
            && part.chars().all(tame)
            && !part.starts_with(|c: char| c.is_ascii_digit())
    };
    if parts.len() > 2 || !parts.iter().all(fits) {
        return Err(Error::invalid(
            "table",
            table.escape_debug().to_string(),
            "give a name of letters, digits and _, as in leasehold or app.leasehold",
        ));
    }
    let quoted: Vec<_> = parts
        .iter()
        .map(|part| format!("{mark}{part}{mark}"))
        .collect();
    Ok(quoted.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tokens_are_written_so_that_they_stay_what_they_are() {
        let name = LockName::new("it's $2 \\ é").unwrap();
        let token = Token::new(7).unwrap();
        let sql = Fence::new(Dialect::Postgres).sql_for("app.leasehold", &name, token);
        assert_eq!(
            sql.unwrap(),
            "SELECT token FROM \"app\".\"leasehold\" WHERE name = 'it''s $2 \\ é' AND fence <= 7 FOR SHARE"
        );
        let sql = Fence::new(Dialect::Mysql).sql_for("leasehold", &name, token);
        assert_eq!(
            sql.unwrap(),
            "SELECT token FROM `leasehold` WHERE name = x'69742773202432205c20c3a9' AND fence <= 7 LOCK IN SHARE MODE"
        );
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for bad in ["", "a.b.c", "a b", "a;b", "\"a\"", "1a", ".a"] {
            assert!(quoted(bad, Dialect::Postgres).is_err(), "{bad}");
        }
    }
}
