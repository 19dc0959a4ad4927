//! What a careful operator would check of a PostgreSQL server.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{Error, Finding, Promise, Severity};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::{Postgres, connect, fail, schema};
use crate::clock;
use crate::config::SqlOptions;
use crate::fail::Trouble;
use crate::row::{Micros, era_floor};
use Promise::{C1, C3, C6};

/// How far the server's clock may stray from ours while we look.
const STRAY: Duration = Duration::from_millis(100);
/// How long is looked for that.
const WATCHED: Duration = Duration::from_millis(300);

/// What the server said.
#[derive(Clone, Debug)]
struct Facts {
    version: String,
    standby: bool,
    fsync: bool,
    full_pages: bool,
    commit: String,
    synchronous: String,
    standbys: i64,
    autovacuum: bool,
    timeline: bool,
    table: bool,
    greatest: i64,
    /// Two looks at the clock, each with half its round trip, and ours beside.
    clocks: [(Micros, Duration); 2],
    trip: Duration,
}

/// Looks at the server; whether the table is there to be used.
pub(crate) async fn look(
    options: &Arc<SqlOptions>,
    ttl: Duration,
) -> Result<(Vec<Finding>, bool), Error> {
    let postgres = Postgres::new(options)?;
    let (client, connection) = match connect(&postgres).await {
        Ok(connected) => connected,
        Err(trouble) => return Ok((vec![unreached(options, &trouble)], false)),
    };
    tokio::spawn(async move { drop(connection.await) });
    let looking = async {
        let facts = facts(&client, options).await?;
        let usable = match facts.table && !facts.standby {
            true => schema::check(&client, options).await.map(|()| true),
            false => Ok(false),
        };
        Ok::<_, Trouble>((facts, usable))
    };
    let looked = tokio::time::timeout(options.timeout + WATCHED, looking).await;
    let (facts, usable) = match looked.unwrap_or_else(|_| Err(postgres.silent())) {
        Ok(looked) => looked,
        Err(trouble) => return Ok((vec![unreached(options, &trouble)], false)),
    };
    let mut findings = judge(options, ttl, &facts);
    let usable = usable.unwrap_or_else(|trouble| {
        findings.push(
            Finding::new(Severity::Error, "table", options.place(), trouble.detail)
                .means(&[C6], "no lock can be had")
                .remedy(trouble.remedy),
        );
        false
    });
    Ok((findings, usable))
}

fn unreached(options: &SqlOptions, trouble: &Trouble) -> Finding {
    let detail = trouble.detail.clone();
    Finding::new(Severity::Error, Finding::REACH, options.place(), detail)
        .means(&[C6], "no lock can be had")
        .remedy(trouble.remedy.clone())
}

async fn facts(client: &Client, options: &SqlOptions) -> Result<Facts, Trouble> {
    let failed = |error| fail::of_request(options, &error);
    let sql = "SELECT current_setting('server_version'), pg_is_in_recovery(), \
        current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on', \
        current_setting('synchronous_commit'), current_setting('synchronous_standby_names'), \
        (SELECT count(*) FROM pg_stat_replication), current_setting('autovacuum') = 'on', \
        to_regclass($1) IS NOT NULL";
    let row = client
        .query_typed_one(sql, &[(&options.table, Type::TEXT)])
        .await;
    let row = row.map_err(failed)?;
    let standby: bool = row.get(1);
    let table: bool = row.get(8);
    let timeline = client
        .query_typed_one("SELECT pg_walfile_name(pg_current_wal_lsn())", &[])
        .await;
    let greatest = match table {
        true => {
            let sql = format!("SELECT coalesce(max(token), 0) FROM {}", options.table);
            // A table of another kind has none, of which another check tells.
            let row = client.query_typed_one(&sql, &[]).await;
            row.and_then(|row| row.try_get(0)).unwrap_or(0)
        }
        false => 0,
    };
    let first = clock_of(client, options).await?;
    tokio::time::sleep(WATCHED).await;
    let second = clock_of(client, options).await?;
    Ok(Facts {
        version: row.get(0),
        standby,
        fsync: row.get(2),
        full_pages: row.get(3),
        commit: row.get(4),
        synchronous: row.get(5),
        standbys: row.get(6),
        autovacuum: row.get(7),
        timeline: timeline.is_ok(),
        table,
        greatest,
        clocks: [(first.0, first.1), (second.0, second.1)],
        trip: first.2.min(second.2),
    })
}

