//! Whether wake-ups are pushed.

use std::rc::Rc;

use leasehold_core::Wakeup;

use crate::backend::Backend;
use crate::hub::Hub;

/// Listens for wake-ups, as far as the server has any, and says how they come.
pub(crate) async fn start(hub: &Rc<Hub>) -> Wakeup {
    match &hub.backend {
        #[cfg(feature = "postgres")]
        Backend::Postgres(_) => crate::postgres::listen::start(hub).await,
        #[cfg(feature = "mysql")]
        Backend::Mysql(_) => Wakeup::Polled,
    }
}
