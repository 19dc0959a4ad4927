//! A resource that refuses older tokens, and a holder that was paused for too
//! long: its late write does no harm.

use std::sync::Mutex;
use std::time::Duration;

use leasehold::{Error, Token};

/// Something worth protecting: a file, a row, a device.
#[derive(Default)]
struct Report(Mutex<(Token, String)>);

impl Report {
    /// Checks the token and writes, as one step: in a database, the check belongs
    /// into the same transaction.
    fn write(&self, token: Token, text: &str) -> Result<(), String> {
        let mut report = self.0.lock().unwrap();
        if token < report.0 {
            return Err(format!("token {token} is older than {}", report.0));
        }
        *report = (token, text.to_owned());
        Ok(())
    }
}

fn main() -> Result<(), Error> {
    pollster::block_on(async {
        let report = Report::default();
        let first = leasehold::connect("memory:example").await?;
        let second = leasehold::connect("memory:example").await?;

        // Not renewed, as if its process were paused.
        let ttl = Duration::from_millis(200);
        let paused = first.lock("report").ttl(ttl).renew(false).await?;
        report.write(paused.token(), "draft").unwrap();
        let why = paused.lost().await;
        println!("the first holder lost its lease: {why}");

        let lease = second.lock("report").await?;
        report.write(lease.token(), "final").unwrap();

        // It does not know yet, and writes all the same.
        let refused = report.write(paused.token(), "draft, again");
        println!("its late write was refused: {}", refused.unwrap_err());
        assert_eq!(report.0.lock().unwrap().1, "final");
        lease.release().await?;
        Ok(())
    })
}
