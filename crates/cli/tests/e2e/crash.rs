//! Holders that die or are paused.

use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::process::{await_guard, gone, is_stopped, stat};
use crate::resource::Resource;
use crate::support::{Running, Scene, eventually, leasehold, run, said, say, status};
use crate::watch::Watching;

#[test]
fn a_killed_holders_lock_is_free_long_before_its_ttl() {
    let mut watching = Watching::start(&["x"]);
    let mut waits = Vec::new();
    for _ in 0..5 {
        let mut holder = Running::start(run(
            &["--ttl", "10m"],
            &["sh", "-c", "echo $$; exec sleep 1000"],
        ));
        let child = holder.pid_line();
        let mut waiter = Running::start(run(&["-q", "--ttl", "10m"], &["sh", "-c", "echo mine"]));
        watching.until_event("waiting");
        let killed = Instant::now();
        holder.signal(Signal::SIGKILL);
        assert_eq!(waiter.line(), "mine");
        waits.push(killed.elapsed());
        assert!(waiter.end().success());
        gone(child);
    }
    println!("from the kill to the next holder's first line: {waits:?}");
}

#[test]
fn a_killed_waiter_is_passed_over() {
    let mut watching = Watching::start(&["x"]);
    let mut holder = Running::start(run(&[], &["sh", "-c", "echo held; exec sleep 1000"]));
    assert_eq!(holder.line(), "held");
    let dead = Running::start(run(&["-q"], &["true"]));
    watching.until_event("waiting");
    let mut next = Running::start(run(&["-q"], &["true"]));
    watching.until_event("waiting");
    dead.signal(Signal::SIGKILL);
    holder.signal(Signal::SIGTERM);
    assert!(next.end().success());
}

/// The whole of it: paused beyond its TTL while its command works on, a holder loses
/// the lock to another, the resource refuses what the command still writes, and the
/// holder ends the command and all that it started as soon as it wakes.
#[test]
fn a_holder_paused_beyond_its_ttl_is_fenced_off_and_ends_its_command_on_waking() {
    let scene = Scene::new();
    let path = scene.path("resource");
    let resource = Resource::at(&path);
    let pipe = path.display();
    // Both ignore TERM, so only a KILL to the whole group ends them.
    let busy = |who: &str| {
        format!(
            "trap '' TERM; while :; do echo \"$LEASEHOLD_TOKEN {who}\" >{pipe}; sleep 0.02; done"
        )
    };
    let grandchild = scene.write("grandchild", &busy("grandchild"));
    let script = format!("sh {grandchild} & echo $!; echo $$; {}", busy("child"));
    let script = scene.write("script", &script);
    let mut command = run(&["--ttl", "1500ms", "--grace", "500ms"], &["sh", &script]);
    command.stderr(Stdio::piped());
    let mut holder = Running::start(command);
    let (grandchild, child) = (holder.pid_line(), holder.pid_line());
    let first = resource.until(|write| write.text == "grandchild" && write.accepted);

    holder.signal(Signal::SIGSTOP);
    eventually("the holder is stopped", || is_stopped(holder.pid()));
    let stopped = Instant::now();
    let next = format!("echo \"$LEASEHOLD_TOKEN next\" >{pipe}; echo held; exec sleep 1000");
    let mut next = Running::start(run(&["-q"], &["sh", "-c", &next]));
    assert_eq!(next.line(), "held");
    let taken_over = stopped.elapsed();
    // Renewed at a third of the TTL, it had two thirds left at least, and the grace.
    assert!(taken_over > Duration::from_millis(1_400), "{taken_over:?}");
    let newer = resource.until(|write| write.text == "next");
    assert!(newer.accepted && newer.token > first.token, "{newer:?}");
    // One write may have been on its way; from then on all are refused.
    for who in ["child", "grandchild", "child", "grandchild"] {
        let late = resource.until(|write| write.text == who && write.token == first.token);
        assert!(!late.accepted, "{late:?}");
    }

    let woken = Instant::now();
    holder.signal(Signal::SIGCONT);
    gone(child);
    gone(grandchild);
    println!(
        "the next holder after {taken_over:?}; the group ended {:?} after the first woke",
        woken.elapsed()
    );
    assert_eq!(holder.end().code(), Some(79));
    let said = holder.stderr();
    assert!(said.contains("lost") && said.contains("deadline"), "{said}");
    assert_eq!(
        status("x")["holders"][0]["token"],
        newer.token,
        "the next one keeps it"
    );
}

#[test]
fn a_job_paused_with_its_holder_does_not_go_on_after_the_lease() {
    let scene = Scene::new();
    let ticks = scene.write("ticks", "");
    let script = format!("echo $$; while :; do echo tick >>{ticks}; sleep 0.01; done");
    let mut watching = Watching::start(&["x"]);
    let mut holder = Running::start(run(
        &["--ttl", "600ms", "--grace", "0s"],
        &["sh", "-c", &script],
    ));
    let child = holder.pid_line();
    watching.until_event("acquired");
    await_guard(holder.pid());
    holder.signal(Signal::SIGSTOP);
    watching.until_event("ended");
    let group = stat(child).expect("it runs on").group;
    assert_eq!(group, child);
    holder.signal(Signal::SIGCONT);
    assert_eq!(holder.end().code(), Some(79));
    gone(child);
}

#[test]
fn a_lease_outlives_nothing_when_its_holder_was_killed() {
    let mut holder = Running::start(run(
        &["--ttl", "10m"],
        &["sh", "-c", "echo held; exec sleep 1000"],
    ));
    assert_eq!(holder.line(), "held");
    holder.signal(Signal::SIGKILL);
    holder.end();
    let free = || status("x")["holders"].as_array().is_some_and(Vec::is_empty);
    eventually("status shows the lock free", free);
    said(leasehold(&["run", "x", "--no-wait", "--", "true"])).with_code(0);
    say(&["ls"]).with_code(0);
}
