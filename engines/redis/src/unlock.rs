//! Breaking a lock by hand.

use std::rc::Rc;
use std::time::Duration;

use leasehold_core::quorum::NodeSet;
use leasehold_core::{
    BreakRequest, BreakStatus, Broken, Error, HeldBy, Nonce, Operation, StoreTime, Token,
};

use crate::bond::Live;
use crate::clock;
use crate::fail::ENGINE;
use crate::hub::Hub;
use crate::look::{Looked, agreed, ask, look, rank};
use crate::scripts::{BreakReply, HeldKey, decode_break};

/// Ends every lease of a lock.
///
/// What was seen is broken, on each node by its nonce; if the lock changes hands
/// meanwhile, it is looked at again.
pub(crate) async fn break_lock(hub: &Rc<Hub>, request: BreakRequest) -> Result<Broken, Error> {
    let keys = hub.keys(&request.name)?;
    let limit = clock::now().saturating_add(hub.options.timeout);
    let mut ended: Vec<HeldBy> = Vec::new();
    let mut tried = false;
    loop {
        let looked = match look(hub, &request.name).await {
            Err(Error::Unavailable { detail, .. }) if tried => return Err(unknown(detail)),
            looked => looked?,
        };
        refuse_foreign(&request, &looked)?;
        note(hub, &looked, &mut ended);
        let tokens = ended.iter().map(|held| held.token).collect();
        let (by, reason) = (request.by.clone(), request.reason.clone());
        let why = BreakStatus::new(by, reason, request.unix_seconds, tokens);
        let to = looked.views.iter().filter_map(|(_, view)| view.counter);
        let to = to.max().unwrap_or_default();
        let question = |live: &Live, id| {
            let view = looked.views.iter().find(|(node, _)| *node == id);
            let holders = view.map_or(&[][..], |(_, view)| &view.holders);
            let values: Vec<Vec<u8>> = holders.iter().map(HeldKey::identity).collect();
            hub.scripts.break_keys(&keys, &live.run, &values, to, &why)
        };
        let nodes: NodeSet = looked.views.iter().map(|(id, _)| *id).collect();
        let said = ask(hub, nodes, limit, question, decode_break).await;
        tried = true;
        let counters: Vec<Token> = said
            .answers
            .iter()
            .filter_map(|(_, reply)| match reply {
                BreakReply::Broken(counter) => *counter,
                BreakReply::Gone => None,
            })
            .collect();
        if counters.len() >= hub.quorum.size() {
            // A quorum has counted so far: the next agreement is above.
            let reached = rank(counters.into_iter(), hub.quorum.size()).unwrap_or_default();
            return Ok(Broken {
                ended,
                floor: reached.saturating_add(1),
                at: StoreTime::from_micros(request.unix_seconds.saturating_mul(1_000_000)),
            });
        }
        if clock::now() >= limit {
            return Err(unknown(hub.explain(&said.troubles).0));
        }
    }
}

fn unknown(detail: String) -> Error {
    Error::Indeterminate {
        operation: Operation::Break,
        engine: ENGINE,
        detail,
    }
}

/// A client that is not one of ours knows no token: breaking its lock would let
/// two work at once, and nothing could tell them apart.
fn refuse_foreign(request: &BreakRequest, looked: &Looked) -> Result<(), Error> {
    match looked.foreign().next() {
        None => Ok(()),
        Some(_) if request.force => Ok(()),
        Some(key) => {
            let value: String = String::from_utf8_lossy(&key.value)
                .chars()
                .take(40)
                .collect();
            Err(Error::invalid(
                "lock name",
                request.name.as_str(),
                format!(
                    "it is held by a client other than Leasehold, with the value {value:?}, which has no token to make void; stop that client first, then break the lock with force (leasehold break --force)"
                ),
            ))
        }
    }
}

/// Notes whose leases are ended.
fn note(hub: &Hub, looked: &Looked, ended: &mut Vec<HeldBy>) {
    for keys in looked.holders(hub) {
        let token = agreed(&keys).unwrap_or_default();
        let by = match &keys[0].lease {
            Some(lease) => HeldBy {
                owner: lease.owner.to_string(),
                token,
                nonce: lease.nonce,
                held_for: lease.held_for,
            },
            None => HeldBy {
                owner: format!(
                    "foreign client (value {:?})",
                    String::from_utf8_lossy(&keys[0].value)
                ),
                token,
                nonce: Nonce::from_bytes([0; 16]),
                held_for: Duration::ZERO,
            },
        };
        if !ended
            .iter()
            .any(|held| (held.nonce, &held.owner) == (by.nonce, &by.owner))
        {
            ended.push(by);
        }
    }
}
