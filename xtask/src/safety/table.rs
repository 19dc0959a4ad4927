//! Results as tables. A figure that a result does not have is shown as `?`, never made up.

use std::collections::BTreeMap;

use serde_json::Value;

use super::parts::{Form, Part};
use super::saved::Saved;

/// What a shown result may have at most, in lines; the beginning of a longer one is left out.
const LINES: usize = 120;

/// One line for each part.
pub(crate) fn overview(all: &[(&Part, Option<Saved>)]) -> String {
    let mut lines = vec![
        "| proof | result | seed | date |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    for (part, saved) in all {
        let (result, seed, date) = match saved {
            None => ("not run".to_owned(), String::new(), String::new()),
            Some(saved) => (result(part, saved), seed(saved), saved.date.clone()),
        };
        lines.push(format!("| {} | {result} | {seed} | {date} |", part.about));
    }
    lines.join("\n")
}

fn result(part: &Part, saved: &Saved) -> String {
    let totals = &saved.figures["totals"];
    let short = if saved.quick { ", short run" } else { "" };
    if part.form == Form::Faults {
        let mut safety = vec!["overlaps", "deadline_violations", "ownership_violations"];
        if !part.is_of_a_peer() {
            // What only ours promises.
            safety.extend(["token_violations", "wrongly_accepted", "stuck_waiters"]);
        }
        let broken: u64 = safety.iter().filter_map(|key| totals[*key].as_u64()).sum();
        let said = format!(
            "{} grants; {broken} broken promises; {} stale writes{short}",
            number(&totals["grants"]),
            number(&totals["stale_writes"]),
        );
        return match saved.exit != 0 && !part.is_of_a_peer() {
            true => format!("**FAILED**: {said}"),
            false => said,
        };
    }
    match saved.exit {
        0 => format!("holds{short}"),
        _ => "**FAILED**".to_owned(),
    }
}

/// The seed, from the figures or from what was said.
fn seed(saved: &Saved) -> String {
    if let Some(seed) = saved.figures["seed"].as_u64() {
        return seed.to_string();
    }
    let words = saved
        .output
        .split(|c: char| c.is_whitespace() || ":,;=".contains(c));
    let mut words = words.filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let next = if word == "seed" { words.next() } else { None };
        if let Some(seed) = next.filter(|seed| seed.bytes().all(|byte| byte.is_ascii_digit())) {
            return seed.to_owned();
        }
    }
    String::new()
}

/// Text as it came.
pub(crate) fn text(saved: &Saved) -> String {
    let said = saved.said();
    let lines: Vec<_> = said.lines().collect();
    let from = lines.len().saturating_sub(LINES);
    let cut = if from > 0 { "…\n" } else { "" };
    format!(
        "{}```text\n{cut}{}\n```",
        failed(saved),
        lines[from..].join("\n")
    )
}

/// Names of tests, and how each ended.
pub(crate) fn tests(saved: &Saved) -> String {
    let mut passed = Vec::new();
    let mut others = Vec::new();
    let mut left_out = 0;
    for line in saved.output.lines() {
        let Some((name, end)) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.split_once(" ... "))
        else {
            continue;
        };
        match end.trim() {
            "ok" => passed.push(name.trim().replace('_', " ")),
            // What an engine says that it cannot do is not asked of it.
            "ignored" => left_out += 1,
            end => others.push(format!("{}: {end}", name.trim())),
        }
    }
    let mut shown = format!("{}{} passed", failed(saved), passed.len());
    if left_out > 0 {
        shown.push_str(&format!(", {left_out} do not apply"));
    }
    match others.is_empty() {
        true => shown.push_str(", none failed."),
        false => shown.push_str(&format!("; not: {}.", others.join(", "))),
    }
    format!(
        "{shown}\n\n<details><summary>Which</summary>\n\n{}\n\n</details>",
        list(&passed)
    )
}

