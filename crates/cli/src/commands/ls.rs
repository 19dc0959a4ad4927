//! `leasehold ls`: the locks in use.

use anstyle::Style;
use leasehold::LockStatus;
use pollster::block_on;

use crate::args::LsArgs;
use crate::commands::status::left;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Column, FAINT, HEADING, Table, brief, columns, print, print_json};
use crate::owner;

/// How many waiters of one lock are named; `status` names all.
const WAITERS_SHOWN: usize = 3;

pub(super) fn ls(context: &Context, args: LsArgs) -> Result<(), Failure> {
    let opened = context.open(owner::of_this_process("ls"))?;
    let locks = block_on(opened.locks.list(&args.prefix))?;
    if context.json() {
        print_json(&locks)?;
    } else if locks.is_empty() {
        context.notice("empty", "no lock is held or waited for");
    } else {
        print(&table(&locks).render(columns()))?;
    }
    Ok(())
}

fn table(locks: &[LockStatus]) -> Table {
    let mut table = Table::new(
        0,
        [
            Column::text("LOCK", 10),
            Column::text("OWNER", 10),
            Column::text("MODE", 9),
            Column::whole("FOR"),
            Column::whole("LEFT"),
            Column::number("TOKEN"),
        ],
    );
    for lock in locks {
        rows(lock, &mut table);
    }
    table
}

fn rows(lock: &LockStatus, table: &mut Table) {
    // The name stands once, beside whoever comes first.
    let mut name = lock.name.to_string();
    let mut row =
        |owner: String, style, mode: String, since: String, left: (String, Style), token| {
            table.row([
                (std::mem::take(&mut name), HEADING),
                (owner, style),
                (mode, style),
                (since, style),
                left,
                (token, style),
            ]);
        };
    let plain = Style::new();
    for holder in &lock.holders {
        row(
            holder.owner.to_string(),
            plain,
            holder.mode.to_string(),
            brief(holder.held_for),
            left(holder),
            holder.token.to_string(),
        );
    }
    let none = || (String::new(), plain);
    for waiter in lock.waiters.iter().take(WAITERS_SHOWN) {
        row(
            waiter.owner.to_string(),
            FAINT,
            "waits".to_owned(),
            brief(waiter.waited),
            none(),
            String::new(),
        );
    }
    let more = lock.waiters.len().saturating_sub(WAITERS_SHOWN);
    if more > 0 {
        row(
            format!("and {more} more"),
            FAINT,
            "wait".to_owned(),
            String::new(),
            none(),
            String::new(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold::{HolderStatus, Mode, Nonce, Token, WaiterStatus};
    use std::time::Duration;

    #[test]
    fn the_table_fits_80_columns_whatever_is_in_it() {
        let nonce = Nonce::from_bytes([1; 16]);
        let mut lock = LockStatus::free("n".repeat(512).parse().unwrap(), Token::MAX, Token::NONE);
        let permit = Mode::permit_of(u32::MAX).unwrap();
        let mut holder = HolderStatus::new("o".repeat(256).into(), permit, Token::MAX, nonce);
        holder.held_for = Duration::from_secs(1000 * 86_400 + 23 * 3_600);
        holder.free_in = Duration::from_secs(30 * 86_400 - 1);
        lock.holders.push(holder);
        for _ in 0..9 {
            let waiter = WaiterStatus::new("w".repeat(99).into(), permit, nonce);
            lock.waiters.push(waiter);
        }
        let text = anstream::adapter::strip_str(&table(&[lock]).render(80)).to_string();
        for line in text.lines() {
            assert!(crate::output::width(line) <= 80, "{line}");
        }
        assert_eq!(text.lines().count(), 1 + 1 + WAITERS_SHOWN + 1, "{text}");
        assert!(text.contains("and 6 more"), "{text}");
    }
}
