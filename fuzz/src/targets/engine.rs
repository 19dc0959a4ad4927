//! The whole Redis engine against servers that lie.
//!
//! An input says how many servers there are, which settings the engine has, what it is
//! asked, and how each server lies. Whatever they say, each operation ends, nothing
//! panics, and a lease is one that a quorum told of, with its token, in answers to its
//! own requests.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use fastrand::Rng;
use leasehold_core::{
    AcquireRequest, Acquired, BreakRequest, Engine, EngineUrl, Error, ExtendRequest, Extended,
    Lifetime, LockName, Mode, Nonce, Owner, Ttl,
};
use leasehold_redis::{RedisEngine, RedisOptions};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::liar::{Backends, Evidence, Liar};
use crate::target::{Opened, Shape, Target};

/// How long one operation may take. Far more than any needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Settings, of which a case has one.
const SETTINGS: [&str; 8] = [
    "timeout=150ms&max_ttl=40s&fresh=yes",
    "timeout=50ms&max_ttl=40s&fresh=yes",
    "timeout=150ms&max_ttl=40s&fresh=yes&era=manual",
    "timeout=150ms&max_ttl=40s&fresh=yes&durable=yes",
    "timeout=150ms&max_ttl=40s&fresh=yes&prefix=lock%3a",
    "timeout=4000000000000000000s&max_ttl=40s&fresh=yes",
    "timeout=150ms&max_ttl=40s&fresh=yes&retention=1000000d",
    "timeout=150ms&max_ttl=40s",
];

struct Lying {
    lane: usize,
    backends: Arc<Backends>,
    runtime: Runtime,
    tally: Tally,
}

/// What happened in all cases of a lane.
#[derive(Clone, Copy, Default)]
struct Tally {
    answers: u64,
    opened: u64,
    granted: u64,
    extended: u64,
    errors: u64,
}

pub(crate) fn open(lanes: usize) -> Result<Vec<Opened>> {
    let backends = Arc::new(Backends::start()?);
    let one = |lane| {
        let runtime = Builder::new_current_thread().enable_all().build();
        Ok(Box::new(Lying {
            lane,
            backends: Arc::clone(&backends),
            runtime: runtime.context("cannot make a runtime")?,
            tally: Tally::default(),
        }) as Opened)
    };
    (0..lanes).map(one).collect()
}

impl Target for Lying {
    fn check(&mut self, input: &[u8]) -> Result<Shape, String> {
        let Some((head, rest)) = input.split_first_chunk::<8>() else {
            return Ok(Shape::of("short"));
        };
        self.backends
            .clear(self.lane)
            .map_err(|error| format!("a server behind the liars: {error:#}"))?;
        let case = case(&self.backends, self.lane, *head, rest, &mut self.tally);
        self.runtime.block_on(case)
    }

    fn invent(&self, random: &mut Rng) -> Vec<u8> {
        let mut input: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(8).collect();
        // Mostly the usual operations in the usual order.
        if random.bool() {
            input[2..8].copy_from_slice(&[0, 2, 4, 3, 0, 3]);
        }
        // The later the first lie, the further the engine comes.
        let honest = random.usize(..150);
        input.resize(8 + honest, 0);
        let density = random.u8(..=255);
        for _ in 0..random.usize(..120) {
            let lies = random.u8(..) <= density;
            input.push(if lies { random.u8(..) } else { 0 });
        }
        input
    }

    fn tally(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("answers told, honest or not", self.tally.answers),
            ("clients that opened", self.tally.opened),
            (
                "leases granted, each of which a quorum told",
                self.tally.granted,
            ),
            ("leases extended", self.tally.extended),
            ("operations that ended with an error", self.tally.errors),
        ]
    }

    fn memory(&self, _: usize) -> usize {
        // An answer of 16 MiB, the room it was received in, and a text that shows it.
        256 << 20
    }
}

async fn case(
    backends: &Backends,
    lane: usize,
    head: [u8; 8],
    lies: &[u8],
    tally: &mut Tally,
) -> Result<Shape, String> {
    let [shape, settings, operations @ ..] = head;
    let nodes = if shape & 1 == 0 { 3 } else { 1 };
    let evidence = Evidence::default();
    let mut liars = Vec::new();
    for node in 0..nodes {
        // Some tell the truth throughout.
        let honest = shape & (2 << node) != 0;
        let lies = lies.iter().skip(node).step_by(nodes).copied();
        let lies = if honest { Vec::new() } else { lies.collect() };
        let liar = Liar::start(backends.address(node), lies, evidence.clone(), node).await;
        liars.push(liar.map_err(|error| format!("a liar does not start: {error}"))?);
    }
    let hosts: Vec<_> = liars
        .iter()
        .map(|liar| format!("127.0.0.1:{}", liar.port()))
        .collect();
    let settings = SETTINGS[usize::from(settings) % SETTINGS.len()];
    let url = format!("redis://{}/{lane}?{settings}", hosts.join(","));
    let options = match EngineUrl::parse(&url).and_then(RedisOptions::from_url) {
        Ok(options) => options,
        Err(error) => return Ok(Shape::of_text(&error.to_string())),
    };
    let engine = match bounded("connect", RedisEngine::connect(options)).await? {
        Ok(engine) => engine,
        Err(error) => return Ok(Shape::of_text(&error.to_string())),
    };
    tally.opened += 1;
    let mut session = Session {
        tally,
        engine,
        evidence,
        quorum: nodes / 2 + 1,
        held: None,
        asked: 0,
    };
    let mut shapes = Vec::new();
    for operation in operations {
        shapes.push(session.perform(operation).await?);
    }
    session.tally.answers += session.evidence.len() as u64;
    shapes.push(Shape::of(session.evidence.len().checked_ilog2()));
    Ok(Shape::of(shapes))
}

