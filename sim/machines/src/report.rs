//! What is printed.

use std::time::Duration;

use leasehold_sim::campaign::{Part, Total};
use leasehold_sim::faults::Fault;
use leasehold_sim::mistakes::Mistake;
use leasehold_sim::schedule::Schedule;

/// The promises, and what else is checked.
const PROMISES: &[&str] = &["C1", "C2", "C3", "C4", "C5", "C6", "C7", "fencing"];

pub(crate) fn total(total: &Total, took: Duration, jobs: usize) {
    println!(
        "\n{:<16} {:>5} {:>10} {:>8} {:>11} {:>10} {:>8} {:>9} {:>10} {:>9} {:>7}",
        "world",
        "nodes",
        "schedules",
        "ms each",
        "grants",
        "handed",
        "rejoins",
        "overlaps",
        "writes",
        "refused",
        "broken"
    );
    for ((name, nodes), part) in &total.parts {
        row(name, &nodes.to_string(), part);
    }
    let sum = total.sum();
    row("all", "", &sum);
    let minute = sum.schedules as f64 / took.as_secs_f64() * 60.0;
    println!(
        "\n{:.0} schedules a minute ({:.1} s on {jobs} threads; {:.1} s of processor time)",
        minute,
        took.as_secs_f64(),
        processor_seconds(),
    );
    println!(
        "longest wait in peace: {} ms",
        sum.tally.longest_wait / 1000
    );
    println!("\nfaults met:");
    for &fault in Fault::ALL {
        println!("  {:<28} {:>12}", fault.name(), sum.tally.faults.of(fault));
    }
    let count = |promise: &str| sum.broken.get(promise).copied().unwrap_or_default();
    let by_promise: Vec<_> = PROMISES
        .iter()
        .map(|promise| format!("{promise} {}", count(promise)))
        .collect();
    println!("\nviolations: {}", by_promise.join(", "));
    println!(
        "beyond the clock margin: {} overlaps of C3; {} late writes refused in all, {} wrongly taken",
        sum.tally.overlaps,
        sum.tally.refused,
        count("fencing"),
    );
}

fn row(name: &str, nodes: &str, part: &Part) {
    let tally = &part.tally;
    println!(
        "{name:<16} {nodes:>5} {:>10} {:>8.3} {:>11} {:>10} {:>8} {:>9} {:>10} {:>9} {:>7}",
        part.schedules,
        part.seconds * 1000.0 / part.schedules.max(1) as f64,
        tally.grants,
        tally.handed,
        tally.rejoined,
        tally.overlaps,
        tally.writes,
        tally.refused,
        part.broken.values().sum::<u64>(),
    );
}

/// Of this process, all threads together; zero where the system does not tell.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = |place| {
        let field = fields.split(' ').nth(place);
        field.and_then(|text| text.parse::<f64>().ok())
    };
    // User and system time, in hundredths of a second.
    (ticks(11).unwrap_or_default() + ticks(12).unwrap_or_default()) / 100.0
}

pub(crate) fn mistakes_head() {
    let head = [
        "mistake",
        "world",
        "nodes",
        "median",
        "from each seed",
        "as",
        "seconds",
    ];
    let [mistake, world, nodes, median, each, promise, seconds] = head;
    println!(
        "{mistake:<28} {world:<16} {nodes:>5} {median:>9} {each:>22} {promise:>8} {seconds:>8}  what is wrong"
    );
}

/// One line. Whether it was noticed from every seed.
pub(crate) fn mistake(
    mistake: &Mistake,
    found: &[Option<(u64, String, Schedule)>],
    took: Duration,
) -> bool {
    let mut counts: Vec<_> = found
        .iter()
        .map(|found| found.as_ref().map_or(u64::MAX, |found| found.0))
        .collect();
    let each: Vec<_> = counts
        .iter()
        .map(|&count| match count {
            u64::MAX => "never".to_owned(),
            count => count.to_string(),
        })
        .collect();
    counts.sort_unstable();
    let median = match counts[counts.len() / 2] {
        u64::MAX => "NEVER".to_owned(),
        count => count.to_string(),
    };
    let mut promises: Vec<_> = found.iter().flatten().map(|found| &*found.1).collect();
    promises.sort_unstable();
    promises.dedup();
    println!(
        "{:<28} {:<16} {:>5} {median:>9} {:>22} {:>8} {:>8.1}  {}",
        mistake.name,
        mistake.world.name(),
        mistake.world.nodes(),
        each.join(" "),
        promises.join(","),
        took.as_secs_f64(),
        mistake.what,
    );
    if let Some((_, _, schedule)) = found.iter().flatten().next() {
        println!("    {schedule}");
    }
    found.iter().all(Option::is_some)
}
