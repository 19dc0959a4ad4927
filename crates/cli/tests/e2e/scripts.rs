//! `acquire`, `renew`, `release`: one lease across the processes of a script.

use std::process::Command;

use crate::support::{acquire, executable, fresh, leasehold, said, say, status};
use crate::watch::Watching;

/// Runs a script of sh with the command as `$0`.
fn script(text: &str) -> crate::support::Said {
    let mut shell = Command::new("sh");
    shell.args(["-c", text, executable()]);
    fresh(&mut shell);
    said(shell)
}

#[test]
fn a_script_takes_renews_and_releases_by_its_environment() {
    let said = script(
        "set -e
         eval \"$(\"$0\" acquire \"it's a job\" --ttl 5s)\"
         echo \"$LEASEHOLD_NAME $LEASEHOLD_TOKEN\"
         \"$0\" renew --ttl 10m
         \"$0\" status --json \"$LEASEHOLD_NAME\"
         \"$0\" release
         \"$0\" status --json \"$LEASEHOLD_NAME\"",
    )
    .with_code(0);
    assert_eq!(said.err, "");
    let lines: Vec<_> = said.out.lines().collect();
    let held: serde_json::Value = serde_json::from_str(lines[1]).expect("JSON");
    let holder = &held["holders"][0];
    assert_eq!(lines[0], format!("it's a job {}", holder["token"]));
    assert!(
        holder["remaining_seconds"]
            .as_f64()
            .is_some_and(|left| left > 60.0),
        "{holder}"
    );
    let owner = holder["owner"].as_str().expect("a text");
    assert!(owner.ends_with("(sh)"), "the script is who has it: {owner}");
    let free: serde_json::Value = serde_json::from_str(lines[2]).expect("JSON");
    assert_eq!(free["holders"], serde_json::json!([]));
    assert_eq!(free["token"], holder["token"]);
}

#[test]
fn the_url_of_an_acquire_goes_with_its_lease() {
    let url = format!("local:{}/other.db", crate::support::home().display());
    let said = script(&format!(
        "set -e; eval \"$(\"$0\" acquire x --url {url})\"; \"$0\" release; echo $LEASEHOLD_URL"
    ))
    .with_code(0);
    assert_eq!(said.out.trim_end(), url);
}

#[test]
fn json_says_the_same_for_programs() {
    let json = say(&["acquire", "x", "--json", "--ttl", "20s", "--owner", "me"])
        .with_code(0)
        .json();
    assert_eq!(json["name"], "x");
    assert_eq!(json["owner"], "me");
    assert_eq!(json["mode"], "exclusive");
    assert_eq!(json["ttl_seconds"], 20.0);
    assert_eq!(json["url"], "local:");
    let nonce = json["nonce"].as_str().expect("a nonce");
    let renewed = say(&["renew", "x", "--nonce", nonce, "--json"])
        .with_code(0)
        .json();
    assert_eq!(
        (&renewed["renewed"], &renewed["ttl_seconds"]),
        (&true.into(), &30.0.into())
    );
    let released = say(&["release", "x", "--nonce", nonce, "--json"])
        .with_code(0)
        .json();
    assert_eq!(released["released"], true);
}

#[test]
fn a_lease_that_is_over_is_79_for_renew_and_release() {
    let mut watching = Watching::start(&["x"]);
    let taken = acquire(&["x", "--ttl", "300ms", "--grace", "0s"]);
    watching.until_event("ended");
    let again = ["x", "--nonce", &taken.nonce];
    say(&[&["renew"], &again[..]].concat())
        .with_code(79)
        .explains(&["\"x\"", "over", "leasehold status"]);
    say(&[&["release"], &again[..]].concat())
        .with_code(79)
        .explains(&["\"x\"", "over"]);
    // Neither created anything.
    assert_eq!(status("x")["holders"], serde_json::json!([]));
    assert!(acquire(&["x", "--no-wait"]).token > taken.token);
}

#[test]
fn nobody_elses_lease_can_be_released_or_renewed() {
    let taken = acquire(&["x"]);
    let wrong = "0123456789abcdef0123456789abcdef";
    say(&["release", "x", "--nonce", wrong]).with_code(79);
    say(&["renew", "x", "--nonce", wrong]).with_code(79);
    assert_eq!(status("x")["holders"][0]["nonce"], taken.nonce.as_str());
}

#[test]
fn what_is_missing_or_garbled_is_named() {
    say(&["release"]).with_code(2).explains(&["LEASEHOLD_NAME"]);
    say(&["renew", "x"])
        .with_code(2)
        .explains(&["--nonce", "LEASEHOLD_NONCE"]);
    say(&["release", "x", "--nonce", "12"])
        .with_code(2)
        .explains(&["nonce", "12", "32 hex digits"]);
}

#[test]
fn a_lease_that_could_not_be_printed_is_given_back() {
    let mut command = leasehold(&["acquire", "x"]);
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full");
    command.stdout(full);
    let said = said_err(command);
    assert_eq!(said.code, Some(74), "{said:?}");
    said.explains(&["cannot write the output"]);
    assert_eq!(status("x")["holders"], serde_json::json!([]));
}

/// Runs a command whose stdout is set already.
fn said_err(mut command: Command) -> crate::support::Said {
    let mut child = command
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    let pipe = child.stderr.take().expect("a pipe");
    let err = std::io::read_to_string(pipe).expect("stderr can be read");
    let code = child.wait().expect("it ends").code();
    crate::support::Said {
        code,
        out: String::new(),
        err,
    }
}
