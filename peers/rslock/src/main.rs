//! rslock behind the line protocol of docs/torture.md.
//!
//! Every ask runs as a task of its own, so that those of different clients do not
//! block each other. All share one `LockManager`, as its documentation shows.

mod client;
mod lines;

use std::rc::Rc;

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};

use client::Client;
use lines::{Ask, What, say};

/// How many clients one process may be asked to be.
const CLIENTS: u32 = 8;

fn main() {
    if let Err(error) = work() {
        say(&serde_json::json!({ "failed": format!("{error:#}") }));
        std::process::exit(1);
    }
}

fn work() -> Result<()> {
    let url = std::env::var("LEASEHOLD_URL").context("LEASEHOLD_URL names the servers")?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let client = Rc::new(Client::new(&hosts(&url)?)?);
        say(&serde_json::json!({
            "hello": "rslock", "version": "0.10.0", "tokens": false,
            "clients": CLIENTS, "can": ["extend"],
        }));
        let mut lines = BufReader::new(stdin()).lines();
        while let Some(line) = lines.next_line().await? {
            let ask: Ask =
                serde_json::from_str(&line).with_context(|| format!("not an ask: {line}"))?;
            if matches!(ask.what, What::Quit) {
                break;
            }
            let client = Rc::clone(&client);
            spawn_local(async move { say(&client.carry_out(ask).await) });
        }
        Ok(())
    })
}

/// The servers of `redis://host:port,host:port/0?key=value`, each as a URL.
fn hosts(url: &str) -> Result<Vec<String>> {
    let rest = url.strip_prefix("redis://");
    let rest = rest.with_context(|| format!("give redis://host:port,…, not {url}"))?;
    let (body, _) = rest.split_once('?').unwrap_or((rest, ""));
    let (hosts, database) = body.split_once('/').unwrap_or((body, "0"));
    let database = if database.is_empty() { "0" } else { database };
    Ok(hosts
        .split(',')
        .map(|host| format!("redis://{host}/{database}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_every_server() {
        let urls = hosts("redis://127.0.0.1:1,127.0.0.1:2/3?max_ttl=4s").unwrap();
        assert_eq!(urls, ["redis://127.0.0.1:1/3", "redis://127.0.0.1:2/3"]);
        assert!(hosts("local:").is_err());
    }
}
