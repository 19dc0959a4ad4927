//! `leasehold acquire`: a lease that outlives this process, for scripts.

use std::io::{self, Write};
use std::process::ExitCode;

use leasehold::Lease;
use pollster::block_on;
use serde_json::json;

use crate::args::AcquireArgs;
use crate::context::{Context, Opened};
use crate::failure::{Failure, code};
use crate::job::{Signals, signal_exit};
use crate::output::print_json;
use crate::owner;
use crate::take::Take;
use crate::waiting::{self, Outcome};

pub(super) fn acquire(context: &Context, args: AcquireArgs) -> Result<ExitCode, Failure> {
    let plan = Take::new(&args.take)?;
    let signals = Signals::install().map_err(|error| Failure::no_threads(&error))?;
    let opened = context.open(args.take.owner.unwrap_or_else(owner::of_parent))?;
    let request = plan.request(&opened.locks).renew(false).detached();
    let lease = match waiting::take(context, &opened.locks, &plan, request, &signals)? {
        Outcome::Held(lease) => lease,
        Outcome::Signal(signal) => return Ok(signal_exit(signal)),
    };
    // Whoever cannot read the nonce cannot release the lease, so it is kept only
    // once it has been printed.
    if let Err(error) = print(context, &lease, &opened) {
        block_on(lease.release())?;
        let message = format!("cannot write the output: {error}; the lock was given back");
        return Err(Failure::new(code::IO, "io", message));
    }
    let _printed = lease.keep();
    Ok(ExitCode::SUCCESS)
}

fn print(context: &Context, lease: &Lease, opened: &Opened) -> io::Result<()> {
    let (name, token, nonce) = (lease.name(), lease.token(), lease.nonce());
    if context.json() {
        return print_json(&json!({
            "name": name,
            "token": token,
            "nonce": nonce,
            "owner": lease.owner(),
            "mode": lease.mode(),
            "ttl_seconds": lease.ttl().get().as_secs_f64(),
            "url": opened.url,
        }));
    }
    let text = format!(
        "export LEASEHOLD_NAME={}\nexport LEASEHOLD_TOKEN={token}\n\
         export LEASEHOLD_NONCE={nonce}\nexport LEASEHOLD_URL={}\n",
        quoted(name.as_str()),
        quoted(&opened.url),
    );
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// A text as one word for any POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_survives_a_shell() {
        for text in ["plain", "it's", "$(reboot)", "`x` \\ \"q\" *", "'", "é 錠"] {
            let script = format!("printf %s {}", quoted(text));
            let out = std::process::Command::new("sh")
                .args(["-c", &script])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(out.stdout).unwrap(), text);
        }
    }
}
