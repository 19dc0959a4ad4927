//! `leasehold break`: end the leases of a lock by force.

use leasehold::{Broken, LockName};
use pollster::block_on;
use serde_json::json;

use crate::args::BreakArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{brief, columns, print, print_json, wrap};
use crate::owner;

pub(super) fn break_lock(context: &Context, args: BreakArgs) -> Result<(), Failure> {
    let name = LockName::new(&args.name)?;
    if args.reason.trim().is_empty() {
        return Err(Failure::usage(
            "--reason \"\" is not valid: say why, for whoever looks at `leasehold status` later",
        ));
    }
    let opened = context.open(owner::of_person())?;
    let (locks, reason) = (&opened.locks, &args.reason);
    let broken = match args.force {
        false => block_on(locks.break_lock(name.as_str(), reason))?,
        true => block_on(locks.break_by_force(name.as_str(), reason))?,
    };
    if context.json() {
        let ended: Vec<_> = broken
            .ended
            .iter()
            .map(|held| {
                json!({
                    "owner": held.owner,
                    "token": held.token,
                    "nonce": held.nonce,
                    "held_seconds": held.held_for.as_secs_f64(),
                })
            })
            .collect();
        print_json(&json!({
            "name": name,
            "reason": args.reason,
            "ended": ended,
            "floor": broken.floor,
        }))?;
    } else {
        print(&told(&name, &broken))?;
    }
    Ok(())
}

/// Before each lease that was ended.
const INDENT: &str = "  ";

/// What was done, for people.
fn told(name: &LockName, broken: &Broken) -> String {
    let mut text = match broken.ended.len() {
        0 => format!("lock {name:?} was free: no lease was ended\n"),
        1 => format!("lock {name:?} is broken: 1 lease was ended\n"),
        n => format!("lock {name:?} is broken: {n} leases were ended\n"),
    };
    for held in &broken.ended {
        let (token, owner) = (held.token, &held.owner);
        let what = format!(
            "token {token}, held by {owner} for {}",
            brief(held.held_for)
        );
        for line in wrap(&what, columns() - INDENT.len()) {
            text.push_str(&format!("{INDENT}{line}\n"));
        }
    }
    text.push_str(&format!(
        "the floor is now {}: every token below it is dead\n",
        broken.floor
    ));
    text
}
