//! Looking at a Redis Cluster: the map, and each master by itself.

use std::rc::Rc;
use std::time::Duration;

use leasehold_core::{Finding, Severity};
use redis::cmd;
use tokio::task::JoinSet;

use super::facts::NodeFacts;
use super::judge;
use super::probe::{self, Keys, Place};
use crate::RedisOptions;
use crate::address::Address;
use crate::cluster::map::{Master, SlotMap};
use crate::cluster::read_map;
use crate::cluster::witness::Witness;
use crate::fail::Trouble;
use crate::scripts::slots::tag_in;
use crate::scripts::{record_in, witness_in};

/// What was found of a Cluster.
#[derive(Debug)]
pub(super) struct ClusterFacts {
    pub(super) map: SlotMap,
    pub(super) masters: Vec<MasterFacts>,
}

/// What was found of one master.
#[derive(Debug)]
pub(super) struct MasterFacts {
    pub(super) master: Master,
    pub(super) node: NodeFacts,
    pub(super) cluster: Told,
}

/// What a master says of the Cluster, as far as the user may ask.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// `cluster_state`.
    pub(super) state: Option<String>,
    /// `cluster-node-timeout`.
    pub(super) node_timeout: Option<Duration>,
    /// `min-replicas-to-write`.
    pub(super) min_replicas: Option<u64>,
    pub(super) witness: Option<Witness>,
}

/// Looks at all of it, and judges.
pub(super) async fn diagnose(
    options: Rc<RedisOptions>,
    ttl: Duration,
    tag: String,
) -> Vec<Finding> {
    match look(&options, &tag).await {
        Ok(facts) => judge::cluster(&options, ttl, facts),
        Err(trouble) => vec![
            Finding::new(
                Severity::Error,
                Finding::REACH,
                Finding::SET,
                trouble.detail,
            )
            .means(
                &[leasehold_core::Promise::C6],
                "where locks are is not known, so none can be had",
            )
            .remedy(trouble.remedy),
        ],
    }
}

async fn look(options: &Rc<RedisOptions>, tag: &str) -> Result<ClusterFacts, Trouble> {
    let seeds = match &options.addresses[..] {
        [Address::Cluster { seeds }] => seeds.to_vec(),
        _ => Vec::new(),
    };
    let tls = probe::connector(options)?;
    let map = read_map(Rc::clone(options), tls, seeds).await?;
    let mut probes = JoinSet::new();
    for (place, master) in map.masters.iter().cloned().enumerate() {
        let (options, tag) = (Rc::clone(options), format!("{tag}{place}"));
        probes.spawn_local(async move { (place, probe_master(&options, master, &tag).await) });
    }
    let mut masters = probes.join_all().await;
    masters.sort_by_key(|(place, _)| *place);
    Ok(ClusterFacts {
        map,
        masters: masters.into_iter().map(|(_, master)| master).collect(),
    })
}

async fn probe_master(options: &RedisOptions, master: Master, tag: &str) -> MasterFacts {
    // Keys that this master serves: it refuses others.
    let slot = master.ranges.first().map_or(0, |range| range.0);
    let keys = Keys {
        tag: format!("{{{}}}{tag}", tag_in(slot)),
        record: record_in(slot),
    };
    let last = master.ranges.last().map_or(0, |range| range.1);
    let address = Address::Server(master.endpoint.clone());
    let place = Place {
        address: &address,
        keys: &keys,
    };
    let node = probe::probe(options, place).await;
    let told = match node.found.is_ok() {
        true => ask(options, &master, last).await,
        false => Ok(Told::default()),
    };
    MasterFacts {
        master,
        node,
        cluster: told.unwrap_or_default(),
    }
}

/// What it says of the Cluster. A right that the user lacks leaves a gap.
async fn ask(options: &RedisOptions, master: &Master, last: u16) -> Result<Told, Trouble> {
    let timeout = options.timeout;
    let link = &mut probe::link(options, master.endpoint.clone()).await?;
    let info = probe::ask::<String>(link, cmd("CLUSTER").arg("INFO"), timeout).await?;
    let state = info.ok().and_then(|info| {
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("cluster_state:"));
        line.map(|state| state.trim().to_owned())
    });
    let mut settings = [None, None];
    for (key, found) in ["cluster-node-timeout", "min-replicas-to-write"]
        .iter()
        .zip(&mut settings)
    {
        let get = cmd("CONFIG").arg("GET").arg(key).clone();
        let told = probe::ask::<(String, u64)>(link, &get, timeout).await?;
        *found = told.ok().map(|(_, value)| value);
    }
    let key = witness_in(last);
    let text = probe::ask::<Option<String>>(link, cmd("GET").arg(&key), timeout).await?;
    let witness = text.ok().flatten();
    Ok(Told {
        state,
        node_timeout: settings[0].map(Duration::from_millis),
        min_replicas: settings[1],
        witness: witness.as_deref().and_then(Witness::read),
    })
}
