//! Checking a store for an operator.

use std::time::Duration;

use leasehold_core::{EngineUrl, Error, Finding};

use crate::engines;

/// Checks the store that a URL names, for leases with this TTL: what a careful
/// operator would look at, each with what it means for the promises of the
/// contract and what to do about it.
///
/// Works where [`connect`](crate::connect) does not: a store that cannot be
/// reached, or does not let us in, is a finding. Grants nothing and takes nothing
/// away. May be polled on any runtime and dropped at any await.
///
/// # Errors
///
/// [`Error::Invalid`] for a URL that names no store, [`Error::Unavailable`] if this
/// process lacks what it needs to look, such as room for a thread.
pub async fn diagnose(url: &str, ttl: Duration) -> Result<Vec<Finding>, Error> {
    let url = EngineUrl::parse(url)?;
    // Every engine goes by the TTL that can judge it.
    let _ = ttl;
    match url.scheme() {
        #[cfg(feature = "local")]
        "local" => {
            let options = leasehold_local::LocalOptions::from_url(url)?;
            Ok(leasehold_local::diagnose(&options))
        }
        #[cfg(feature = "memory")]
        "memory" => {
            let detail = "it is the memory of this process, and only for tests";
            Ok(vec![Finding::new(
                leasehold_core::Severity::Note,
                Finding::REACH,
                Finding::SET,
                detail,
            )])
        }
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis+unix" | "redis+sentinel" | "rediss+sentinel"
        | "redis+cluster" | "rediss+cluster" => leasehold_redis::diagnose(url, ttl).await,
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => leasehold_sql::diagnose(url, ttl).await,
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => leasehold_sql::diagnose(url, ttl).await,
        other => Err(engines::refusal(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "memory")]
    use leasehold_core::Severity;

    #[test]
    fn what_cannot_be_opened_is_told_with_what_can() {
        let ttl = Duration::from_secs(30);
        let diagnosed = pollster::block_on(diagnose("dove://user:secret@db", ttl));
        let error = diagnosed.unwrap_err().to_string();
        assert!(error.contains("no engine has this name"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }

    #[cfg(feature = "memory")]
    #[test]
    fn memory_has_little_to_say() {
        let found = pollster::block_on(diagnose("memory:", Duration::from_secs(30))).unwrap();
        assert_eq!(found[0].severity, Severity::Note);
    }
}
