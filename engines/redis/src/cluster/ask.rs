//! Asking for the map of a Cluster.

use std::rc::Rc;
use std::time::Duration;

use tokio::select;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::map::{SlotMap, is_no_member};
use super::{Cluster, ONE, RETRY};
use crate::RedisOptions;
use crate::address::Endpoint;
use crate::connect::{NO_CLUSTER, NO_CLUSTER_REMEDY, visit};
use crate::fail::{Kind, Trouble};
use crate::node::Standing;

/// The shortest time between two looks at the map.
const PACE: Duration = Duration::from_millis(50);
/// How long one server may think about the map before the next is asked as well.
const HEDGE: Duration = Duration::from_millis(100);

/// Reads the map, and again whenever it may be out of date.
pub(super) async fn keep_map(cluster: Rc<Cluster>) {
    let options = &cluster.base.options;
    let node = cluster.base.node(ONE);
    loop {
        let tls = cluster.base.tls.clone();
        let read = read_map(Rc::clone(options), tls, cluster.sources()).await;
        let failed = read.is_err();
        match read {
            Ok(map) => {
                cluster.adopt(map);
                node.set_standing(Standing::Joined);
            }
            Err(why) => {
                tracing::debug!(why = %why.detail, "no map of a Redis Cluster");
                node.set_standing(Standing::Failed(why));
            }
        }
        cluster.tell();
        tokio::time::sleep(PACE).await;
        select! {
            () = cluster.must_refresh.notified() => {}
            () = tokio::time::sleep(RETRY), if failed => {}
        }
    }
}

/// What the first of these says that answers. Each has as long as any answer may
/// take; the next is asked when one is slow.
pub(crate) async fn read_map(
    options: Rc<RedisOptions>,
    tls: Option<TlsConnector>,
    sources: Vec<Endpoint>,
) -> Result<SlotMap, Trouble> {
    let mut asked = JoinSet::new();
    let mut troubles: Vec<(Endpoint, Trouble)> = Vec::new();
    let mut sources = sources.into_iter();
    loop {
        let mut waits = false;
        if let Some(source) = sources.next() {
            let (options, tls) = (Rc::clone(&options), tls.clone());
            asked.spawn_local(async move {
                let said = ask_map(&options, tls.as_ref(), &source).await;
                (source, said)
            });
            waits = true;
        }
        select! {
            Some(told) = asked.join_next() => match told {
                Ok((_, Ok(map))) => return Ok(map),
                Ok((source, Err(trouble))) => troubles.push((source, trouble)),
                Err(_) => {}
            },
            () = tokio::time::sleep(HEDGE), if waits => {}
            else => return Err(summary(troubles)),
        }
    }
}

async fn ask_map(
    options: &RedisOptions,
    tls: Option<&TlsConnector>,
    source: &Endpoint,
) -> Result<SlotMap, Trouble> {
    let question = ["CLUSTER", "SLOTS"];
    let visit = visit(source, tls, options.login(), options.timeout, &question);
    let said = tokio::time::timeout(options.timeout, visit).await;
    let said = said.unwrap_or_else(|_| Err(Trouble::timeout()));
    let said = said.map_err(|trouble| match is_no_member(&trouble) {
        true => Trouble::new(Kind::Other, NO_CLUSTER, NO_CLUSTER_REMEDY),
        false => trouble,
    })?;
    SlotMap::read(said, source)
}

/// What all of them said, with the remedy of one who said something.
fn summary(troubles: Vec<(Endpoint, Trouble)>) -> Trouble {
    let spoke = |told: &&(Endpoint, Trouble)| told.1.kind != Kind::Silent;
    let Some((_, first)) = troubles.iter().find(spoke).or(troubles.first()) else {
        return Trouble::timeout();
    };
    let (kind, remedy) = (first.kind, first.remedy);
    let said = troubles
        .iter()
        .map(|(host, trouble)| format!("{host}: {}", trouble.detail));
    Trouble::new(kind, said.collect::<Vec<_>>().join("; "), remedy)
}
