//! Five servers behind five proxies.

use std::fs;

use anyhow::Result;

use crate::proxy::Proxy;
use crate::server::Server;

/// How many servers there are.
pub(crate) const NODES: usize = 5;

/// What the servers of a scene keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Nothing on disk; their clocks run at rates that differ by up to 0.8 %, which is
    /// within the margin of 1 %.
    Memory,
    /// Everything before it is answered (`appendfsync always`), and the URL says so.
    Durable,
}

impl Flavour {
    /// A word for it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Durable => "durable",
        }
    }
}

/// Rates within the margin, for servers without persistence.
const RATES: [f64; NODES] = [1.0, 1.004, 0.996, 1.002, 0.998];

/// Five servers behind five proxies. Dropping it ends them.
#[derive(Debug)]
pub struct Scene {
    pub(crate) proxies: Vec<Proxy>,
    pub(crate) servers: Vec<Server>,
    pub(crate) flavour: Flavour,
    pub(crate) has_clocks: bool,
}

impl Scene {
    /// Starts them.
    ///
    /// # Errors
    ///
    /// If one does not start.
    pub fn start(flavour: Flavour) -> Result<Self> {
        let durable = flavour == Flavour::Durable;
        // A server that was built otherwise may not start with it.
        let faketime = faketime().filter(|_| Server::start(durable, faketime()).is_ok());
        let servers = (0..NODES).map(|_| Server::start(durable, faketime.clone()));
        let servers = servers.collect::<Result<Vec<_>>>()?;
        let proxies = servers.iter().map(|server| Proxy::to(server.port()));
        let mut scene = Self {
            proxies: proxies.collect::<Result<_>>()?,
            servers,
            flavour,
            has_clocks: faketime.is_some(),
        };
        for node in 0..NODES {
            let rate = scene.usual_rate(node);
            scene.servers[node].set_clock(0.0, rate)?;
        }
        Ok(scene)
    }

    /// The URL of the proxies with these keys.
    #[must_use]
    pub fn url(&self, keys: &str) -> String {
        let hosts: Vec<_> = self.proxies.iter().map(Proxy::host).collect();
        let durable = match self.flavour {
            Flavour::Memory => "",
            Flavour::Durable => "&durable=yes",
        };
        format!("redis://{}?{keys}{durable}", hosts.join(","))
    }

    /// Whether the servers' clocks can be set.
    #[must_use]
    pub const fn has_clocks(&self) -> bool {
        self.has_clocks
    }

    pub(crate) const fn usual_rate(&self, node: usize) -> f64 {
        match self.flavour {
            Flavour::Memory => RATES[node],
            Flavour::Durable => RATES[0],
        }
    }
}

/// What to load before a server's own libraries to set its clock: where Debian's
/// package faketime puts its library, if it is installed, and the C library, whose
/// allocator goes first then. The one that Debian's servers come with reads the clock
/// while it starts, before libfaketime is ready.
fn faketime() -> Option<String> {
    let folders = fs::read_dir("/usr/lib").ok()?;
    folders
        .flatten()
        .map(|folder| folder.path())
        .find_map(|folder| {
            let faketime = folder.join("faketime/libfaketimeMT.so.1");
            let libc = folder.join("libc.so.6");
            let both = faketime.is_file() && libc.is_file();
            both.then(|| format!("{} {}", faketime.display(), libc.display()))
        })
}
