//! How fast the engine is, for whoever works on it: `cargo run --release
//! --example pairs`. The figures that count are those of `cargo xtask bench
//! local`, which measures the whole library.

use std::env;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use leasehold_core::{
    AcquireRequest, Acquired, Engine, ExtendRequest, Extended, Lifetime, LockName, Mode, Nonce,
    Owner, Ttl,
};
use leasehold_local::{LocalEngine, LocalOptions};

const RUN: Duration = Duration::from_secs(2);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

fn request(name: &str, n: u64) -> AcquireRequest {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&n.to_le_bytes());
    nonce[8..12].copy_from_slice(&std::process::id().to_le_bytes());
    AcquireRequest {
        name: LockName::new(name).expect("a good name"),
        nonce: Nonce::from_bytes(nonce),
        owner: Owner::new("web-1 pid 4711 (invoice-job)"),
        mode: Mode::Exclusive,
        ttl: Ttl::new(Duration::from_secs(30)).expect("a good TTL"),
        grace: Duration::from_secs(5),
        lifetime: Lifetime::Process,
        queue: None,
    }
}

fn pair(engine: &LocalEngine, request: &AcquireRequest) {
    let granted = block_on(engine.acquire(request)).expect("an answer");
    assert!(matches!(granted, Acquired::Granted(_)), "{granted:?}");
    block_on(engine.release(&request.name, request.nonce)).expect("an answer");
}

fn worker(db: &Path, name: &str, from: Duration) {
    let engine = LocalEngine::open(LocalOptions::new(db)).expect("a store");
    let mut nanos: Vec<u64> = Vec::new();
    pair(&engine, &request(name, 0));
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    thread::sleep(from.saturating_sub(now));
    let began = Instant::now();
    let mut n = 1;
    while began.elapsed() < RUN {
        let request = request(name, n);
        let at = Instant::now();
        pair(&engine, &request);
        nanos.push(u64::try_from(at.elapsed().as_nanos()).unwrap_or(u64::MAX));
        n += 1;
    }
    let texts: Vec<String> = nanos.iter().map(u64::to_string).collect();
    println!("{}", texts.join(" "));
}

fn processes(db: &Path, count: u32) -> f64 {
    let program = env::current_exe().expect("a path");
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    let from = now + Duration::from_millis(300);
    let children: Vec<_> = (0..count)
        .map(|i| {
            Command::new(&program)
                .args(["worker", &db.display().to_string(), &format!("jobs/{i}")])
                .arg(from.as_micros().to_string())
                .stdout(Stdio::piped())
                .spawn()
                .expect("a process")
        })
        .collect();
    let mut all: Vec<u64> = Vec::new();
    let mut shares = Vec::new();
    for child in children {
        let out = child.wait_with_output().expect("an end").stdout;
        let out = String::from_utf8(out).expect("numbers");
        let nanos: Vec<u64> = out
            .split_whitespace()
            .map(|n| n.parse().expect("a number"))
            .collect();
        shares.push(nanos.len());
        all.extend(nanos);
    }
    all.sort_unstable();
    let at = |part: f64| Duration::from_nanos(all[((all.len() - 1) as f64 * part) as usize]);
    let rate = all.len() as f64 / RUN.as_secs_f64();
    println!(
        "{count} processes: {rate:.0} pairs/s, a pair takes p50 {:.1?} p99 {:.1?} p99.9 {:.1?} max {:.1?}; shares {shares:?}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
    rate
}

fn opening(db: &Path) {
    let mut times: Vec<Duration> = (0..200u64)
        .map(|n| {
            let at = Instant::now();
            let engine = LocalEngine::open(LocalOptions::new(db)).expect("a store");
            pair(&engine, &request("jobs/open", n));
            drop(engine);
            at.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!(
        "open, pair, close: median {:.1?}, max {:.1?}",
        times[100], times[199]
    );
}

fn renewals(db: &Path, count: u64) {
    let engine = LocalEngine::open(LocalOptions::new(db)).expect("a store");
    let began = Instant::now();
    for n in 0..count {
        let request = request(&format!("held/{n}"), n);
        block_on(engine.acquire(&request)).expect("an answer");
    }
    println!("acquired {count} in {:.1?}", began.elapsed());
    for _ in 0..3 {
        let (wall, cpu) = (Instant::now(), cpu_time());
        let mut n = 0;
        while n < count {
            let until = (n + 1024).min(count);
            renew(&engine, n..until);
            n = until;
        }
        println!(
            "renewed {count} in {:.2?}, {:.2?} of processor time",
            wall.elapsed(),
            cpu_time() - cpu
        );
    }
}

/// Polls many renewals in turn, as the library does.
fn renew(engine: &LocalEngine, numbers: std::ops::Range<u64>) {
    let requests: Vec<ExtendRequest> = numbers
        .map(|n| {
            let request = request(&format!("held/{n}"), n);
            ExtendRequest {
                name: request.name,
                nonce: request.nonce,
                ttl: request.ttl,
            }
        })
        .collect();
    let mut futures: Vec<_> = requests
        .iter()
        .map(|request| engine.extend(request))
        .collect();
    let mut context = Context::from_waker(Waker::noop());
    while !futures.is_empty() {
        futures.retain_mut(|future| match future.as_mut().poll(&mut context) {
            Poll::Ready(answer) => {
                assert_eq!(answer.expect("an answer"), Extended::Extended);
                false
            }
            Poll::Pending => true,
        });
    }
}

/// User and system time of this process, from /proc in hundredths of a second.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11..13]
        .iter()
        .map(|f| f.parse::<u64>().expect("ticks"))
        .sum();
    Duration::from_millis(ticks * 10)
}

fn main() {
    let args: Vec<String> = env::args().collect();
    if let [_, kind, db, name, from] = &args[..]
        && kind == "worker"
    {
        let from = Duration::from_micros(from.parse().expect("a number"));
        return worker(Path::new(db), name, from);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("locks.db");
    for _ in 0..2 {
        let one = processes(&db, 1);
        let four = processes(&db, 4);
        println!("four have {:.0} % of one", 100.0 * four / one);
    }
    opening(&db);
    renewals(&folder.path().join("many.db"), 100_000);
}