/// The server's clock, ours in the middle of the round trip, and how long that took.
async fn clock_of(
    client: &Client,
    options: &SqlOptions,
) -> Result<(Micros, Duration, Duration), Trouble> {
    let before = clock::now();
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    let row = client.query_typed_one(sql, &[]).await;
    let row = row.map_err(|error| fail::of_request(options, &error))?;
    let trip = clock::now().saturating_since(before);
    Ok((row.get(0), before.since_start() + trip / 2, trip))
}

/// What it means. Asks nobody.
fn judge(options: &SqlOptions, ttl: Duration, facts: &Facts) -> Vec<Finding> {
    let finding =
        |severity, check, detail: String| Finding::new(severity, check, options.place(), detail);
    let mut all = vec![finding(
        Severity::Ok,
        Finding::REACH,
        format!(
            "PostgreSQL {} answers within {:?}",
            facts.version, facts.trip
        ),
    )];
    if facts.standby {
        all.push(
            finding(Severity::Error, "role", "it is a standby".to_owned())
                .means(&[C6], "it takes no writes, so no lock can be had")
                .remedy("name the primary, or all hosts with commas between"),
        );
    }
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
    all.extend(keeping(facts).map(|(severity, detail, meaning, remedy)| {
        finding(severity, "durability", detail)
            .means(&[C1, C3], meaning)
            .remedy(remedy)
    }));
    all.push(replication(facts, &finding));
    all.extend(clocks(facts, &finding));
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
    if !facts.autovacuum {
        all.push(
            finding(Severity::Warning, "autovacuum", "it is off".to_owned())
                .means(
                    &[C6],
                    "every grant leaves a dead row version; the table grows and slows down",
                )
                .remedy("switch autovacuum on, at least for the table of locks"),
        );
    }
    all
}

/// Settings that may lose what was answered.
fn keeping(facts: &Facts) -> impl Iterator<Item = (Severity, String, &'static str, &'static str)> {
    let bad = [
        (
            !facts.fsync,
            Severity::Error,
            "fsync is off",
            "a crash of the machine may lose grants, and damage the database",
            "set fsync = on",
        ),
        (
            facts.fsync && !facts.full_pages,
            Severity::Warning,
            "full_page_writes is off",
            "a crash of the machine may damage rows, unless the file system writes whole pages",
            "set full_page_writes = on",
        ),
        (
            facts.commit == "off",
            Severity::Note,
            "synchronous_commit is off",
            "grants and renewals wait for the disk all the same; other transactions do not",
            "nothing, for the sake of locks",
        ),
    ];
    let sound = !bad.iter().any(|(is, ..)| *is);
    let sound = sound.then(|| {
        let detail = "commits are on disk before they are answered".to_owned();
        (Severity::Ok, detail, "", "nothing")
    });
    let bad = bad.into_iter().filter(|(is, ..)| *is);
    bad.map(|(_, severity, detail, meaning, remedy)| (severity, detail.to_owned(), meaning, remedy))
        .chain(sound)
}

