//! How the set and its servers are made, and their clocks.

use super::*;

#[test]
fn there_is_nothing_to_say_of_a_good_set() {
    let findings = judged("durable=yes", &set_of(3));
    assert_eq!(worst(&findings), Severity::Ok, "{findings:#?}");
}

#[test]
fn whatever_is_not_as_it_should_be_has_a_meaning_or_a_remedy() {
    let mut nodes = set_of(4);
    nodes[0].found = down();
    info(&mut nodes, 1, "role:slave");
    facts(&mut nodes, 2).record = Ok(Record::default());
    for finding in judged("durable=yes", &nodes) {
        let explained = finding.remedy.is_some() && !finding.meaning.is_empty();
        assert!(
            finding.severity == Severity::Ok || explained,
            "{finding:#?}"
        );
    }
}

#[test]
fn the_number_of_servers() {
    is(
        &judged("", &set_of(3)),
        "servers",
        "set",
        Severity::Ok,
        &["1 may fail"],
    );
    let four = judged("", &set_of(4));
    is(
        &four,
        "servers",
        "set",
        Severity::Warning,
        &["3 decide", "as many as of 3", "odd"],
    );
    is(
        &judged("", &set_of(1)),
        "servers",
        "set",
        Severity::Note,
        &["three or five"],
    );
}

#[test]
fn one_server_under_two_names() {
    let mut nodes = set_of(3);
    nodes[2].found = Ok(healthy(1));
    let findings = judged("", &nodes);
    is(
        &findings,
        "duplicate",
        "set",
        Severity::Error,
        &["r1:6379 and r3:6379", &run_id(1)],
    );
}

#[test]
fn roles_and_versions() {
    let mut nodes = set_of(5);
    info(
        &mut nodes,
        0,
        "redis_version:7.2.0\nrole:slave\nmaster_host:r9\nmaster_port:6380",
    );
    info(
        &mut nodes,
        1,
        "redis_version:6.0.16\nrole:master\ncluster_enabled:1",
    );
    info(&mut nodes, 2, "redis_version:7.0.0\nrole:master\nloading:1");
    facts(&mut nodes, 3).info = Some(Info::read("hello:there", None));
    facts(&mut nodes, 4).info = None;
    let findings = judged("", &nodes);
    is(
        &findings,
        "role",
        "r1:6379",
        Severity::Error,
        &["replica of r9:6380", "name the master"],
    );
    is(&findings, "role", "r2:6379", Severity::Error, &["Cluster"]);
    is(
        &findings,
        "server",
        "r2:6379",
        Severity::Error,
        &["6.0.16", "6.2"],
    );
    is(&findings, "role", "r3:6379", Severity::Error, &["loading"]);
    is(&findings, "server", "r4:6379", Severity::Error, &["run id"]);
    is(&findings, "server", "r5:6379", Severity::Error, &["+info"]);
    is(&findings, "quorum", "set", Severity::Ok, &["3 of 5"]);
}

#[test]
fn keys_that_may_be_evicted() {
    for (text, severity) in [
        (
            "maxmemory_policy:allkeys-lru\nmaxmemory:1000",
            Severity::Error,
        ),
        (
            "maxmemory_policy:volatile-ttl\nmaxmemory:1000",
            Severity::Error,
        ),
        (
            "maxmemory_policy:volatile-ttl\nmaxmemory:0",
            Severity::Warning,
        ),
        (
            "maxmemory_policy:noeviction\nevicted_keys:3",
            Severity::Error,
        ),
        ("maxmemory_policy:noeviction\nmaxmemory:1000", Severity::Ok),
    ] {
        let mut nodes = set_of(1);
        info(&mut nodes, 0, text);
        is(&judged("", &nodes), "eviction", "r1:6379", severity, &[]);
    }
}

#[test]
fn what_is_kept_over_a_restart() {
    let off = Keeping {
        log: Some(false),
        fsync: Some("everysec".to_owned()),
        save: Some(String::new()),
    };
    let lazy = Keeping {
        log: Some(true),
        ..off.clone()
    };
    let always = healthy(1).keeping;
    let untold = Keeping {
        fsync: None,
        ..always.clone()
    };
    for (keys, keeping, severity, words) in [
        (
            "durable=yes",
            &always,
            Severity::Ok,
            &["appendfsync always"][..],
        ),
        (
            "durable=yes",
            &lazy,
            Severity::Error,
            &["everysec", "durable=yes"],
        ),
        ("durable=yes", &off, Severity::Error, &["keeps nothing"]),
        ("durable=yes", &untold, Severity::Warning, &["not told"]),
        ("", &always, Severity::Note, &["say durable=yes"]),
        ("", &lazy, Severity::Note, &["60s", "new era"]),
        ("", &off, Severity::Note, &["keeps nothing", "60s"]),
    ] {
        let mut nodes = set_of(3);
        facts(&mut nodes, 1).keeping = keeping.clone();
        is(
            &judged(keys, &nodes),
            "persistence",
            "r2:6379",
            severity,
            words,
        );
    }
    let mut nodes = set_of(1);
    info(&mut nodes, 0, "aof_last_write_status:err");
    is(
        &judged("durable=yes", &nodes),
        "disk",
        "r1:6379",
        Severity::Error,
        &["append-only"],
    );
    is(
        &judged("", &nodes),
        "disk",
        "r1:6379",
        Severity::Warning,
        &[],
    );
}

