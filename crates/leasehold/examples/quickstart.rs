//! One lock: take it, work under it, give it back.
//!
//! Run it twice at the same time and the second waits for the first:
//! `cargo run --example quickstart`. Another store: pass its URL.

use std::time::Duration;

use leasehold::Error;

fn main() -> Result<(), Error> {
    // Any executor will do; this one is a single function.
    pollster::block_on(async {
        let url = std::env::args()
            .nth(1)
            .unwrap_or_else(|| "local:".to_owned());
        let locks = leasehold::connect(&url).await?;
        let request = locks
            .lock("examples/quickstart")
            .wait(Duration::from_secs(10));
        let lease = request
            .on_wait(|queued| println!("busy, {} ahead", queued.ahead))
            .await?;
        println!(
            "token {}, valid for {:.1?}",
            lease.token(),
            lease.remaining()
        );

        lease.run(send_invoices()).await?;

        println!("{:?}", lease.release().await?);
        Ok(())
    })
}

async fn send_invoices() {
    println!("sending invoices");
}