/// Names of tests; those of a module as one line.
fn list(names: &[String]) -> String {
    let mut modules = BTreeMap::<String, usize>::new();
    for name in names {
        let mut parts = name.split("::");
        let module = match (parts.next(), parts.next()) {
            (Some(first), Some(second)) => format!("{first}: {second}"),
            _ => name.clone(),
        };
        *modules.entry(module).or_default() += 1;
    }
    let lines = modules.iter().map(|(module, count)| match count {
        1 => format!("* {module}"),
        _ => format!("* {module}, {count} tests"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// By kind of fault.
pub(crate) fn faults(saved: &Saved) -> String {
    let figures = &saved.figures;
    let tokens = figures["tokens"].as_bool() == Some(true);
    let mut lines = vec![
        "| fault | times | grants | C1 | C3 | C3 beyond | C2, C4 | fence | stale writes | stuck | longest gap |".to_owned(),
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|".to_owned(),
    ];
    let classes = figures["classes"].as_array().map_or(&[][..], Vec::as_slice);
    for class in classes {
        let kind = match class["kind"].as_str() {
            None | Some("") => "none".to_owned(),
            Some(kind) => format!("{kind}, {}", scope(&class["scope"])),
        };
        let kind = if class["voids"].as_bool() == Some(true) {
            format!("{kind} †")
        } else {
            kind
        };
        lines.push(row(
            &kind,
            &number(&class["windows"]),
            &class["figures"],
            tokens,
        ));
    }
    lines.push(row("**all**", "", &figures["totals"], tokens));
    let mut shown = format!(
        "{}{} on {}, seed {}, TTL {} ms, `max_ttl` {} ms.\n\n{}",
        failed_unless(saved, !tokens),
        client(saved),
        figures["server"].as_str().unwrap_or("?"),
        seed(saved),
        number(&figures["ttl_ms"]),
        number(&figures["max_ttl_ms"]),
        lines.join("\n"),
    );
    let left = figures["left_out"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    for left in left.iter().filter_map(Value::as_str) {
        shown.push_str(&format!("\n\nLeft out: {left}."));
    }
    shown
}

fn row(kind: &str, times: &str, figures: &Value, tokens: bool) -> String {
    let judged = |key: &str| {
        if tokens {
            number(&figures[key])
        } else {
            "no tokens".to_owned()
        }
    };
    let gap = figures["longest_without_grant_us"].as_u64();
    let gap = gap.map_or("?".to_owned(), |micros| {
        format!("{:.2} s", micros as f64 / 1e6)
    });
    let own = ["deadline_violations", "ownership_violations"];
    let own: u64 = own.iter().filter_map(|key| figures[*key].as_u64()).sum();
    format!(
        "| {kind} | {times} | {} | {} | {} | {} | {own} | {} | {} | {} | {gap} |",
        number(&figures["grants"]),
        judged("token_violations"),
        number(&figures["overlaps"]),
        number(&figures["overlaps_outside"]),
        judged("wrongly_accepted"),
        number(&figures["stale_writes"]),
        number(&figures["stuck_waiters"]),
    )
}

fn scope(scope: &Value) -> &str {
    match scope.as_str() {
        Some("minority") => "a minority",
        Some("majority") => "a majority",
        Some("client") => "a client's process",
        other => other.unwrap_or("?"),
    }
}

/// Ours and theirs in one table.
pub(crate) fn peers(all: &[(&Part, Option<Saved>)]) -> String {
    let mut lines = vec![
        "| client | minutes | grants | overlaps (C3) | beyond what C3 assumes | stale writes | refused by the fence | errors | unknown | stuck | longest gap |".to_owned(),
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|".to_owned(),
    ];
    for (part, saved) in all.iter().filter(|(part, _)| part.form == Form::Faults) {
        let Some(saved) = saved else {
            lines.push(format!("| {} | not run | | | | | | | | | |", part.about));
            continue;
        };
        let totals = &saved.figures["totals"];
        let tokens = saved.figures["tokens"].as_bool() == Some(true);
        let fenced = if tokens {
            number(&totals["refused_writes"])
        } else {
            "no tokens".to_owned()
        };
        let seconds = saved.figures["seconds"].as_u64();
        let gap = totals["longest_without_grant_us"].as_u64();
        lines.push(format!(
            "| {} | {} | {} | {} | {} | {} | {fenced} | {} | {} | {} | {} |",
            client(saved),
            seconds.map_or("?".to_owned(), |seconds| format!(
                "{:.1}",
                seconds as f64 / 60.0
            )),
            number(&totals["grants"]),
            number(&totals["overlaps"]),
            number(&totals["overlaps_outside"]),
            number(&totals["stale_writes"]),
            number(&totals["errors"]),
            number(&totals["unknown"]),
            number(&totals["stuck_waiters"]),
            gap.map_or("?".to_owned(), |micros| format!(
                "{:.2} s",
                micros as f64 / 1e6
            )),
        ));
    }
    lines.join("\n")
}

/// The client that was driven, and its version.
pub(crate) fn client(saved: &Saved) -> String {
    let text = |key: &str| saved.figures[key].as_str().unwrap_or("?");
    format!(
        "{} {}",
        text("client"),
        text("version").trim_start_matches('v')
    )
}

/// By target.
pub(crate) fn fuzz(saved: &Saved) -> String {
    let mut lines = vec![
        "| target | inputs | kinds of answers | memory at once | found |".to_owned(),
        "|---|--:|--:|--:|---|".to_owned(),
    ];
    let mut tallies = Vec::new();
    let targets = saved.figures["targets"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    for target in targets {
        let text = |key: &str| target[key].as_str().unwrap_or("?");
        let peak = target["peak_bytes"].as_u64();
        lines.push(format!(
            "| {}: {} | {} | {} | {} | {} |",
            text("target"),
            text("about"),
            number(&target["inputs"]),
            number(&target["answers"]),
            peak.map_or("?".to_owned(), |bytes| format!("{} KiB", bytes >> 10)),
            target["found"].as_str().unwrap_or("nothing"),
        ));
        let tally = target["tally"].as_object().into_iter().flatten();
        tallies.extend(tally.map(|(what, count)| format!("{} {what}", number(count))));
    }
    format!(
        "{}Seed {}.\n\n{}\n\nAgainst servers that lie: {}.",
        failed(saved),
        seed(saved),
        lines.join("\n"),
        tallies.join("; ")
    )
}

fn failed(saved: &Saved) -> &'static str {
    failed_unless(saved, false)
}

fn failed_unless(saved: &Saved, fine: bool) -> &'static str {
    match saved.exit == 0 || fine {
        true => "",
        false => "**FAILED.**\n\n",
    }
}

/// With its thousands apart.
fn number(value: &Value) -> String {
    let Some(number) = value.as_u64() else {
        return "?".to_owned();
    };
    let digits = number.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn saved(output: &str, figures: Value) -> Saved {
        Saved {
            command: String::new(),
            date: String::new(),
            commit: String::new(),
            seconds: 1,
            exit: 0,
            quick: false,
            output: output.to_owned(),
            figures,
        }
    }

    #[test]
    fn a_figure_that_is_not_there_is_not_made_up() {
        assert_eq!(number(&json!(1234567)), "1,234,567");
        assert_eq!(number(&json!(123)), "123");
        assert_eq!(number(&Value::Null), "?");
        let shown = faults(&saved(
            "",
            json!({ "tokens": true, "totals": { "grants": 7 } }),
        ));
        assert!(shown.contains("| **all** |  | 7 | ? | ? |"), "{shown}");
    }

    #[test]
    fn tests_that_did_not_pass_are_named() {
        let shown = tests(&saved(
            "test a_b ... ok\ntest c ... FAILED\ntest d ... ignored\n",
            Value::Null,
        ));
        assert!(
            shown.contains("1 passed, 1 do not apply; not: c: FAILED."),
            "{shown}"
        );
        assert!(shown.contains("* a b"), "{shown}");
    }

    #[test]
    fn a_seed_is_found_in_what_was_said() {
        assert_eq!(seed(&saved("from seed 17, 3 runs", Value::Null)), "17");
        assert_eq!(
            seed(&saved("from each seed as, seed: 18\n", Value::Null)),
            "18"
        );
        assert_eq!(seed(&saved("", json!({ "seed": 19 }))), "19");
    }
}
