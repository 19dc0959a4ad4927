//! `leasehold release`: give a lease back by its nonce.

use leasehold::Released;
use pollster::block_on;
use serde_json::json;

use crate::args::GrantArgs;
use crate::commands::grant;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::print_json;
use crate::owner;

pub(super) fn release(context: &Context, args: GrantArgs) -> Result<(), Failure> {
    let (name, nonce) = grant::named(&args)?;
    let opened = context.open(owner::of_this_process("release"))?;
    match block_on(opened.locks.release(name.as_str(), nonce))? {
        Released::Released => {
            if context.json() {
                print_json(&json!({ "name": name, "nonce": nonce, "released": true }))?;
            }
            Ok(())
        }
        // Nothing is held, as was wanted; but a script must learn that it has
        // worked without the lock.
        Released::AlreadyLost => Err(Failure::over(&name)),
    }
}
