//! What the machine itself tells: its clock and which run of it this is.

#[cfg(not(target_os = "linux"))]
compile_error!("leasehold-local needs Linux: CLOCK_BOOTTIME, the boot id and eventfd");

use std::fs;

use leasehold_core::{Error, StoreTime};
use rustix::time::{ClockId, clock_gettime};

use crate::fail::ENGINE;

/// Where the kernel tells one boot from another.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The store's clock: microseconds since the machine was started, with the time
/// it was suspended.
pub(crate) fn now() -> StoreTime {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let micros = u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000;
    StoreTime::from_micros(seconds * 1_000_000 + micros)
}

/// The identity of this run of the machine.
pub(crate) fn boot_id() -> Result<String, Error> {
    match fs::read_to_string(BOOT_ID) {
        Ok(id) => Ok(id.trim().to_owned()),
        Err(error) => Err(Error::unavailable(
            ENGINE,
            format!("{BOOT_ID} cannot be read: {error}"),
            "mount /proc; without the boot id a restart of the machine could not be told",
        )),
    }
}
