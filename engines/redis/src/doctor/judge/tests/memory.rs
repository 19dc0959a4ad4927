//! Nodes that have forgotten, and what becomes of the set.

use super::*;

#[test]
fn a_node_that_has_forgotten_beside_others_that_remember() {
    let mut nodes = set_of(3);
    facts(&mut nodes, 0).record = Ok(Record::default());
    let findings = judged("", &nodes);
    is(
        &findings,
        "memory",
        "r1:6379",
        Severity::Warning,
        &["other nodes have", "next client"],
    );
    is(&findings, "quorum", "set", Severity::Ok, &["2 of 3"]);
    is(
        &findings,
        "spare",
        "set",
        Severity::Warning,
        &["0 more may fail"],
    );
    server(&mut nodes, 0).uptime = Duration::from_secs(21);
    let findings = judged("", &nodes);
    is(
        &findings,
        "memory",
        "r1:6379",
        Severity::Warning,
        &["quarantine for 40s more"],
    );
}

#[test]
fn a_flush_is_named_and_counts_from_when_it_was_noticed() {
    let mut nodes = set_of(3);
    info(
        &mut nodes,
        0,
        "redis_version:7.0.15\nrole:master\ncmdstat_flushall:calls=1,usec=3",
    );
    server(&mut nodes, 0).disturbed = true;
    facts(&mut nodes, 0).record = Ok(Record::default());
    let findings = judged("", &nodes);
    is(
        &findings,
        "memory",
        "r1:6379",
        Severity::Warning,
        &["FLUSHALL", "60s"],
    );
    facts(&mut nodes, 0).record = Ok(Record {
        noticed_run: run_id(1).parse().ok(),
        noticed_micros: Some(NOW - 50_000_000),
        ..Record::default()
    });
    is(
        &judged("", &nodes),
        "memory",
        "r1:6379",
        Severity::Warning,
        &["10s more"],
    );
}

#[test]
fn a_restart_costs_a_quarantine_unless_the_node_is_durable() {
    let mut nodes = set_of(3);
    server(&mut nodes, 0).run_id = run_id(77).parse().unwrap();
    server(&mut nodes, 0).uptime = Duration::from_secs(11);
    is(
        &judged("", &nodes),
        "memory",
        "r1:6379",
        Severity::Warning,
        &["restarted", "50s"],
    );
    let durable = judged("durable=yes", &nodes);
    is(
        &durable,
        "memory",
        "r1:6379",
        Severity::Note,
        &["durable=yes"],
    );
    is(&durable, "quorum", "set", Severity::Ok, &["3 of 3"]);
}

#[test]
fn a_quarantine_is_as_long_as_the_longest_lease_anywhere() {
    let mut nodes = set_of(3);
    facts(&mut nodes, 0).record = Ok(Record::default());
    server(&mut nodes, 0).uptime = Duration::from_secs(61);
    let longer = facts(&mut nodes, 1).record.as_mut().unwrap();
    longer.max_ttl = Some(Duration::from_secs(100));
    let findings = judged("", &nodes);
    is(&findings, "memory", "r1:6379", Severity::Warning, &["40s"]);
    is(
        &findings,
        "max_ttl",
        "r2:6379",
        Severity::Note,
        &["100s", "60s"],
    );
}

#[test]
fn a_new_set_begins_by_itself_or_waits_for_the_operator() {
    let mut nodes = set_of(3);
    for of in 0..3 {
        facts(&mut nodes, of).record = Ok(Record::default());
    }
    let findings = judged("", &nodes);
    is(
        &findings,
        "quorum",
        "set",
        Severity::Note,
        &["0 of 3", "new era"],
    );
    is(
        &findings,
        "memory",
        "r1:6379",
        Severity::Note,
        &["new, or has lost"],
    );
    is(&findings, "era", "set", Severity::Ok, &["no token"]);
    is(
        &judged("era=manual", &nodes),
        "quorum",
        "set",
        Severity::Error,
        &["--new-era"],
    );
    for of in 0..3 {
        server(&mut nodes, of).uptime = Duration::from_secs(1);
    }
    is(
        &judged("", &nodes),
        "quorum",
        "set",
        Severity::Warning,
        &["in 60s"],
    );
    let fresh = judged("fresh=yes", &nodes);
    is(&fresh, "quorum", "set", Severity::Note, &[]);
    is(
        &fresh,
        "fresh",
        "set",
        Severity::Note,
        &["even after a loss"],
    );
}

#[test]
fn fresh_is_not_believed_of_a_set_in_use() {
    let mut nodes = set_of(3);
    facts(&mut nodes, 0).record = Ok(Record::default());
    server(&mut nodes, 0).uptime = Duration::from_secs(1);
    let findings = judged("fresh=yes", &nodes);
    is(&findings, "memory", "r1:6379", Severity::Warning, &["60s"]);
    is(&findings, "fresh", "set", Severity::Note, &["not believed"]);
}

#[test]
fn too_few_to_ask_is_not_a_new_era() {
    let mut nodes = set_of(3);
    nodes[0].found = down();
    facts(&mut nodes, 1).record = Ok(Record::default());
    let findings = judged("", &nodes);
    is(
        &findings,
        "quorum",
        "set",
        Severity::Error,
        &["wait for those"],
    );
    is(&findings, "reach", "r1:6379", Severity::Error, &["timeout"]);
    nodes[2].found = down();
    is(
        &judged("", &nodes),
        "quorum",
        "set",
        Severity::Error,
        &["bring servers back"],
    );
}

#[test]
fn a_record_that_somebody_wrote_over() {
    let mut nodes = set_of(1);
    facts(&mut nodes, 0).record = Ok(Record {
        damaged: true,
        ..Record::default()
    });
    is(
        &judged("", &nodes),
        "memory",
        "r1:6379",
        Severity::Error,
        &["leasehold:node"],
    );
    facts(&mut nodes, 0).record = Err(Trouble::nonsense("WRONGTYPE"));
    is(
        &judged("", &nodes),
        "memory",
        "r1:6379",
        Severity::Error,
        &["WRONGTYPE"],
    );
}
