//! What an agent does.

use std::io::Write;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{AcquireRequest, Acquired, Extended, Lifetime, Released};

use crate::kit::{Ask, Client, ask};
use crate::{Fixture, Pace};

/// The store's address, if this process is an agent.
pub(crate) fn address_given() -> Option<String> {
    std::env::var(super::ADDRESS).ok()
}

/// Does as it is told until standard input ends, and ends the process.
pub(crate) fn serve(fixture: &dyn Fixture, address: &str) -> ! {
    fixture.enter(&mut || {
        let engine = match fixture.open_address(address) {
            Ok(engine) => engine,
            Err(error) => panic!("no store at {address:?}: {error}"),
        };
        let client = Client::new(Arc::clone(&engine), fixture.pace());
        say("ready");
        for line in std::io::stdin().lines().map_while(Result::ok) {
            say(&obey(&client, fixture.pace(), &line));
        }
    });
    std::process::exit(0);
}

/// One order and what came of it. What goes wrong ends the process, which the
/// case notices.
fn obey(client: &Client, pace: Pace, line: &str) -> String {
    let mut words = Words(line.split(' '));
    match words.next() {
        "acquire" => match client.acquire(&words.request(pace)) {
            Acquired::Granted(granted) => format!("granted {}", granted.token),
            Acquired::Queued(_) => "queued".to_owned(),
            Acquired::Busy(_) => "busy".to_owned(),
        },
        "turn" => {
            let lease = client.turn(&words.request(pace));
            format!("granted {}", lease.token)
        }
        "extend" => {
            let (name, nonce) = (words.read(), words.read());
            match client.extend_as(&name, nonce, words.millis()) {
                Extended::Extended => "extended".to_owned(),
                Extended::Lost => "lost".to_owned(),
            }
        }
        "release" => match client.release_as(&words.read(), words.read()) {
            Released::Released => "released".to_owned(),
            Released::AlreadyLost => "already lost".to_owned(),
        },
        "count" => {
            let (request, times): (_, u32) = (words.request(pace), words.read());
            // The path comes last, since it may have spaces.
            let path = words.0.collect::<Vec<_>>().join(" ");
            for _ in 0..times {
                let lease = client.turn(&request.another());
                increment(Path::new(&path));
                client.give_back(&lease);
            }
            "counted".to_owned()
        }
        "churn" => {
            let request = words.request(pace);
            let mut told = false;
            loop {
                let lease = client.turn(&request.another());
                if !std::mem::replace(&mut told, true) {
                    say("churning");
                }
                client.release(&lease);
            }
        }
        other => panic!("no such order: {other:?}"),
    }
}

/// Adds one to the number in a file, with nothing against others doing the same.
fn increment(path: &Path) {
    let text = std::fs::read_to_string(path).expect("the counter can be read");
    let number: u64 = text.parse().expect("the counter is a whole number");
    std::fs::write(path, (number + 1).to_string()).expect("the counter can be written");
}

fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")
        .and_then(|()| output.flush())
        .expect("the case reads what the agent says");
}

/// The words of an order.
struct Words<'a>(std::str::Split<'a, char>);

impl<'a> Words<'a> {
    fn next(&mut self) -> &'a str {
        self.0.next().expect("an order is complete")
    }

    fn read<T: FromStr>(&mut self) -> T {
        let word = self.next();
        match word.parse() {
            Ok(value) => value,
            Err(_) => panic!("an order has {word:?} where it should not"),
        }
    }

    fn millis(&mut self) -> Duration {
        Duration::from_millis(self.read())
    }

    fn request(&mut self, pace: Pace) -> AcquireRequest {
        let request = ask(self.next(), pace);
        let nonce = self.read();
        let request = request.lasting(self.millis(), self.millis());
        let lifetime = match self.next() {
            "detached" => Lifetime::Detached,
            _ => Lifetime::Process,
        };
        let queue = match self.next() {
            "-" => None,
            word => Some(Duration::from_millis(
                word.parse().expect("an interval in ms"),
            )),
        };
        AcquireRequest {
            nonce,
            lifetime,
            queue,
            ..request
        }
    }
}
