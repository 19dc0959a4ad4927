//! What a careful operator would check of a MySQL or MariaDB server.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{Error, Finding, Promise, Severity};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::{connect, fail, schema};
use crate::clock;
use crate::config::SqlOptions;
use crate::fail::Trouble;
use crate::row::era_floor;
use Promise::{C1, C3, C6};

/// What the server said.
#[derive(Clone, Debug, Default)]
struct Facts {
    /// Settings by name, and a few counters of its status.
    said: HashMap<String, String>,
    table: bool,
    greatest: u64,
    /// Microseconds since 1970, by the server's clock.
    now: i64,
    trip: Duration,
}

/// Looks at the server; whether the table is there to be used.
pub(crate) async fn look(
    options: &Arc<SqlOptions>,
    ttl: Duration,
) -> Result<(Vec<Finding>, bool), Error> {
    let mut conn = match connect::connect(options).await {
        Ok(conn) => conn,
        Err(trouble) => return Ok((vec![unreached(options, &trouble)], false)),
    };
    let looked = tokio::time::timeout(options.timeout, facts(&mut conn, options)).await;
    let facts = match looked {
        Ok(Ok(facts)) => facts,
        Ok(Err(trouble)) => return Ok((vec![unreached(options, &trouble)], false)),
        Err(_) => {
            let silent = super::Mysql::new(options).silent();
            return Ok((vec![unreached(options, &silent)], false));
        }
    };
    let mut findings = judge(options, ttl, &facts);
    let usable = match facts.table {
        true => schema::check(&mut conn, options).await,
        false => return Ok((findings, false)),
    };
    if let Err(trouble) = &usable {
        findings.push(
            Finding::new(
                Severity::Error,
                "table",
                options.place(),
                trouble.detail.clone(),
            )
            .means(&[C6], "no lock can be had")
            .remedy(trouble.remedy.clone()),
        );
    }
    Ok((findings, usable.is_ok()))
}

fn unreached(options: &SqlOptions, trouble: &Trouble) -> Finding {
    let detail = trouble.detail.clone();
    Finding::new(Severity::Error, Finding::REACH, options.place(), detail)
        .means(&[C6], "no lock can be had")
        .remedy(trouble.remedy.clone())
}

async fn facts(conn: &mut Conn, options: &SqlOptions) -> Result<Facts, Trouble> {
    let failed = |error| fail::of_request(options, &error);
    let settings = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'version_comment', \
        'innodb_flush_log_at_trx_commit', 'sync_binlog', 'log_bin', 'innodb_doublewrite', 'wsrep_on', \
        'wsrep_sync_wait', 'rpl_semi_sync_master_enabled', 'rpl_semi_sync_source_enabled')";
    let status = "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_cluster_size', 'Slaves_connected', \
        'Rpl_semi_sync_master_clients')";
    let mut said = HashMap::new();
    for sql in [settings, status] {
        let rows: Vec<(String, String)> = conn.query(sql).await.map_err(failed)?;
        said.extend(
            rows.into_iter()
                .map(|(name, value)| (name.to_lowercase(), value)),
        );
    }
    let before = clock::now();
    let sql = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))";
    let now: Option<i64> = conn.query_first(sql).await.map_err(failed)?;
    let trip = clock::now().saturating_since(before);
    let sql = format!("SELECT COALESCE(MAX(token), 0) FROM {}", options.table);
    let greatest = conn.query_first::<u64, _>(sql).await;
    Ok(Facts {
        said,
        table: !matches!(&greatest, Err(mysql_async::Error::Server(why)) if why.code == 1146),
        greatest: greatest.ok().flatten().unwrap_or(0),
        now: now.unwrap_or(0),
        trip,
    })
}

impl Facts {
    fn get(&self, name: &str) -> &str {
        self.said.get(name).map_or("", String::as_str)
    }

    fn is_on(&self, name: &str) -> bool {
        matches!(self.get(name), "ON" | "1")
    }

    fn number(&self, name: &str) -> i64 {
        self.get(name).parse().unwrap_or(0)
    }
}

/// What it means. Asks nobody.
fn judge(options: &SqlOptions, ttl: Duration, facts: &Facts) -> Vec<Finding> {
    let finding =
        |severity, check, detail: String| Finding::new(severity, check, options.place(), detail);
    let mut all = vec![finding(
        Severity::Ok,
        Finding::REACH,
        format!(
            "{} {} answers within {:?}",
            facts.get("version_comment"),
            facts.get("version"),
            facts.trip
        ),
    )];
    if !facts.table {
        all.push(finding(
            Severity::Note,
            "table",
            format!(
                "there is no table {} yet; the first client makes it",
                options.table
            ),
        ));
    }
    all.extend(durability(facts, &finding));
    all.push(replication(facts, &finding));
    if facts.trip > ttl / 10 {
        all.push(
            finding(
                Severity::Warning,
                "round-trip",
                format!("{:?}, for a TTL of {ttl:?}", facts.trip),
            )
            .means(&[C6], "little of the lease is left when its answer comes")
            .remedy("choose a longer TTL, or come closer to the server"),
        );
    }
    all.push(match facts.greatest <= era_floor(facts.now + 1_000_000).get() {
        true => finding(Severity::Ok, "clock", "it is ahead of all tokens".to_owned()),
        false => finding(
            Severity::Warning,
            "clock",
            format!("token {} is ahead of the server's clock, which was set back", facts.greatest),
        )
        .means(&[C1], "tokens would come again if rows were lost now; nothing happens as long as they are there")
        .remedy("correct the server's clock, and keep the table"),
    });
    all
}

