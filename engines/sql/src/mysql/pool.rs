//! A few connections, each lent for one request at a time.

use std::cell::RefCell;

use mysql_async::Conn;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Mysql, connect};
use crate::fail::{Kind, Trouble};

/// The connections that carry requests.
pub(super) struct Pool {
    idle: RefCell<Vec<Conn>>,
    permits: Semaphore,
}

/// One of them. Unless it is given back, it is closed.
pub(super) struct Lent<'a> {
    pool: &'a Pool,
    conn: Option<Conn>,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    pub(super) fn new(most: usize) -> Self {
        Self {
            idle: RefCell::default(),
            permits: Semaphore::new(most),
        }
    }

    /// One that is idle, or a new one; waits for one if there may be no more.
    pub(super) async fn get(&self, mysql: &Mysql) -> Result<Lent<'_>, Trouble> {
        let permit = tokio::time::timeout(mysql.options.timeout, self.permits.acquire()).await;
        let Ok(Ok(permit)) = permit else {
            return Err(Trouble::new(
                Kind::Refused,
                format!(
                    "all {} connections to {} were busy for {:?}",
                    mysql.options.connections,
                    mysql.options.place(),
                    mysql.options.timeout
                ),
                "raise connections= in the URL, or see what keeps the server",
            ));
        };
        let idle = self.idle.borrow_mut().pop();
        let conn = match idle {
            Some(conn) => conn,
            None => connect::connect(&mysql.options).await?,
        };
        Ok(Lent {
            pool: self,
            conn: Some(conn),
            _permit: permit,
        })
    }
}

impl Lent<'_> {
    pub(super) fn conn(&mut self) -> &mut Conn {
        self.conn
            .as_mut()
            .unwrap_or_else(|| unreachable!("it is given back at the end only"))
    }

    pub(super) fn give_back(&mut self) {
        self.pool.idle.borrow_mut().extend(self.conn.take());
    }
}
