//! The suite that every Leasehold engine must pass.