fn replication(
    facts: &Facts,
    finding: &impl Fn(Severity, &'static str, String) -> Finding,
) -> Finding {
    const CHECK: &str = "replication";
    let many = facts.standbys;
    if !facts.timeline && !facts.standby {
        return finding(
            Severity::Warning,
            CHECK,
            "the server does not tell its timeline".to_owned(),
        )
        .means(&[C1], "tokens may come again if it fails over and loses commits")
        .remedy("see that pg_walfile_name and pg_current_wal_lsn may be called; or let a failover lose nothing");
    }
    let waits = !facts.synchronous.is_empty() && !matches!(&*facts.commit, "off" | "local");
    match (many, waits) {
        (0, _) => finding(Severity::Ok, CHECK, "no standby is connected".to_owned()),
        (_, true) => finding(
            Severity::Ok,
            CHECK,
            format!("{many} standbys; commits wait for {}", facts.synchronous),
        ),
        (_, false) => finding(
            Severity::Warning,
            CHECK,
            format!("{many} standbys, which no commit waits for"),
        )
        .means(
            &[C3],
            "a standby that is promoted may lack the last grants: their tokens do not come again, but for a TTL a second holder may believe in its lease",
        )
        .remedy("name standbys in synchronous_standby_names and leave synchronous_commit on; or check tokens where they matter"),
    }
}

fn clocks(
    facts: &Facts,
    finding: &impl Fn(Severity, &'static str, String) -> Finding,
) -> Vec<Finding> {
    const CHECK: &str = "clock";
    let [(first, ours), (second, ours_later)] = facts.clocks;
    let theirs = u64::try_from(second.saturating_sub(first)).unwrap_or(0);
    let (theirs, ours) = (
        Duration::from_micros(theirs),
        ours_later.saturating_sub(ours),
    );
    let mut all = Vec::new();
    if theirs.abs_diff(ours) > STRAY + facts.trip {
        all.push(
            finding(
                Severity::Warning,
                CHECK,
                format!("the server's clock moved by {theirs:?} while ours moved by {ours:?}"),
            )
            .means(&[C3], "a clock that jumps forward ends leases that their holders believe in")
            .remedy("let the server's clock be slewed, not stepped (chrony: makestep only at the start)"),
        );
    }
    let greatest = u64::try_from(facts.greatest).unwrap_or(0);
    all.push(match greatest <= era_floor(second + 1_000_000).get() {
        true => finding(
            Severity::Ok,
            CHECK,
            "it keeps pace with ours and is ahead of all tokens".to_owned(),
        ),
        false => finding(
            Severity::Warning,
            CHECK,
            format!("token {greatest} is ahead of the server's clock, which was set back"),
        )
        .means(&[C1], "tokens would come again if rows were lost now; nothing happens as long as they are there")
        .remedy("correct the server's clock, and keep the table"),
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_core::EngineUrl;

    fn sound() -> Facts {
        Facts {
            version: "15.8".to_owned(),
            standby: false,
            fsync: true,
            full_pages: true,
            commit: "on".to_owned(),
            synchronous: String::new(),
            standbys: 0,
            autovacuum: true,
            timeline: true,
            table: true,
            greatest: 7,
            clocks: [
                (1_763_000_000_000_000, Duration::from_secs(10)),
                (1_763_000_000_300_000, Duration::from_millis(10_300)),
            ],
            trip: Duration::from_millis(1),
        }
    }

    #[track_caller]
    fn expect(facts: &Facts, check: &str, severity: Severity) {
        let url = EngineUrl::parse("postgres://db/app").unwrap();
        let options = SqlOptions::from_url(url).unwrap();
        let all = judge(&options, Duration::from_secs(30), facts);
        let worst = all
            .iter()
            .filter(|finding| finding.check == check)
            .map(|finding| finding.severity)
            .max();
        assert_eq!(worst, Some(severity), "{check}: {all:#?}");
    }

    #[test]
    fn a_sound_server() {
        for check in ["reach", "durability", "replication", "clock"] {
            expect(&sound(), check, Severity::Ok);
        }
    }

    #[test]
    fn settings_that_lose_grants() {
        let mut facts = sound();
        facts.full_pages = false;
        expect(&facts, "durability", Severity::Warning);
        facts.fsync = false;
        expect(&facts, "durability", Severity::Error);
        let mut facts = sound();
        facts.commit = "off".to_owned();
        expect(&facts, "durability", Severity::Note);
    }

    #[test]
    fn standbys_that_no_commit_waits_for() {
        let mut facts = sound();
        facts.standbys = 2;
        expect(&facts, "replication", Severity::Warning);
        facts.synchronous = "ANY 1 (a, b)".to_owned();
        expect(&facts, "replication", Severity::Ok);
        facts.commit = "local".to_owned();
        expect(&facts, "replication", Severity::Warning);
        facts.timeline = false;
        expect(&facts, "replication", Severity::Warning);
        facts.standby = true;
        expect(&facts, "role", Severity::Error);
    }

    #[test]
    fn clocks_that_jump_or_were_set_back() {
        let mut facts = sound();
        facts.clocks[1].0 += 5_000_000;
        expect(&facts, "clock", Severity::Warning);
        let mut facts = sound();
        facts.greatest = i64::try_from(era_floor(facts.clocks[1].0 + 9_000_000).get()).unwrap();
        expect(&facts, "clock", Severity::Warning);
    }

    #[test]
    fn a_server_far_away_for_so_short_a_ttl() {
        let mut facts = sound();
        facts.trip = Duration::from_secs(4);
        expect(&facts, "round-trip", Severity::Warning);
    }
}
