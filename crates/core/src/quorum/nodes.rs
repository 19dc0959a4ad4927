//! The nodes of a quorum, as small numbers and sets of bits.

use std::fmt;

use crate::Error;

/// The most nodes a quorum may have.
///
/// More than nine independent servers for one lock service cost more than they
/// add, and a fixed bound keeps every operation free of allocation.
pub const MAX_NODES: usize = 9;

/// One node: its place in the list of configured nodes, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u8);

impl NodeId {
    /// The node at this place, or `None` from [`MAX_NODES`] on.
    #[must_use]
    pub const fn new(place: usize) -> Option<Self> {
        if place < MAX_NODES {
            Some(Self(place as u8))
        } else {
            None
        }
    }

    /// Its place, to index an array of [`MAX_NODES`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Some of the nodes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct NodeSet(u16);

impl NodeSet {
    /// No node.
    pub const EMPTY: Self = Self(0);

    /// The first `count` nodes.
    #[must_use]
    pub const fn first(count: usize) -> Self {
        let count = if count > MAX_NODES { MAX_NODES } else { count };
        Self((1 << count) - 1)
    }

    /// This node alone.
    #[must_use]
    pub const fn only(node: NodeId) -> Self {
        Self(1 << node.0)
    }

    /// Whether the node is among them.
    #[must_use]
    pub const fn contains(self, node: NodeId) -> bool {
        self.0 & (1 << node.0) != 0
    }

    /// These and one more.
    #[must_use]
    pub const fn with(self, node: NodeId) -> Self {
        Self(self.0 | 1 << node.0)
    }

    /// These without those.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Those that are in either.
    #[must_use]
    pub const fn or(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// How many.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One after the other, by place.
    pub fn iter(self) -> impl Iterator<Item = NodeId> {
        (0..MAX_NODES as u8)
            .map(NodeId)
            .filter(move |&node| self.contains(node))
    }
}

impl FromIterator<NodeId> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> Self {
        nodes.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|n| n.0)).finish()
    }
}

/// How many nodes are configured, and so how many make a quorum.
///
/// Always of the *configured* nodes: a majority of those that happen to be
/// reachable may be met by two clients on either side of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum(u8);

impl Quorum {
    /// For this many configured nodes.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for none or more than [`MAX_NODES`]. Nothing was sent,
    /// so nothing is held.
    pub fn of(nodes: usize) -> Result<Self, Error> {
        match u8::try_from(nodes) {
            Ok(count) if count >= 1 && nodes <= MAX_NODES => Ok(Self(count)),
            _ => Err(Error::invalid(
                "number of nodes",
                nodes.to_string(),
                format!("give 1 to {MAX_NODES} independent servers; 3 or 5 suit most uses"),
            )),
        }
    }

    /// How many nodes are configured.
    #[must_use]
    pub const fn nodes(self) -> usize {
        self.0 as usize
    }

    /// How many make a quorum: more than half.
    #[must_use]
    pub const fn size(self) -> usize {
        self.nodes() / 2 + 1
    }

    /// How many may fail with a quorum left.
    #[must_use]
    pub const fn spare(self) -> usize {
        self.nodes() - self.size()
    }

    /// All configured nodes.
    #[must_use]
    pub const fn all(self) -> NodeSet {
        NodeSet::first(self.nodes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_is_more_than_half_of_the_configured_nodes() {
        let sizes: Vec<_> = (1..=MAX_NODES)
            .map(|n| Quorum::of(n).unwrap().size())
            .collect();
        assert_eq!(sizes, [1, 2, 2, 3, 3, 4, 4, 5, 5]);
        assert!(Quorum::of(0).is_err() && Quorum::of(10).is_err());
    }

    #[test]
    fn sets_of_nodes() {
        let some: NodeSet = [0, 2, 8].into_iter().filter_map(NodeId::new).collect();
        assert_eq!(some.len(), 3);
        assert_eq!(format!("{some:?}"), "{0, 2, 8}");
        let rest = NodeSet::first(MAX_NODES).without(some);
        assert_eq!(rest.len(), 6);
        assert!(rest.and(some).is_empty() && rest.or(some) == NodeSet::first(9));
        assert_eq!(NodeId::new(MAX_NODES), None);
    }
}