fn durability(
    facts: &Facts,
    finding: &impl Fn(Severity, &'static str, String) -> Finding,
) -> Vec<Finding> {
    const CHECK: &str = "durability";
    let mut all = Vec::new();
    let flush = facts.get("innodb_flush_log_at_trx_commit");
    if !matches!(flush, "1" | "3" | "") {
        all.push(
            finding(
                Severity::Error,
                CHECK,
                format!("innodb_flush_log_at_trx_commit is {flush}"),
            )
            .means(&[C3], "a crash loses the grants and renewals of the last second, whose holders believe in them; tokens may come again")
            .remedy("set innodb_flush_log_at_trx_commit = 1"),
        );
    }
    if facts.is_on("log_bin") && facts.number("sync_binlog") != 1 {
        all.push(
            finding(
                Severity::Warning,
                CHECK,
                format!("sync_binlog is {}", facts.get("sync_binlog")),
            )
            .means(&[C3], "a crash may leave replicas without the last grants")
            .remedy("set sync_binlog = 1"),
        );
    }
    if facts.get("innodb_doublewrite") == "OFF" {
        all.push(
            finding(
                Severity::Warning,
                CHECK,
                "innodb_doublewrite is off".to_owned(),
            )
            .means(
                &[C1, C3],
                "a crash of the machine may damage rows, unless the file system writes whole pages",
            )
            .remedy("set innodb_doublewrite = ON"),
        );
    }
    if all.is_empty() {
        let detail = "commits are on disk before they are answered".to_owned();
        all.push(finding(Severity::Ok, CHECK, detail));
    }
    all
}

fn replication(
    facts: &Facts,
    finding: &impl Fn(Severity, &'static str, String) -> Finding,
) -> Finding {
    const CHECK: &str = "replication";
    if facts.is_on("wsrep_on") {
        return finding(
            Severity::Warning,
            CHECK,
            format!("a Galera cluster of {} nodes", facts.get("wsrep_cluster_size")),
        )
        .means(&[C3, C6], "a node may show a row that another has changed already; a write that goes by it fails its certification and is tried again, so exclusion holds, but locks wanted on several nodes at once go back and forth")
        .remedy("let all clients of a lock use one node, and set wsrep_sync_wait = 1 for their user");
    }
    let replicas = facts.number("slaves_connected");
    let semi =
        facts.is_on("rpl_semi_sync_master_enabled") || facts.is_on("rpl_semi_sync_source_enabled");
    match (replicas, semi) {
        (0, _) => finding(Severity::Ok, CHECK, "no replica is connected".to_owned()),
        (_, true) => finding(
            Severity::Note,
            CHECK,
            format!("{replicas} replicas, semi-synchronous as long as they answer in time"),
        ),
        (_, false) => finding(
            Severity::Warning,
            CHECK,
            format!("{replicas} replicas, which no commit waits for"),
        )
        .means(&[C3], "a replica that is promoted may lack the last grants: their tokens do not come again, but for a TTL a second holder may believe in its lease")
        .remedy("replicate semi-synchronously; or check tokens where they matter"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_core::EngineUrl;

    fn worst(said: &[(&str, &str)], check: &str) -> Option<Severity> {
        let url = EngineUrl::parse("mysql://db/app").unwrap();
        let options = SqlOptions::from_url(url).unwrap();
        let said = said.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let facts = Facts {
            said: said.collect(),
            table: true,
            now: 1_763_000_000_000_000,
            ..Facts::default()
        };
        let all = judge(&options, Duration::from_secs(30), &facts);
        let found = all.iter().filter(|finding| finding.check == check);
        found.map(|finding| finding.severity).max()
    }

    #[test]
    fn settings_that_lose_grants() {
        let flush = "innodb_flush_log_at_trx_commit";
        assert_eq!(worst(&[(flush, "1")], "durability"), Some(Severity::Ok));
        assert_eq!(worst(&[(flush, "2")], "durability"), Some(Severity::Error));
        let binlog = [(flush, "1"), ("log_bin", "ON"), ("sync_binlog", "0")];
        assert_eq!(worst(&binlog, "durability"), Some(Severity::Warning));
    }

    #[test]
    fn replicas_and_clusters() {
        assert_eq!(worst(&[], "replication"), Some(Severity::Ok));
        let replicas = ("slaves_connected", "2");
        assert_eq!(worst(&[replicas], "replication"), Some(Severity::Warning));
        let semi = [replicas, ("rpl_semi_sync_master_enabled", "ON")];
        assert_eq!(worst(&semi, "replication"), Some(Severity::Note));
        assert_eq!(
            worst(&[("wsrep_on", "ON")], "replication"),
            Some(Severity::Warning)
        );
    }
}
