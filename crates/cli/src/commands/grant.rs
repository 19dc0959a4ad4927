//! Which grant `renew` and `release` mean.

use leasehold::{LockName, Nonce};

use crate::args::GrantArgs;
use crate::failure::Failure;

/// The grant that the arguments name, else the environment.
pub(super) fn named(args: &GrantArgs) -> Result<(LockName, Nonce), Failure> {
    let name = given(args.name.as_deref(), "LEASEHOLD_NAME").ok_or_else(|| {
        Failure::usage(
            "which lock? give its name, or set LEASEHOLD_NAME as `leasehold acquire` prints it",
        )
    })?;
    let nonce = given(args.nonce.as_deref(), "LEASEHOLD_NONCE").ok_or_else(|| {
        Failure::usage(
            "which lease? give --nonce, or set LEASEHOLD_NONCE as `leasehold acquire` prints it",
        )
    })?;
    Ok((LockName::new(name)?, nonce.parse()?))
}

fn given(argument: Option<&str>, variable: &str) -> Option<String> {
    argument.map(str::to_owned).or_else(|| {
        std::env::var(variable)
            .ok()
            .filter(|value| !value.is_empty())
    })
}
