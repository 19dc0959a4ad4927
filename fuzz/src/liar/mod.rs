//! A Redis server that lies: a proxy before a real one, which passes on some answers
//! and puts something else in the place of others.
//!
//! What is put there is decided by the input, a byte for each answer. What the client
//! was told is kept, so that a lease it says it has can be held against it.

mod backend;
mod evidence;
mod frame;
mod lie;

pub(crate) use backend::Backends;
pub(crate) use evidence::Evidence;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use evidence::Heard;
use frame::Frames;
use lie::{Choices, Lie};

/// One of them. Dropping it closes all its connections.
pub(crate) struct Liar {
    port: u16,
    _tasks: JoinSet<()>,
}

impl Liar {
    /// Starts one before this server; it lies as `choices` say.
    pub(crate) async fn start(
        backend: SocketAddr,
        choices: Vec<u8>,
        evidence: Evidence,
        node: usize,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let choices = Arc::new(Mutex::new(Choices::new(choices)));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let heard = evidence.connection(node);
                connections.spawn(serve(client, backend, Arc::clone(&choices), heard));
            }
        });
        Ok(Self {
            port,
            _tasks: tasks,
        })
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }
}

async fn serve(client: TcpStream, backend: SocketAddr, choices: Arc<Mutex<Choices>>, heard: Heard) {
    let Ok(server) = TcpStream::connect(backend).await else {
        return;
    };
    // Whichever of these fails, the connection is over.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        _ = listen(from_client, to_server, &heard) => {}
        _ = answer(from_server, to_client, &choices, &heard) => {}
    }
}

/// Passes on what the client asks, and keeps it.
async fn listen(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    heard: &Heard,
) -> io::Result<()> {
    let mut frames = Frames::new();
    loop {
        if client.read_buf(frames.room()).await? == 0 {
            return Ok(());
        }
        while let Some(command) = frames.next() {
            heard.asked(&command);
            server.write_all(&command).await?;
        }
    }
}

/// Passes on what the server answers, or something else.
async fn answer(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    choices: &Mutex<Choices>,
    heard: &Heard,
) -> io::Result<()> {
    let mut frames = Frames::new();
    let mut last = Vec::new();
    loop {
        if server.read_buf(frames.room()).await? == 0 {
            return Ok(());
        }
        while let Some(honest) = frames.next() {
            let lie = choices.lock().unwrap_or_else(PoisonError::into_inner).lie();
            let told = lie.tell(&honest, &last);
            heard.told(&told);
            last = honest;
            match lie {
                Lie::Drip => {
                    for byte in told.chunks(1) {
                        client.write_all(byte).await?;
                        tokio::task::yield_now().await;
                    }
                }
                Lie::Endless(ref piece) => {
                    for _ in 0..ENDLESS / piece.len() {
                        client.write_all(piece).await?;
                    }
                }
                Lie::Mute => {
                    // Until the client gives up.
                    client.write_all(&told).await?;
                    return std::future::pending().await;
                }
                Lie::Close => {
                    client.write_all(&told).await?;
                    return Ok(());
                }
                _ => client.write_all(&told).await?,
            }
        }
    }
}

/// How many bytes an answer without end has after all: more than is believed.
const ENDLESS: usize = 20 << 20;
