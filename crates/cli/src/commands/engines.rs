//! `leasehold engines`: what this build can use.

use anstyle::Style;
use leasehold::{Capabilities, EngineInfo, Wakeup};
use serde_json::json;

use crate::args::EnginesArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Column, FAINT, HEADING, Table, columns, print, print_json, styled, wrap};

pub(super) fn engines(context: &Context, _args: EnginesArgs) -> Result<(), Failure> {
    if context.json() {
        let engines: Vec<_> = leasehold::engines().iter().map(as_json).collect();
        print_json(&engines)?;
    } else {
        print(&page(leasehold::engines(), columns()))?;
    }
    Ok(())
}

fn as_json(engine: &EngineInfo) -> serde_json::Value {
    json!({
        "kind": engine.kind,
        "url": engine.url,
        "about": engine.about,
        "available": engine.compiled_in,
        "capabilities": engine.capabilities,
    })
}

/// Before what an engine is.
const INDENT: &str = "    ";

/// What the engines are, then what each can do.
fn page(engines: &[EngineInfo], room: usize) -> String {
    let mut what = String::new();
    let mut can = Table::new(
        0,
        [
            Column::whole("ENGINE"),
            Column::whole("shared"),
            Column::whole("permits"),
            Column::whole("in order"),
            Column::whole("woken"),
            Column::whole("notes death"),
            Column::whole("watch"),
            Column::whole("ls"),
            Column::whole("break"),
        ],
    );
    for engine in engines {
        let style = if engine.compiled_in { HEADING } else { FAINT };
        what.push_str(&format!("{}  {}\n", styled(style, engine.kind), engine.url));
        let missing = if engine.compiled_in {
            ""
        } else {
            ", not in this build"
        };
        for line in wrap(&format!("{}{missing}", engine.about), room - INDENT.len()) {
            what.push_str(&format!("{INDENT}{line}\n"));
        }
        let kind = (engine.kind.to_owned(), style);
        can.row(std::iter::once(kind).chain(abilities(&engine.capabilities)));
    }
    format!("{what}\n{}", can.render(room))
}

fn abilities(can: &Capabilities) -> [(String, Style); 8] {
    let yes = |able: bool| match able {
        true => ("yes".to_owned(), Style::new()),
        false => ("no".to_owned(), FAINT),
    };
    let woken = match can.wakeup {
        Wakeup::Pushed => "pushed",
        _ => "polled",
    };
    [
        yes(can.shared),
        yes(can.permits),
        yes(can.ordered),
        (woken.to_owned(), Style::new()),
        yes(can.detects_death),
        yes(can.watch),
        yes(can.list),
        yes(can.break_lock),
    ]
}
