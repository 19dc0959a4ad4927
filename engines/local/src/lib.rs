//! Leasehold on a local file, for any number of processes of one machine.
