//! What 100,000 leases cost in the client: memory per lease, and the processor
//! time of renewing them, over an engine that costs nothing itself.
//!
//! `cargo run --release --example many_leases [LEASES]`

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use leasehold::{
    AcquireRequest, Acquired, BoxFuture, BreakRequest, Broken, Capabilities, Engine, Error,
    ExtendRequest, Extended, Granted, LockName, LockStatus, Locks, Nonce, Released, Token,
};

fn main() -> Result<(), Box<dyn StdError>> {
    let leases: usize = match std::env::args().nth(1) {
        Some(n) => n.parse()?,
        None => 100_000,
    };
    let engine = Arc::new(Granting::default());
    pollster::block_on(async {
        let locks = Locks::builder().engine(engine.clone()).connect().await?;
        drop(locks.lock("warm-up").await?);
        let mut held = Vec::with_capacity(leases);
        let (before, begun) = (resident_bytes()?, Instant::now());
        for n in 0..leases {
            held.push(locks.lock(format!("orders/{n}")).ttl(TTL).await?);
        }
        let (took, after) = (begun.elapsed(), resident_bytes()?);
        println!(
            "{leases} leases in {took:.2?}: {:.2?} each",
            took / u32::try_from(leases)?
        );
        println!("{} bytes each", after.saturating_sub(before) / leases);

        let (cpu, renewed) = (cpu_time(), engine.extends.load(Ordering::Relaxed));
        std::thread::sleep(TTL);
        let (cpu, renewed) = (
            cpu_time() - cpu,
            engine.extends.load(Ordering::Relaxed) - renewed,
        );
        println!(
            "{renewed} renewals in {TTL:?}: {:.1} % of one core",
            100.0 * cpu.as_secs_f64() / TTL.as_secs_f64()
        );
        let lost = held.iter().filter(|lease| !lease.is_valid()).count();
        println!("{lost} lost");
        Ok(())
    })
}

const TTL: Duration = Duration::from_secs(30);

fn resident_bytes() -> Result<usize, Box<dyn StdError>> {
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    let pages: usize = pages.split(' ').nth(1).ok_or("no resident size")?.parse()?;
    Ok(pages * rustix::param::page_size())
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Grants everything and keeps nothing.
#[derive(Default)]
struct Granting {
    token: AtomicU64,
    extends: AtomicU64,
}

fn ready<T: Send + 'static>(answer: T) -> BoxFuture<'static, Result<T, Error>> {
    Box::pin(std::future::ready(Ok(answer)))
}

fn refused<T: Send + 'static>() -> BoxFuture<'static, Result<T, Error>> {
    let error = Error::unsupported("granting", "memory", "use another engine");
    Box::pin(std::future::ready(Err(error)))
}

impl Engine for Granting {
    fn kind(&self) -> &'static str {
        "granting"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::all()
    }

    fn acquire<'a>(&'a self, _: &'a AcquireRequest) -> BoxFuture<'a, Result<Acquired, Error>> {
        let token = self.token.fetch_add(1, Ordering::Relaxed) + 1;
        let token = Token::new(token).unwrap_or(Token::MAX);
        ready(Acquired::Granted(Granted::whole(token)))
    }

    fn extend<'a>(&'a self, _: &'a ExtendRequest) -> BoxFuture<'a, Result<Extended, Error>> {
        self.extends.fetch_add(1, Ordering::Relaxed);
        ready(Extended::Extended)
    }

    fn release<'a>(&'a self, _: &'a LockName, _: Nonce) -> BoxFuture<'a, Result<Released, Error>> {
        ready(Released::Released)
    }

    fn hint<'a>(&'a self, _: &'a LockName, _: Nonce) -> BoxFuture<'a, ()> {
        Box::pin(std::future::pending())
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<LockStatus, Error>> {
        ready(LockStatus::free(name.clone(), Token::NONE, Token::NONE))
    }

    fn list<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<LockStatus>, Error>> {
        ready(Vec::new())
    }

    fn break_lock<'a>(&'a self, _: &'a BreakRequest) -> BoxFuture<'a, Result<Broken, Error>> {
        refused()
    }

    fn changed<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        refused()
    }
}
