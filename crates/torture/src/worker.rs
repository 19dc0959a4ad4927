//! Our own client as a worker: carries out what it is asked and says what came of
//! it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use leasehold::{Deadline, Error, Lease, LockRequest, Locks, Nonce, Released};
use serde::Serialize;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::LocalSet;

use crate::clock::now_us;
use crate::protocol::{Answer, Ask, Event, Happening, Hello, Kind, Outcome, Said, Skill, What};

/// The most clients that one process is asked to be.
const CLIENTS: u32 = 64;
/// How long what was let go of may take to be given back at the end.
const CLOSING: Duration = Duration::from_secs(1);

/// Which acquire each grant came of, for what is told of grants.
type Ids = Arc<Mutex<HashMap<Nonce, u64>>>;

/// Serves one parent on standard input and output until it hangs up. The store is
/// the one of this URL; all clients of the process share one client of the library,
/// as the tasks of an application do.
///
/// # Errors
///
/// Those of standard input and output. That the store cannot be opened is said to
/// the parent, and is no error here.
pub fn serve(url: &str) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let ids = Ids::default();
    let told = Arc::clone(&ids);
    let observer = move |event: &leasehold::Event| renewed(event, &told);
    let builder = Locks::builder().url(url).observer(Arc::new(observer));
    let locks = match runtime.block_on(builder.connect()) {
        Ok(locks) => locks,
        Err(error) => {
            return say(&Said::Failed {
                failed: error.to_string(),
            });
        }
    };
    say(&Said::Hello(hello(&locks)))?;
    let (asked, asks) = unbounded_channel();
    thread::Builder::new().name("asks".into()).spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if asked.send(line).is_err() {
                break;
            }
        }
    })?;
    let worker = Rc::new(Worker {
        locks,
        leases: RefCell::default(),
        ids,
    });
    LocalSet::new().block_on(&runtime, work(&worker, asks));
    worker.leases.borrow_mut().clear();
    let locks = worker.locks.clone();
    drop(worker);
    // What is not given back by then ends at its TTL.
    let _ = runtime.block_on(async { tokio::time::timeout(CLOSING, locks.close()).await });
    Ok(())
}

fn hello(locks: &Locks) -> Hello {
    let can = locks.capabilities();
    let mut skills = vec![
        Skill::Extend,
        Skill::Drop,
        Skill::Cancel,
        Skill::Renew,
        Skill::ReleaseTells,
    ];
    skills.extend(can.shared.then_some(Skill::Shared));
    skills.extend(can.permits.then_some(Skill::Permits));
    Hello {
        hello: "leasehold".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        tokens: true,
        clients: CLIENTS,
        can: skills,
    }
}

struct Worker {
    locks: Locks,
    /// By the id of the acquire.
    leases: RefCell<HashMap<u64, Rc<Lease>>>,
    ids: Ids,
}

/// Starts a task for each ask, so that none waits for another.
async fn work(worker: &Rc<Worker>, mut asks: UnboundedReceiver<String>) {
    while let Some(line) = asks.recv().await {
        let ask: Ask = match serde_json::from_str(&line) {
            Ok(ask) => ask,
            Err(error) => {
                let failed = format!("cannot read the ask {line}: {error}");
                tell(&Said::Failed { failed });
                continue;
            }
        };
        if ask.what == What::Quit {
            return;
        }
        let worker = Rc::clone(worker);
        tokio::task::spawn_local(async move { worker.carry_out(ask).await });
    }
}

impl Worker {
    async fn carry_out(&self, ask: Ask) {
        let sent_us = now_us();
        let mut answer = Answer {
            id: ask.id,
            ok: Outcome::Error,
            token: None,
            valid_ms: None,
            sent_us,
            got_us: sent_us,
            text: None,
        };
        let lease = |id: u64| self.leases.borrow().get(&id).cloned();
        match ask.what {
            What::Acquire { .. } => self.acquire(ask.what, &mut answer).await,
            What::Use {
                lease: id,
                pause_ms,
            } => {
                let valid = lease(id).is_some_and(|lease| lease.is_valid());
                if valid && pause_ms > 0 {
                    tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                }
                answer.ok = if valid { Outcome::Used } else { Outcome::Lost };
            }
            What::Extend { lease: id, ttl_ms } => match lease(id) {
                Some(lease) => match lease.extend(Duration::from_millis(ttl_ms)).await {
                    Ok(deadline) => {
                        answer.ok = Outcome::Extended;
                        answer.got_us = now_us();
                        answer.valid_ms = Some(valid_ms(deadline, answer.got_us));
                    }
                    Err(error) => fails(&mut answer, &error),
                },
                None => answer.ok = Outcome::Lost,
            },
            What::Release { lease: id } => {
                let lease = self.leases.borrow_mut().remove(&id);
                self.release(lease, &mut answer).await;
            }
            What::Drop { lease: id } => {
                let lease = self.leases.borrow_mut().remove(&id);
                if let Some(lease) = lease {
                    self.forget(lease.nonce());
                }
                answer.ok = Outcome::Dropped;
            }
            What::Quit => return,
        }
        if answer.valid_ms.is_none() {
            answer.got_us = now_us();
        }
        tell(&Said::Answer(answer));
    }

