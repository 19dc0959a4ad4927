//! Which master serves which slots.

use redis::Value;

use crate::address::Endpoint;
use crate::fail::{Kind, Trouble};
use crate::scripts::slots::SLOTS;

/// Slots from the first to the last, both included.
pub(crate) type Range = (u16, u16);

/// One master, as the Cluster tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Master {
    pub(crate) endpoint: Endpoint,
    /// In ascending order; at least one.
    pub(crate) ranges: Vec<Range>,
    /// How many replicas follow it.
    pub(crate) replicas: usize,
}

/// Which master serves which slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotMap {
    pub(crate) masters: Vec<Master>,
}

impl SlotMap {
    /// What `CLUSTER SLOTS` said on the server at `asked`, whose host stands for hosts
    /// that it does not name.
    pub(crate) fn read(said: Value, asked: &Endpoint) -> Result<Self, Trouble> {
        type Node = (Option<String>, u16, String);
        let nonsense = || Trouble::nonsense("its CLUSTER SLOTS make no sense");
        let Value::Array(entries) = said else {
            return Err(nonsense());
        };
        let mut map = Self::default();
        for entry in entries {
            let Value::Array(entry) = entry else {
                return Err(nonsense());
            };
            let [first, last, master, replicas @ ..] = &entry[..] else {
                return Err(nonsense());
            };
            let number = |value: &Value| match value {
                Value::Int(number) => u16::try_from(*number).ok().filter(|slot| *slot < SLOTS),
                _ => None,
            };
            let range = number(first).zip(number(last)).ok_or_else(nonsense)?;
            // Later fields are facts that nobody here needs.
            let master = match master {
                Value::Array(fields) => Value::Array(fields.iter().take(3).cloned().collect()),
                _ => return Err(nonsense()),
            };
            let (host, port, _) =
                redis::from_redis_value::<Node>(master).map_err(|_| nonsense())?;
            let endpoint = endpoint(host, port, asked);
            map.add(endpoint, range, replicas.len());
        }
        match map.masters.is_empty() {
            false => Ok(map),
            true => Err(Trouble::new(
                Kind::Other,
                "no slot of its Cluster is assigned to a server",
                "finish setting the Cluster up: redis-cli --cluster create, or CLUSTER ADDSLOTS",
            )),
        }
    }

    fn add(&mut self, endpoint: Endpoint, range: Range, replicas: usize) {
        let known = self.masters.iter_mut().find(|one| one.endpoint == endpoint);
        match known {
            Some(master) => {
                master.ranges.push(range);
                master.ranges.sort_unstable();
            }
            None => self.masters.push(Master {
                endpoint,
                ranges: vec![range],
                replicas,
            }),
        }
    }

    /// Where this slot is served, if it is.
    pub(crate) fn master_of(&self, slot: u16) -> Option<&Endpoint> {
        let serves = |master: &&Master| {
            let mut ranges = master.ranges.iter();
            ranges.any(|(first, last)| (*first..=*last).contains(&slot))
        };
        self.masters
            .iter()
            .find(serves)
            .map(|master| &master.endpoint)
    }

    /// How many slots are served.
    pub(crate) fn covered(&self) -> usize {
        let ranges = self.masters.iter().flat_map(|master| &master.ranges);
        ranges
            .map(|(first, last)| usize::from(last.saturating_sub(*first)) + 1)
            .sum()
    }
}

fn endpoint(host: Option<String>, port: u16, asked: &Endpoint) -> Endpoint {
    // "?" is a host name that was announced as preferred and is not known.
    let host = host.filter(|host| !host.is_empty() && host != "?");
    match (host, asked) {
        (Some(host), _) => Endpoint::Tcp { host, port },
        (None, Endpoint::Tcp { host, .. }) => Endpoint::Tcp {
            host: host.clone(),
            port,
        },
        (None, other) => other.clone(),
    }
}

/// A slot that nobody serves.
pub(crate) fn unserved(slot: u16) -> Trouble {
    Trouble::new(
        Kind::Other,
        format!("no master of the Cluster serves slot {slot}"),
        "see CLUSTER NODES; bring its master back, or assign the slot: redis-cli --cluster fix",
    )
}

/// The detail of an error that says the server is no member of a Cluster.
pub(crate) fn is_no_member(trouble: &Trouble) -> bool {
    trouble.detail.contains("cluster support disabled")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, port: u16) -> Endpoint {
        Endpoint::Tcp {
            host: host.to_owned(),
            port,
        }
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn server(host: Value, port: i64) -> Value {
        Value::Array(vec![
            host,
            Value::Int(port),
            text("id"),
            Value::Array(vec![]),
        ])
    }

    fn entry(range: (i64, i64), servers: Vec<Value>) -> Value {
        let mut entry = vec![Value::Int(range.0), Value::Int(range.1)];
        entry.extend(servers);
        Value::Array(entry)
    }

    #[test]
    fn masters_and_their_slots_are_read() {
        let said = Value::Array(vec![
            entry((5, 9), vec![server(text("b"), 2), server(text("c"), 3)]),
            entry((0, 4), vec![server(text(""), 1)]),
            entry(
                (11, 16383),
                vec![server(text("b"), 2), server(text("c"), 3)],
            ),
            entry((10, 10), vec![server(Value::Nil, 1)]),
        ]);
        let map = SlotMap::read(said, &at("asked", 9)).unwrap();
        assert_eq!(map.masters.len(), 2);
        assert_eq!(map.masters[0].ranges, [(5, 9), (11, 16383)]);
        assert_eq!(map.masters[0].replicas, 1);
        assert_eq!(map.master_of(10), Some(&at("asked", 1)));
        assert_eq!(map.master_of(16383), Some(&at("b", 2)));
        assert_eq!(map.covered(), 16384);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for said in [
            Value::Okay,
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![entry((0, 16384), vec![server(text("a"), 1)])]),
            Value::Array(vec![entry((0, 1), vec![])]),
            Value::Array(vec![entry((0, 1), vec![Value::Int(1)])]),
            Value::Array(vec![]),
        ] {
            assert!(SlotMap::read(said, &at("a", 1)).is_err());
        }
        let gap = Value::Array(vec![entry((1, 16383), vec![server(text("a"), 1)])]);
        let map = SlotMap::read(gap, &at("a", 1)).unwrap();
        assert_eq!((map.master_of(0), map.covered()), (None, 16383));
    }
}
