//! Values that are not acceptable: each is refused by name, with what to give
//! instead, and nothing is lost.

use crate::support::{Taken, acquire, say, status};

/// Refused with 2, naming all of these; and what was held is still held.
#[track_caller]
fn refused(held: &Taken, args: &[&str], parts: &[&str]) {
    say(args).with_code(2).explains(parts);
    let json = status(&held.name);
    assert_eq!(
        json["holders"][0]["nonce"],
        held.nonce.as_str(),
        "after {args:?}"
    );
    let locks = say(&["ls", "--json"]).with_code(0).json();
    assert_eq!(
        locks.as_array().map(Vec::len),
        Some(1),
        "after {args:?}: {locks}"
    );
}

#[test]
fn names_are_1_to_512_bytes_without_control_characters() {
    let held = acquire(&["held", "--ttl", "10m"]);
    let long = "x".repeat(513);
    for (name, remedy) in [
        ("", "1 to 512 bytes"),
        (&*long, "513 bytes"),
        ("a\nb", "control character \\u{a} at byte 1"),
        ("tab\there", "control character"),
        ("\u{7f}", "control character"),
        ("c1\u{85}", "control character"),
    ] {
        for args in [
            &["run", name, "--", "true"][..],
            &["acquire", name],
            &["status", name],
            &["break", name, "--reason", "r"],
            &["renew", name, "--nonce", &held.nonce],
            &["release", name, "--nonce", &held.nonce],
        ] {
            refused(&held, args, &["lock name", remedy]);
        }
    }
    let longest = "x".repeat(512);
    acquire(&[&longest]).release().with_code(0);
}

#[test]
fn a_ttl_needs_a_unit_and_bounds() {
    let held = acquire(&["held", "--ttl", "10m"]);
    for (ttl, remedy) in [
        ("0", "20ms to 30d"),
        ("0s", "20ms to 30d"),
        ("1ms", "20ms to 30d"),
        ("100 years", "20ms to 30d"),
        ("10", "give it a unit: 10ms, 10s"),
        ("soon", "30s"),
        ("", "30s"),
    ] {
        for args in [
            &["run", "x", "--ttl", ttl, "--", "true"][..],
            &["acquire", "x", "--ttl", ttl],
            &["renew", "held", "--nonce", &held.nonce, "--ttl", ttl],
        ] {
            refused(&held, args, &["ttl", remedy]);
        }
    }
}

#[test]
fn the_other_durations_are_named_too() {
    let held = acquire(&["held", "--ttl", "10m"]);
    for (flag, name) in [
        ("--wait", "wait"),
        ("--grace", "grace"),
        ("--max-hold", "max-hold"),
    ] {
        refused(
            &held,
            &["run", "x", flag, "10", "--", "true"],
            &[name, "give it a unit"],
        );
    }
    refused(
        &held,
        &["run", "x", "--max-hold", "0s", "--", "true"],
        &["max-hold", "above zero"],
    );
}

#[test]
fn a_url_of_an_unknown_kind_or_with_an_unknown_key_lists_the_known() {
    let held = acquire(&["held", "--ttl", "10m"]);
    let check = |url: &str, parts: &[&str]| refused(&held, &["ls", "--url", url], parts);
    check("locl:/tmp/x.db", &["--url", "locl", "local"]);
    check("/tmp/x.db", &["--url", "/tmp/x.db", "local:"]);
    check("", &["--url", "local:"]);
    check(
        "local:?colect_after=1h",
        &["--url", "colect_after", "collect_after"],
    );
    check(
        "local:?collect_after=10",
        &["--url", "collect_after", "unit"],
    );
    check("memory:?x=1", &["--url", "x", "memory"]);
}

#[test]
fn engines_that_this_build_lacks_say_so() {
    let held = acquire(&["held", "--ttl", "10m"]);
    for url in [
        "consul://c1",
        "zookeeper://z1/x",
        "etcd://e1",
        "s3://bucket",
    ] {
        refused(&held, &["ls", "--url", url], &["--url", "local"]);
    }
}

#[test]
fn wrong_usage_names_the_argument_and_how_to_use_the_command() {
    for (args, part) in [
        (&["run", "x"][..], "<CMD>"),
        (&["run"], "<NAME>"),
        (
            &["run", "x", "--wait", "1s", "--no-wait", "--", "true"],
            "--no-wait",
        ),
        (
            &["run", "x", "--shared", "--permits", "2", "--", "true"],
            "--permits",
        ),
        (&["run", "x", "--permits", "0", "--", "true"], "--permits"),
        (
            &["run", "x", "--busy-code", "256", "--", "true"],
            "--busy-code",
        ),
        (&["run", "x", "--on-lost", "panic", "--", "true"], "term"),
        (&["frobnicate"], "frobnicate"),
        (&["ls", "--bogus"], "--bogus"),
    ] {
        let said = say(args).with_code(2);
        assert!(said.err.starts_with("leasehold: "), "{said:?}");
        assert!(said.err.contains(part), "no {part:?} in {said:?}");
        assert!(said.err.contains("--help"), "{said:?}");
    }
}
