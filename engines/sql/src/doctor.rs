//! What a careful operator would check of a server.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{Engine, EngineUrl, Error, Finding, Promise, Severity, Wakeup};
use tokio::sync::oneshot;

#[cfg(not(all(feature = "postgres", feature = "mysql")))]
use crate::backend::Backend;
use crate::config::Host;
use crate::fence::Dialect;
use crate::{SqlEngine, SqlOptions};
use Promise::{C3, C6};

/// Looks at the server that a URL names, for clients whose leases have this TTL.
///
/// Works where the engine cannot be opened; a server that cannot be asked is a
/// finding. Changes nothing, and makes no table. May be polled on any runtime and
/// dropped at any await.
///
/// # Errors
///
/// [`Error::Invalid`] for a URL that names no server or certificates that cannot be
/// read; [`Error::Unavailable`] if this process can start no thread.
pub async fn diagnose(url: EngineUrl, ttl: Duration) -> Result<Vec<Finding>, Error> {
    let options = SqlOptions::from_url(url)?;
    let asked = Arc::new(options.clone());
    let looked = on_a_thread(
        options.kind(),
        move || async move { look(&asked, ttl).await },
    );
    let (mut findings, has_table) = looked.await??;
    findings.extend(in_the_clear(&options));
    if has_table && options.listen && options.dialect == Dialect::Postgres {
        findings.push(wakeups(options).await);
    }
    Ok(findings)
}

/// What was found, and whether the table is there to be used.
async fn look(options: &Arc<SqlOptions>, ttl: Duration) -> Result<(Vec<Finding>, bool), Error> {
    match options.dialect {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => crate::postgres::doctor::look(options, ttl).await,
        #[cfg(feature = "mysql")]
        Dialect::Mysql => crate::mysql::doctor::look(options, ttl).await,
        #[cfg(not(all(feature = "postgres", feature = "mysql")))]
        _ => Backend::new(options).map(|_| (Vec::new(), false)),
    }
}

/// Runs a future on a thread with a runtime of its own.
async fn on_a_thread<F: Future<Output: Send + 'static>>(
    kind: &'static str,
    start: impl FnOnce() -> F + Send + 'static,
) -> Result<F::Output, Error> {
    let failed = |what: String| {
        Error::unavailable(
            kind,
            format!("its thread cannot be started: {what}"),
            "see how many threads and open files this process may have",
        )
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new()
        .name("leasehold-doctor".to_owned())
        .spawn(move || drop(tell.send(runtime.block_on(start()))))
        .map_err(|error| failed(error.to_string()))?;
    told.await.map_err(|_| failed("it ended early".to_owned()))
}

/// Whether waiters are woken.
async fn wakeups(options: SqlOptions) -> Finding {
    let (place, poll) = (options.place(), options.poll);
    let finding = |severity, detail: String| Finding::new(severity, "wake-ups", place, detail);
    match SqlEngine::connect(options).await.map(|engine| engine.capabilities().wakeup) {
        Ok(Wakeup::Pushed) => finding(Severity::Ok, "they come through".to_owned()),
        Ok(_) => finding(
            Severity::Warning,
            "they do not come through: a pooler that lends sessions by the transaction is suspected".to_owned(),
        )
        .means(&[C6], format!("a waiter learns within {poll:?} that it has its turn, by asking that often"))
        .remedy("name the server itself, or a pooler's port in session mode; wake=poll in the URL accepts it and saves the attempt"),
        Err(error) => finding(Severity::Error, error.to_string()).means(&[C6], "no lock can be had"),
    }
}

/// Whether passwords and records can be read on their way.
fn in_the_clear(options: &SqlOptions) -> Option<Finding> {
    let far = options.hosts.iter().find(|(host, _)| match host {
        Host::Tcp(host) => !(host == "localhost" || host == "::1" || host.starts_with("127.")),
        Host::Unix(_) => false,
    });
    let (Host::Tcp(host), _) = far.filter(|_| options.tls.is_none())? else {
        return None;
    };
    Some(
        Finding::new(
            Severity::Warning,
            "tls",
            host.clone(),
            "the connection is in the clear",
        )
        .means(
            &[C3],
            "whoever can read it has the nonces, with which leases can be released",
        )
        .remedy("add sslmode=verify-full to the URL, and ca= if the authority is your own"),
    )
}
