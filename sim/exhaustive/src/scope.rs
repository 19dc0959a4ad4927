//! How much may happen.

/// One scope.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    /// For the table.
    pub(crate) name: &'static str,
    /// How many clients, each of which asks once.
    pub(crate) clients: usize,
    /// They wait in line, and release what they get.
    pub(crate) line: bool,
    /// How often a node forgets everything, in place or by a restart.
    pub(crate) losses: u8,
    /// Only the first node does.
    pub(crate) victim: bool,
    /// How often the keys of a node run out.
    pub(crate) expiries: u8,
    /// How often a client loses its patience.
    pub(crate) ticks: u8,
}

const NONE: Scope = Scope {
    name: "",
    clients: 2,
    line: false,
    losses: 0,
    victim: false,
    expiries: 0,
    ticks: 0,
};

/// What is checked, from small to large.
pub(crate) const SCOPES: &[Scope] = &[
    Scope {
        name: "2 clients, 2 keys run out, patience ends once",
        expiries: 2,
        ticks: 1,
        ..NONE
    },
    Scope {
        name: "2 clients, one node forgets once and rejoins",
        losses: 1,
        victim: true,
        ..NONE
    },
    Scope {
        name: "2 clients, one node forgets twice and rejoins",
        losses: 2,
        victim: true,
        ..NONE
    },
    Scope {
        name: "2 clients, any node forgets, 1 key runs out",
        losses: 1,
        expiries: 1,
        ..NONE
    },
    Scope {
        name: "2 clients in line that release",
        line: true,
        ..NONE
    },
    Scope {
        name: "3 clients, 2 keys run out",
        clients: 3,
        expiries: 2,
        ..NONE
    },
    Scope {
        name: "3 clients, one node forgets and rejoins, 2 keys run out",
        clients: 3,
        losses: 1,
        victim: true,
        expiries: 2,
        ..NONE
    },
];