    async fn acquire(&self, what: What, answer: &mut Answer) {
        let What::Acquire {
            cancel_after_ms, ..
        } = what
        else {
            return;
        };
        let request = self.request(what).into_future();
        let result = match cancel_after_ms {
            None => request.await,
            Some(after) => {
                match tokio::time::timeout(Duration::from_millis(after), request).await {
                    Ok(result) => result,
                    Err(_) => {
                        answer.ok = Outcome::Cancelled;
                        return;
                    }
                }
            }
        };
        match result {
            Ok(lease) => {
                answer.got_us = now_us();
                answer.ok = Outcome::Granted;
                answer.token = Some(lease.token().get());
                answer.valid_ms = Some(valid_ms(lease.deadline(), answer.got_us));
                self.has(answer.id, lease);
            }
            Err(error) => fails(answer, &error),
        }
    }

    fn request(&self, what: What) -> LockRequest {
        let What::Acquire {
            name,
            ttl_ms,
            wait_ms,
            mode,
            renew,
            ..
        } = what
        else {
            unreachable!("only acquires make requests");
        };
        let request = self
            .locks
            .lock(name)
            .ttl(Duration::from_millis(ttl_ms))
            .wait(Duration::from_millis(wait_ms))
            .renew(renew);
        match mode {
            Kind::Exclusive => request,
            Kind::Shared => request.shared(),
            Kind::Permits(n) => request.permits(n),
        }
    }

    fn has(&self, id: u64, lease: Lease) {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.insert(lease.nonce(), id);
        drop(ids);
        let lost = lease.lost();
        self.leases.borrow_mut().insert(id, Rc::new(lease));
        tokio::task::spawn_local(async move {
            lost.await;
            tell(&Said::Event(Event {
                event: Happening::Lost,
                lease: id,
                at_us: now_us(),
                valid_ms: None,
            }));
        });
    }

    fn forget(&self, nonce: Nonce) {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.remove(&nonce);
    }

    async fn release(&self, lease: Option<Rc<Lease>>, answer: &mut Answer) {
        let Some(lease) = lease else {
            answer.ok = Outcome::Lost;
            return;
        };
        self.forget(lease.nonce());
        let Some(lease) = Rc::into_inner(lease) else {
            answer.text = Some("the lease is in use by another ask".into());
            return;
        };
        match lease.release().await {
            Ok(Released::AlreadyLost) => answer.ok = Outcome::Lost,
            Ok(_) => answer.ok = Outcome::Released,
            Err(error) => fails(answer, &error),
        }
    }
}

fn fails(answer: &mut Answer, error: &Error) {
    answer.ok = match error {
        Error::Contended { .. } | Error::TimedOut { .. } => Outcome::Busy,
        Error::Lost { .. } => Outcome::Lost,
        Error::Indeterminate { .. } => Outcome::Unknown,
        _ => Outcome::Error,
    };
    if matches!(answer.ok, Outcome::Unknown | Outcome::Error) {
        answer.text = Some(error.to_string());
    }
}

/// Tells of a renewal; on whichever thread it happened.
fn renewed(event: &leasehold::Event, ids: &Ids) {
    let leasehold::Event::Renewed { deadline, .. } = event else {
        return;
    };
    let ids = ids.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(&lease) = ids.get(&event.nonce()) else {
        return;
    };
    drop(ids);
    let at_us = now_us();
    tell(&Said::Event(Event {
        event: Happening::Renewed,
        lease,
        at_us,
        valid_ms: Some(valid_ms(*deadline, at_us)),
    }));
}

/// How long from `from_us` to the deadline, which is on the same clock.
fn valid_ms(deadline: Deadline, from_us: u64) -> f64 {
    let left = deadline.at().since_start().as_secs_f64() * 1e3;
    #[allow(clippy::cast_precision_loss)] // exact for the next 285 years
    let from = from_us as f64 / 1e3;
    (left - from).max(0.0)
}

/// Says it if anybody listens; the end of the input ends us otherwise.
fn tell(said: &Said) {
    let _ = say(said);
}

/// One line, in one write.
fn say(said: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}
