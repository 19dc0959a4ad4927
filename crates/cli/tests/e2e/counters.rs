//! Many processes and one counter that nothing but the lock protects.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::resource::Resource;
use crate::support::{Scene, run};

const PROCESSES: usize = 10;

#[test]
fn ten_processes_with_200_increments_each_count_to_2000() {
    const INCREMENTS: usize = 200;
    let scene = Scene::new();
    let counter = scene.write("counter", "0\n");
    let script = format!("read -r n <{counter}; echo $((n + 1)) >{counter}");
    // Ten shells, each with its 200 commands one after the other.
    let loops = format!(
        "n=0; while [ $n -lt {INCREMENTS} ]; do \"$0\" run counter -q -- sh -c '{script}' || exit; n=$((n + 1)); done"
    );
    let shells: Vec<_> = (0..PROCESSES)
        .map(|_| {
            let mut shell = Command::new("sh");
            shell.args(["-c", &loops, crate::support::executable()]);
            crate::support::fresh(&mut shell)
                .spawn()
                .expect("sh can be started")
        })
        .collect();
    for mut shell in shells {
        assert!(shell.wait().expect("it ends").success());
    }
    assert_eq!(
        scene.read("counter"),
        format!("{}\n", PROCESSES * INCREMENTS)
    );
}

/// A small generator of numbers; a seed gives the same ones each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

/// What one of the processes is to do, and how it went.
struct Turn {
    command: Command,
    /// Kill it this long after it holds the lock.
    kill_after: Option<Duration>,
}

impl Turn {
    /// Runs to its end and returns how long it took to get the lock.
    fn run(mut self) -> Duration {
        let started = Instant::now();
        let mut child = self
            .command
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let held = lines.next().expect("a line").expect("stdout can be read");
        assert_eq!(held, "held");
        let waited = started.elapsed();
        match self.kill_after {
            Some(after) => {
                // Not to wait for anything: the moment of death is to vary.
                thread::sleep(after);
                child.kill().expect("it can be killed");
                child.wait().expect("it ends");
            }
            None => assert!(child.wait().expect("it ends").success()),
        }
        waited
    }
}

#[test]
fn killed_holders_leave_no_token_twice_and_keep_nobody_waiting() {
    const TURNS: u64 = 25;
    /// A wait that rested on the TTL would be longer than this by far.
    const TTL: &str = "10m";
    const LONGEST_WAIT: Duration = Duration::from_secs(60);
    let scene = Scene::new();
    let path = scene.path("resource");
    let resource = Resource::at(&path);
    let script = |then: &str| {
        let write = format!("echo \"$LEASEHOLD_TOKEN {then}\" >{}", path.display());
        format!("{write}; echo held; {then}")
    };
    let threads: Vec<_> = (0..PROCESSES)
        .map(|process| {
            let mut numbers = Numbers(process as u64 + 1);
            let turns: Vec<_> = (0..TURNS)
                .map(|_| {
                    let doomed = numbers.below(3) == 0;
                    let then = if doomed { "exec sleep 1000" } else { ":" };
                    Turn {
                        command: run(&["-q", "--ttl", TTL], &["sh", "-c", &script(then)]),
                        kill_after: doomed.then(|| Duration::from_millis(numbers.below(20))),
                    }
                })
                .collect();
            thread::spawn(move || turns.into_iter().map(Turn::run).max())
        })
        .collect();
    let longest = threads
        .into_iter()
        .filter_map(|thread| thread.join().expect("no panic"));
    let longest = longest.max().expect("there were turns");
    println!("the longest of the waits, with nine others ahead: {longest:?}");
    assert!(longest < LONGEST_WAIT, "{longest:?}");
    let writes = resource.rest();
    assert_eq!(writes.len() as u64, PROCESSES as u64 * TURNS);
    let tokens: HashSet<_> = writes.iter().map(|write| write.token).collect();
    assert_eq!(tokens.len(), writes.len(), "a token was granted twice");
    assert!(
        writes.iter().all(|write| write.accepted),
        "a token went back: {writes:?}"
    );
}
