//! Wake-ups by LISTEN and NOTIFY, on a connection of its own.
//!
//! Whether they come through is not assumed but tried, by a wake-up to ourselves
//! that is sent on another connection: behind a pooler that lends a server's session
//! for one transaction at a time, it is lost without a word. Then waiters poll.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use leasehold_core::{Nonce, Wakeup};
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio_postgres::{AsyncMessage, Client};

use super::{Postgres, connect};
use crate::backend::Backend;
use crate::fail::Trouble;
use crate::hub::Hub;

/// How long a wake-up to ourselves may take.
const ECHO: Duration = Duration::from_secs(1);
/// How often it is sent while somebody waits.
const CHECK: Duration = Duration::from_secs(10);
/// How long until another try to listen, at first and at most.
const RETRY: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(10)];
/// What it says.
const PING: &str = "ping";

/// A connection that listens.
struct Ear {
    /// Closes the connection when it is dropped.
    _client: Client,
    heard: mpsc::UnboundedReceiver<String>,
}

/// Starts to listen, and says whether wake-ups come through.
pub(crate) async fn start(hub: &Rc<Hub>) -> Wakeup {
    if !hub.options.listen {
        return Wakeup::Polled;
    }
    let ear = match tuned(hub).await {
        Ok(Some(ear)) => ear,
        Ok(None) => {
            tracing::warn!(
                poll = ?hub.options.poll,
                "wake-ups do not come through, as behind a pooler in transaction mode: waiters poll; name the server itself, or write wake=poll in the URL to be rid of this warning"
            );
            return Wakeup::Polled;
        }
        Err(trouble) => {
            tracing::warn!(why = %trouble.detail, "no connection can be had to listen on: waiters poll");
            return Wakeup::Polled;
        }
    };
    hub.set_pushes(true);
    spawn_local(keep(Rc::clone(hub), ear));
    Wakeup::Pushed
}

/// Listens for as long as the engine lives.
async fn keep(hub: Rc<Hub>, mut ear: Ear) {
    loop {
        listen(&hub, &mut ear).await;
        // What came meanwhile was missed.
        hub.set_pushes(false);
        hub.board.hint_all();
        let mut pause = RETRY[0];
        ear = loop {
            tokio::time::sleep(pause).await;
            match tuned(&hub).await {
                Ok(Some(ear)) => break ear,
                Ok(None) | Err(_) => pause = (pause * 2).min(RETRY[1]),
            }
        };
        hub.set_pushes(true);
        hub.board.hint_all();
    }
}

/// Passes wake-ups on until none come through any more.
async fn listen(hub: &Hub, ear: &mut Ear) {
    loop {
        match tokio::time::timeout(CHECK, ear.heard.recv()).await {
            Ok(Some(said)) => pass_on(hub, &said),
            Ok(None) => return,
            // Nobody waits for anything.
            Err(_) if hub.board.is_empty() => {}
            Err(_) => {
                if !matches!(echoes(hub, ear).await, Ok(true)) {
                    return;
                }
            }
        }
    }
}

fn pass_on(hub: &Hub, said: &str) {
    if let Ok(nonce) = said.parse::<Nonce>() {
        hub.board.hint(nonce);
    }
}

/// A connection that listens and hears; `None` if it does not hear.
async fn tuned(hub: &Hub) -> Result<Option<Ear>, Trouble> {
    let mut ear = listening(postgres(hub), hub).await?;
    let hears = echoes(hub, &mut ear).await?;
    Ok(hears.then_some(ear))
}

async fn listening(postgres: &Postgres, hub: &Hub) -> Result<Ear, Trouble> {
    let (client, mut connection) = connect(postgres).await?;
    let (tell, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(said) = message
                && tell.send(said.payload().to_owned()).is_err()
            {
                return;
            }
        }
    });
    let own = Hub::channel(hub.session());
    let all = Hub::channel(None);
    let listen = format!("LISTEN \"{own}\"; LISTEN \"{all}\"");
    let asked = client.batch_execute(&listen);
    match tokio::time::timeout(postgres.options.timeout, asked).await {
        Ok(Ok(())) => Ok(Ear {
            _client: client,
            heard,
        }),
        Ok(Err(error)) => Err(super::fail::of_request(&postgres.options, &error)),
        Err(_) => Err(postgres.silent()),
    }
}

/// Whether a wake-up to ourselves comes through.
async fn echoes(hub: &Hub, ear: &mut Ear) -> Result<bool, Trouble> {
    let own = Hub::channel(hub.session());
    postgres(hub).notify(&own, PING).await?;
    let heard = async {
        while let Some(said) = ear.heard.recv().await {
            if said == PING {
                return true;
            }
            pass_on(hub, &said);
        }
        false
    };
    Ok(tokio::time::timeout(ECHO.min(hub.options.timeout), heard)
        .await
        .unwrap_or(false))
}

fn postgres(hub: &Hub) -> &Postgres {
    match &hub.backend {
        Backend::Postgres(postgres) => postgres,
        #[cfg(feature = "mysql")]
        Backend::Mysql(_) => unreachable!("only PostgreSQL is listened to"),
    }
}