#[test]
fn rights() {
    let refusal = |command, spare| Refusal {
        command,
        said: "NOPERM".to_owned(),
        spare,
    };
    let mut nodes = set_of(1);
    facts(&mut nodes, 0).rights = Rights {
        refused: vec![refusal("EVALSHA", false), refusal("SCRIPT LOAD", false)],
        ..Rights::default()
    };
    is(
        &judged("", &nodes),
        "rights",
        "r1:6379",
        Severity::Error,
        &["+evalsha +script|load"],
    );
    facts(&mut nodes, 0).rights = Rights {
        refused: vec![refusal("SUBSCRIBE", true)],
        read_only: Some(Trouble::new(crate::fail::Kind::Other, "OOM", "more memory")),
        ..Rights::default()
    };
    let findings = judged("", &nodes);
    is(
        &findings,
        "rights",
        "r1:6379",
        Severity::Warning,
        &["SUBSCRIBE", "+subscribe"],
    );
    is(
        &findings,
        "writes",
        "r1:6379",
        Severity::Error,
        &["OOM", "more memory"],
    );
    facts(&mut nodes, 0).rights = Rights {
        closed_key: Some("app".to_owned()),
        ..Rights::default()
    };
    is(
        &judged("", &nodes),
        "rights",
        "r1:6379",
        Severity::Note,
        &["\"app\"", "prefix="],
    );
}

#[test]
fn counters_that_outrun_the_clock() {
    let mut nodes = set_of(3);
    let ahead = Token::era(1_795_000_600);
    facts(&mut nodes, 1).record.as_mut().unwrap().mark = ahead;
    let findings = judged("", &nodes);
    is(
        &findings,
        "era",
        "set",
        Severity::Warning,
        &["10m ahead", &ahead.to_string()],
    );
    is(
        &judged("", &set_of(3)),
        "era",
        "set",
        Severity::Ok,
        &["16m behind"],
    );
}

#[test]
fn clocks_apart() {
    let mut nodes = set_of(3);
    facts(&mut nodes, 1).clock.ahead_micros = -5_000_000;
    let findings = judged("", &nodes);
    is(&findings, "clocks", "set", Severity::Note, &["5s apart"]);
    is(
        &findings,
        "clock",
        "r2:6379",
        Severity::Note,
        &["5s behind", "no promise"],
    );
    is(&findings, "clock", "r1:6379", Severity::Ok, &[]);
    facts(&mut nodes, 1).clock.ahead_micros = 70_000_000;
    is(
        &judged("", &nodes),
        "clocks",
        "set",
        Severity::Warning,
        &["70s apart", "60s"],
    );
    facts(&mut nodes, 1).clock.unsure_micros = 70_000_000;
    is(&judged("", &nodes), "clocks", "set", Severity::Ok, &[]);
}

#[test]
fn clocks_that_were_set() {
    let mut nodes = set_of(2);
    facts(&mut nodes, 0).clock.step_micros = 3_000_000;
    facts(&mut nodes, 1).record.as_mut().unwrap().since_micros = Some(NOW + 90_000_000);
    let findings = judged("", &nodes);
    is(
        &findings,
        "clock-steps",
        "r1:6379",
        Severity::Warning,
        &["3s forward"],
    );
    is(
        &findings,
        "clock-steps",
        "r2:6379",
        Severity::Warning,
        &["set back by 90s"],
    );
    info(&mut nodes, 0, "rdb_last_save_time:1795000020");
    facts(&mut nodes, 0).clock.step_micros = 0;
    is(
        &judged("", &nodes),
        "clock-steps",
        "r1:6379",
        Severity::Warning,
        &["20s"],
    );
}

#[test]
fn distance_against_ttl_and_timeout() {
    let mut nodes = set_of(1);
    facts(&mut nodes, 0).round_trip = Duration::from_millis(600);
    let findings = judged("", &nodes);
    is(
        &findings,
        "reach",
        "r1:6379",
        Severity::Warning,
        &["600ms", "timeout="],
    );
    let findings = judge(&options(1, "timeout=5s"), Duration::from_secs(3), &nodes);
    is(
        &findings,
        "reach",
        "r1:6379",
        Severity::Warning,
        &["longer TTL"],
    );
    is(&findings, "ttl", "set", Severity::Warning, &["1s or less"]);
    let findings = judge(&options(1, ""), Duration::from_secs(90), &nodes);
    is(
        &findings,
        "ttl",
        "set",
        Severity::Error,
        &["90s", "60s", "raise max_ttl"],
    );
}
