//! `torture`: clients in several processes on the local engine, the file that their
//! history is drawn in, and what is refused.

use std::fs;

use crate::support::{Scene, say};

#[test]
fn a_store_that_keeps_its_promises_is_found_to() {
    let scene = Scene::new();
    let (report, history) = (scene.name("report.html"), scene.name("history.jsonl"));
    let url = format!("local:{}", scene.name("locks.db"));
    let said = say(&[
        "torture",
        "--url",
        &url,
        "--duration",
        "1s",
        "--ttl",
        "200ms",
        "--names",
        "2",
        "--pauses",
        "20%",
        "--seed",
        "11",
        "--json",
        "--report",
        &report,
        "--history",
        &history,
    ])
    .with_code(0);
    let verdict = said.json();
    assert_eq!(verdict["run"]["seed"], 11);
    let totals = &verdict["totals"];
    assert!(totals["grants"].as_u64() > Some(10), "{totals}");
    assert!(totals["writes"].as_u64() > Some(10), "{totals}");
    for promise in [
        "token_violations",
        "overlaps",
        "wrongly_accepted",
        "stuck_waiters",
    ] {
        assert_eq!(totals[promise], 0, "{promise} in {totals}");
    }
    let page = fs::read_to_string(&report).expect("the report is written");
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    assert!(page.contains("Every promise was kept") && page.contains("<svg"));
    for link in ["src=", "href=", "@import", "url("] {
        assert!(!page.contains(link), "the page needs another file: {link}");
    }
    let lines = fs::read_to_string(&history).expect("the history is written");
    assert!(lines.starts_with("{\"record\":\"run\"") && lines.contains("\"granted\""));
    let again = say(&["torture", "--check", &history, "--json"]).with_code(0);
    assert_eq!(again.json(), verdict);
}

#[test]
fn a_history_with_a_token_given_twice_is_a_broken_promise() {
    let scene = Scene::new();
    let hello = r#"{"hello":"x","version":"1","tokens":true}"#;
    let mut lines = format!(
        r#"{{"record":"run","at_us":0,"worker":{hello},"url":"x:","seed":1,"clients":2,"processes":1,"names":1,"ttl_ms":1000,"mode":"exclusive"}}"#
    );
    for (id, sent) in [(1, 10), (2, 5_000_000)] {
        let got = sent + 100;
        lines += &format!(
            "\n{{\"record\":\"call\",\"id\":{id},\"client\":0,\"process\":0,\"ask\":{{\"do\":\"acquire\",\"name\":\"a\",\"ttl_ms\":1000,\"wait_ms\":0}},\
             \"asked_us\":{sent},\"ended_us\":{got},\"answer\":{{\"id\":{id},\"ok\":\"granted\",\"token\":7,\"sent_us\":{sent},\"got_us\":{got}}}}}"
        );
    }
    let history = scene.write("history.jsonl", &lines);
    let said = say(&["torture", "--check", &history]).with_code(1);
    assert!(said.out.contains("token 7 was granted twice"), "{said:?}");
    let said = say(&["torture", "--check", &scene.write("other", "{}")]).with_code(2);
    assert!(said.err.contains("--history"), "{said:?}");
}

#[test]
fn what_will_not_do_is_refused_before_anything_starts() {
    for (args, code, part) in [
        (&["--url", "memory:"][..], 2, "local:/tmp/locks.db"),
        (&["--ttl", "5"], 2, "5s"),
        (&["--pauses", "many"], 2, "5%"),
        (&["--mode", "permits:0"], 2, "permits:3"),
        (&["--clients", "0"], 2, "--clients"),
        (
            &["--report", "/no/such/folder/x.html"],
            74,
            "/no/such/folder",
        ),
        (&["--worker", "/no/such/program"], 69, "/no/such/program"),
        (&["--worker", "true"], 69, "without a hello"),
        (&["--url", "redis://127.0.0.1:1"], 69, "127.0.0.1:1"),
    ] {
        let said = say(&[&["torture"], args].concat()).with_code(code);
        assert!(said.err.contains(part), "{args:?}: {said:?}");
    }
}
