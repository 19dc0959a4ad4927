//! At most three at once, in any number of processes: each takes one of three
//! permits.

use std::sync::atomic::{AtomicUsize, Ordering};

use leasehold::Error;

static BUSY: AtomicUsize = AtomicUsize::new(0);

fn main() -> Result<(), Error> {
    let locks = leasehold::blocking::connect("memory:")?;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..12)
            .map(|worker| {
                let locks = locks.clone();
                scope.spawn(move || download(&locks, worker))
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().expect("a worker panicked"))
    })
}

fn download(locks: &leasehold::blocking::Locks, worker: usize) -> Result<(), Error> {
    let permit = locks.lock("downloads").permits(3).lock()?;
    let busy = BUSY.fetch_add(1, Ordering::SeqCst) + 1;
    println!("worker {worker} has a permit, {busy} busy");
    assert!(busy <= 3);
    std::thread::sleep(std::time::Duration::from_millis(20));
    BUSY.fetch_sub(1, Ordering::SeqCst);
    permit.release().map(drop)
}