struct Session<'a> {
    tally: &'a mut Tally,
    engine: RedisEngine,
    evidence: Evidence,
    quorum: usize,
    held: Option<Nonce>,
    asked: u8,
}

impl Session<'_> {
    async fn perform(&mut self, operation: u8) -> Result<Shape, String> {
        let name = LockName::new(if operation & 64 == 0 { "a" } else { "b/{c}" });
        let name = name.map_err(|error| error.to_string())?;
        match operation % 8 {
            0 | 1 => self.acquire(name, operation).await,
            2 => self.extend(name).await,
            3 => {
                let nonce = self.held.take().unwrap_or(Nonce::from_bytes([9; 16]));
                let said = bounded("release", self.engine.release(&name, nonce)).await?;
                Ok(shape(said))
            }
            4 => Ok(shape(bounded("inspect", self.engine.inspect(&name)).await?)),
            5 => Ok(shape(bounded("list", self.engine.list("")).await?)),
            6 => {
                let order = BreakRequest {
                    name,
                    by: Owner::new("fuzzer"),
                    reason: "to see".to_owned(),
                    unix_seconds: 1,
                    force: operation & 32 != 0,
                };
                Ok(shape(
                    bounded("break", self.engine.break_lock(&order)).await?,
                ))
            }
            _ => {
                // Dropped half-way, and given back as every caller does then.
                let request = self.request(name, operation);
                let brief = Duration::from_millis(u64::from(operation >> 4));
                let _ = timeout(brief, self.engine.acquire(&request)).await;
                let release = self.engine.release(&request.name, request.nonce);
                Ok(shape(bounded("release", release).await?))
            }
        }
    }

    async fn acquire(&mut self, name: LockName, operation: u8) -> Result<Shape, String> {
        let request = self.request(name, operation);
        let said = bounded("acquire", self.engine.acquire(&request)).await?;
        if let Ok(Acquired::Granted(granted)) = &said {
            let (nonce, token) = (request.nonce.to_string(), granted.token.get());
            let told = self.evidence.granted(&nonce, token);
            if told < self.quorum || token == 0 {
                return Err(format!(
                    "a lease with token {token} of which {told} servers told"
                ));
            }
            self.held = Some(request.nonce);
            self.tally.granted += 1;
        }
        self.tally.errors += u64::from(said.is_err());
        Ok(shape(said))
    }

    async fn extend(&mut self, name: LockName) -> Result<Shape, String> {
        let nonce = self.held.unwrap_or(Nonce::from_bytes([9; 16]));
        let request = ExtendRequest {
            name,
            nonce,
            ttl: ttl()?,
        };
        let said = bounded("extend", self.engine.extend(&request)).await?;
        if matches!(said, Ok(Extended::Extended)) {
            let told = self.evidence.agreed(&nonce.to_string());
            if told < self.quorum {
                return Err(format!("a lease extended of which {told} servers told"));
            }
            self.tally.extended += 1;
        }
        self.tally.errors += u64::from(said.is_err());
        Ok(shape(said))
    }

    fn request(&mut self, name: LockName, operation: u8) -> AcquireRequest {
        self.asked += 1;
        AcquireRequest {
            name,
            nonce: Nonce::from_bytes([self.asked + 16; 16]),
            owner: Owner::new("fuzzer"),
            mode: match operation >> 4 & 3 {
                1 => Mode::Shared,
                2 => Mode::permit_of(2).unwrap_or(Mode::Shared),
                _ => Mode::Exclusive,
            },
            ttl: ttl().unwrap_or(Ttl::MAX),
            grace: Duration::from_secs(1),
            lifetime: Lifetime::Process,
            queue: (operation % 8 == 1).then_some(Duration::from_millis(200)),
        }
    }
}

fn ttl() -> Result<Ttl, String> {
    Ttl::new(Duration::from_secs(30)).map_err(|error| error.to_string())
}

/// The operation ends.
async fn bounded<T>(what: &str, operation: impl Future<Output = T>) -> Result<T, String> {
    let said = timeout(PATIENCE, operation).await;
    said.map_err(|_| format!("{what} did not end within {PATIENCE:?}"))
}

fn shape(said: Result<impl std::fmt::Debug, Error>) -> Shape {
    match said {
        Ok(answer) => Shape::of_text(format!("{answer:?}").get(..12).unwrap_or("short")),
        Err(error) => Shape::of_text(&error.to_string()),
    }
}
