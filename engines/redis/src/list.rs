//! Listing locks.

use std::collections::BTreeSet;
use std::rc::Rc;

use leasehold_core::quorum::{NodeId, NodeSet};
use leasehold_core::{Error, LockName, LockStatus};
use redis::Value;

use crate::bond::Live;
use crate::clock;
use crate::hub::Hub;
use crate::look::{Looked, ask, look, status};
use crate::scripts::{BadReply, Keys, Packed};

/// How many keys a server looks at for one answer: few enough not to hold it up.
const COUNT: &str = "1000";

/// The locks that are held or waited for, by name.
///
/// Finds them by going through all keys of each server, in small steps: what it
/// costs grows with everything that is kept there. A lock that only clients of
/// another kind hold is not found, since nothing tells it from other keys.
pub(crate) async fn list(hub: &Rc<Hub>, prefix: String) -> Result<Vec<LockStatus>, Error> {
    let limit = clock::now().saturating_add(hub.options.timeout);
    hub.ready(limit).await;
    let mut names = BTreeSet::new();
    let nodes = hub.which(|node| node.live().is_some());
    let mut whole = NodeSet::EMPTY;
    for id in nodes.iter() {
        if scan(hub, id, &prefix, &mut names).await {
            whole = whole.with(id);
        }
    }
    // A held lock is known to a quorum, so all but a minority must have told.
    if whole.len() < hub.quorum.size() {
        return Err(hub.unavailable(&[]));
    }
    let mut found = Vec::new();
    for name in names {
        let looked: Looked = look(hub, &name).await?;
        let status = status(hub, name, &looked);
        if status.is_in_use() {
            found.push(status);
        }
    }
    Ok(found)
}

/// Adds the names that one server has; whether it told all of them.
pub(crate) async fn scan(
    hub: &Rc<Hub>,
    id: NodeId,
    prefix: &str,
    names: &mut BTreeSet<LockName>,
) -> bool {
    let mut cursor = "0".to_owned();
    loop {
        let limit = clock::now().saturating_add(hub.options.timeout);
        let from = cursor.clone();
        let question = move |_: &Live, _| {
            Packed::of(&["SCAN", &from, "MATCH", Keys::OURS_ALL, "COUNT", COUNT])
        };
        let said = ask(hub, NodeSet::only(id), limit, question, decode).await;
        let Some((_, (next, keys))) = said.answers.into_iter().next() else {
            return false;
        };
        let locks = keys
            .iter()
            .filter_map(|key| Keys::lock_of(key, &hub.options.prefix));
        names.extend(locks.filter(|name| name.as_str().starts_with(prefix)));
        cursor = next;
        if cursor == "0" {
            return true;
        }
    }
}

/// The answer to a `SCAN`: where to go on, and keys.
fn decode(value: &Value) -> Result<(String, Vec<String>), BadReply> {
    redis::from_redis_value_ref(value).map_err(|_| BadReply::new("SCAN", value))
}
