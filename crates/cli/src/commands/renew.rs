//! `leasehold renew`: prolong a lease by its nonce.

use leasehold::Extended;
use pollster::block_on;
use serde_json::json;

use crate::args::RenewArgs;
use crate::commands::grant;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::print_json;
use crate::{owner, take};

pub(super) fn renew(context: &Context, args: RenewArgs) -> Result<(), Failure> {
    let ttl = take::ttl(&args.ttl)?;
    let (name, nonce) = grant::named(&args.grant)?;
    let opened = context.open(owner::of_this_process("renew"))?;
    match block_on(opened.locks.extend(name.as_str(), nonce, ttl))? {
        Extended::Extended => {
            if context.json() {
                print_json(&json!({
                    "name": name,
                    "nonce": nonce,
                    "renewed": true,
                    "ttl_seconds": ttl.as_secs_f64(),
                }))?;
            }
            Ok(())
        }
        Extended::Lost => Err(Failure::over(&name)),
    }
}
