//! Distributed locks that are leases with fencing tokens and deadlines, on the store you have.
