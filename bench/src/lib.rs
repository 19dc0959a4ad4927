//! What the benchmarks share: quantiles, processor time, memory, and workers in
//! processes of their own.
//!
//! The machines these run on are noisy, so every figure is a median of several
//! rounds, and what is compared is measured in turn, in one run.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// The value at `q` (0 to 1) of a sample; sorts it.
pub fn quantile<T: PartialOrd + Copy>(sample: &mut [T], q: f64) -> T {
    sample.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let last = sample.len() - 1;
    sample[((last as f64) * q).round() as usize]
}

/// The median of a sample; sorts it.
pub fn median<T: PartialOrd + Copy>(sample: &mut [T]) -> T {
    quantile(sample, 0.5)
}

/// Processor time this process has used, all threads together.
pub fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

/// Nanoseconds on a clock that all processes of this machine share.
pub fn shared_nanos() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// How often the threads of this process that still run have gone to sleep.
///
/// # Errors
///
/// If the system does not say.
pub fn switches() -> Result<u64> {
    let mut sum = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        // A thread may end meanwhile.
        let Ok(status) = std::fs::read_to_string(task?.path().join("status")) else {
            continue;
        };
        let mut lines = status.lines();
        let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        let count = count.context("no voluntary_ctxt_switches in /proc/self/task")?;
        sum += count.trim().parse::<u64>()?;
    }
    Ok(sum)
}

/// Bytes of memory this process has resident.
///
/// # Errors
///
/// If the system does not say.
pub fn resident_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .context("no VmRSS in /proc/self/status")?
        .trim()
        .parse()?;
    Ok(kib * 1024)
}

/// Says whether a target was met, in the same words everywhere.
pub fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

/// This very program in another process, given other arguments. It starts when
/// told, so that several begin together, and prints its results.
pub struct Worker {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Worker {
    /// Starts the process and waits until it says that it is ready.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or ends before it is ready.
    pub fn spawn(arguments: &[&str]) -> Result<Self> {
        Self::run(Command::new(std::env::current_exe()?).args(arguments))
    }

    /// The same with another program, which does as [`ready_and_wait`] does.
    ///
    /// # Errors
    ///
    /// As for [`spawn`](Self::spawn).
    pub fn run(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut ready = [0u8; 6];
        std::io::Read::read_exact(child.stdout.as_mut().context("piped")?, &mut ready)
            .context("a worker ended before it was ready")?;
        ensure!(
            &ready == b"ready\n",
            "a worker said {ready:?} instead of being ready"
        );
        let stdin = child.stdin.take();
        Ok(Self { child, stdin })
    }

    /// Lets it begin.
    ///
    /// # Errors
    ///
    /// If it is gone.
    pub fn start(&mut self) -> Result<()> {
        self.stdin
            .take()
            .context("started twice")?
            .write_all(b"go\n")?;
        Ok(())
    }

    /// Its lines, once it has ended.
    ///
    /// # Errors
    ///
    /// If it failed.
    pub fn lines(mut self) -> Result<Vec<String>> {
        let stdout = self.child.stdout.take().context("piped")?;
        let lines = BufReader::new(stdout)
            .lines()
            .collect::<std::io::Result<_>>()?;
        ensure!(self.child.wait()?.success(), "a worker failed");
        Ok(lines)
    }
}

/// In a worker: says that it is ready and waits until it may begin.
///
/// # Errors
///
/// If whoever started it is gone.
pub fn ready_and_wait() -> Result<()> {
    println!("ready");
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    ensure!(line == "go\n", "told {line:?} instead of go");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_known_sample() {
        let mut sample: Vec<u32> = (0..=1000).rev().collect();
        assert_eq!(median(&mut sample), 500);
        assert_eq!(quantile(&mut sample, 0.999), 999);
        assert_eq!(quantile(&mut [7], 0.999), 7);
    }

    #[test]
    fn the_system_tells_memory_and_processor_time() {
        assert!(resident_bytes().unwrap() > 0);
        let before = switches().unwrap();
        std::thread::sleep(Duration::from_millis(1));
        assert!(switches().unwrap() > before);
        assert!(cpu_time() > Duration::ZERO);
    }
}
