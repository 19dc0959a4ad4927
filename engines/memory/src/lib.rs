//! Leasehold in the memory of one process, for tests.
