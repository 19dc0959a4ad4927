//! One lock, without async.

use std::time::Duration;

use leasehold::{Error, blocking};

fn main() -> Result<(), Error> {
    let url = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "memory:".to_owned());
    let locks = blocking::connect(&url)?;
    let lease = match locks
        .lock("examples/blocking")
        .wait(Duration::from_secs(10))
        .lock()
    {
        Ok(lease) => lease,
        Err(Error::TimedOut { holders, .. }) => {
            println!("still held by {holders:?}");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    for step in 1..=3 {
        // Between two steps is the time to stop.
        if let Some(why) = lease.is_lost() {
            println!("stopped before step {step}: {why}");
            break;
        }
        println!("step {step} under token {}", lease.token());
    }
    // A drop would do, too.
    println!("{:?}", lease.release()?);
    Ok(())
}
