//! `leasehold doctor`: what a careful operator would check.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anstyle::Style;
use leasehold::{Finding, Locks, Severity, diagnose};
use pollster::block_on;
use serde_json::json;

use crate::args::DoctorArgs;
use crate::config::Chosen;
use crate::context::{Context, blame};
use crate::failure::{Failure, code};
use crate::output::{ALERT, FAINT, FREE, HEADING, HELD, columns, print, print_json, styled, wrap};
use crate::{owner, take};

/// How often the servers are looked at while a new era begins.
const LOOK: Duration = Duration::from_millis(500);
/// The check that says whether a majority votes.
const QUORUM: &str = "quorum";

pub(super) fn doctor(context: &Context, args: DoctorArgs) -> Result<ExitCode, Failure> {
    let ttl = take::ttl(&args.ttl)?;
    if args.engine.is_some() && context.has_url() {
        return Err(Failure::usage(
            "name the engine once: as an argument or with --url",
        ));
    }
    let chosen = context.choose(args.engine.as_deref())?;
    if args.new_era {
        new_era(context, &chosen, ttl)?;
    }
    let findings = look(&chosen, &chosen.url, ttl)?;
    let worst = findings.iter().map(|finding| finding.severity).max();
    let worst = worst.unwrap_or(Severity::Ok);
    if context.json() {
        print_json(&json!({ "worst": worst, "findings": findings }))?;
    } else {
        print(&page(&findings, columns()))?;
    }
    Ok(ExitCode::from(exit_code(&findings, worst)))
}

fn look(chosen: &Chosen, url: &str, ttl: Duration) -> Result<Vec<Finding>, Failure> {
    block_on(diagnose(url, ttl)).map_err(|error| blame(chosen, error))
}

fn exit_code(findings: &[Finding], worst: Severity) -> u8 {
    let reached = findings
        .iter()
        .filter(|finding| finding.check == Finding::REACH);
    let mut reached = reached.map(|finding| finding.severity != Severity::Error);
    match worst {
        Severity::Ok | Severity::Note => 0,
        Severity::Warning => code::WARNINGS,
        Severity::Error if reached.any(|reached| reached) => code::ERRORS,
        Severity::Error => code::UNAVAILABLE,
    }
}

/// Opens the engine as one that may begin an era, and waits until a quorum votes or
/// is known not to.
fn new_era(context: &Context, chosen: &Chosen, ttl: Duration) -> Result<(), Failure> {
    let Some(url) = with_era(&chosen.url) else {
        return Err(Failure::usage(
            "--new-era is for Redis servers: name them, as in redis://r1,r2,r3",
        ));
    };
    let votes = |findings: &[Finding]| {
        let quorum = findings.iter().find(|finding| finding.check == QUORUM);
        quorum.map_or(Severity::Error, |finding| finding.severity)
    };
    if votes(&look(chosen, &url, ttl)?) == Severity::Ok {
        context.notice(
            "era",
            "no new era is needed: a majority remembers its tokens",
        );
        return Ok(());
    }
    let label = owner::of_this_process("doctor --new-era");
    let opening = Locks::builder().url(&url).owner(label).connect();
    // Its nodes join for as long as it is there.
    let _locks = block_on(opening).map_err(|error| blame(chosen, error))?;
    context.notice(
        "era",
        "waiting until a majority votes; interrupt it at any time",
    );
    loop {
        match votes(&look(chosen, &url, ttl)?) {
            Severity::Ok => {
                context.notice("era", "a majority votes");
                return Ok(());
            }
            // What is in the way is among the findings.
            Severity::Error => return Ok(()),
            _ => thread::sleep(LOOK),
        }
    }
}

/// The URL of Redis servers, with the word that a new era may begin.
fn with_era(url: &str) -> Option<String> {
    if !url.starts_with("redis") {
        return None;
    }
    let (place, keys) = url.split_once('?').unwrap_or((url, ""));
    let kept = keys
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("era="));
    let keys: Vec<_> = kept.chain(["era=auto"]).collect();
    Some(format!("{place}?{}", keys.join("&")))
}

/// Before what is found, after its mark and its check.
const INDENT: usize = 24;

/// The findings for people to read, in lines of at most `room` columns.
fn page(findings: &[Finding], room: usize) -> String {
    let mut page = String::new();
    let mut subject = None;
    let mut explained = BTreeSet::new();
    for finding in findings {
        if subject != Some(&finding.subject) {
            if subject.is_some() {
                page.push('\n');
            }
            let name = match &*finding.subject {
                Finding::SET => "All together",
                name => name,
            };
            page.push_str(&format!("{}\n", styled(HEADING, plain(name))));
            subject = Some(&finding.subject);
        }
        // What holds for every node is explained once.
        let why = (&finding.meaning, &finding.remedy);
        page.push_str(&entry(finding, explained.insert(why), room));
    }
    page.push_str(&format!("\n{}\n", summary(findings)));
    page
}

fn entry(finding: &Finding, explain: bool, room: usize) -> String {
    let style = match finding.severity {
        Severity::Ok => FREE,
        Severity::Note => FAINT,
        Severity::Warning => HELD,
        Severity::Error => ALERT,
    };
    let mark = format!("{:<8}", finding.severity.to_string());
    let head = format!("  {}{:<14}", styled(style, mark), finding.check);
    let mut entry = block(&head, &finding.detail, Style::new(), room);
    if finding.severity == Severity::Ok || !explain {
        return entry;
    }
    let margin = " ".repeat(INDENT);
    if !finding.meaning.is_empty() {
        let touches: Vec<_> = finding.touches.iter().map(ToString::to_string).collect();
        let meaning = match touches.is_empty() {
            true => finding.meaning.clone(),
            false => format!("{}: {}", touches.join(" "), finding.meaning),
        };
        entry.push_str(&block(&margin, &meaning, FAINT, room));
    }
    if let Some(remedy) = &finding.remedy {
        entry.push_str(&block(&margin, &format!("-> {remedy}"), Style::new(), room));
    }
    entry
}

/// A text behind a head, its further lines below its first.
fn block(head: &str, text: &str, style: Style, room: usize) -> String {
    let mut block = String::new();
    for (at, line) in wrap(&plain(text), room - INDENT).iter().enumerate() {
        match at {
            0 => block.push_str(head),
            _ => block.push_str(&" ".repeat(INDENT)),
        }
        block.push_str(&format!("{}\n", styled(style, line)));
    }
    block
}

fn summary(findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
    let parts = [
        (Severity::Error, "error"),
        (Severity::Warning, "warning"),
        (Severity::Note, "note"),
    ];
    let told = parts
        .iter()
        .filter_map(|(severity, word)| match count(*severity) {
            0 => None,
            1 => Some(format!("1 {word}")),
            many => Some(format!("{many} {word}s")),
        });
    let told: Vec<_> = told.collect();
    match told.is_empty() {
        true => "Nothing to say against it.".to_owned(),
        false => format!("{}.", told.join(", ")),
    }
}

/// What servers say may hold anything.
fn plain(text: &str) -> String {
    let shown = |c: char| match c.is_control() && !c.is_whitespace() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold::Promise;

    fn finding(severity: Severity, check: &'static str, subject: &str) -> Finding {
        Finding::new(severity, check, subject, "detail ".repeat(30))
            .means(&[Promise::C1, Promise::C6], "meaning ".repeat(30))
            .remedy("remedy ".repeat(30))
    }

    #[test]
    fn the_page_fits_80_columns_and_groups_by_node() {
        let findings = [
            finding(Severity::Warning, "persistence", Finding::SET),
            finding(Severity::Ok, "clock-steps", "r1:6379"),
            finding(Severity::Error, "file-system", "r1:6379"),
        ];
        let text = anstream::adapter::strip_str(&page(&findings, 80)).to_string();
        for line in text.lines() {
            assert!(crate::output::width(line) <= 80, "{line}");
        }
        assert_eq!(text.matches("r1:6379").count(), 1, "{text}");
        let remedies = text.matches("-> remedy").count();
        assert_eq!(remedies, 1, "said once, and not of what is well");
        assert!(text.contains("C1 C6: meaning"), "{text}");
        assert!(text.ends_with("1 error, 1 warning.\n"), "{text}");
    }

    #[test]
    fn what_a_server_says_cannot_reach_the_terminal() {
        let said = Finding::new(Severity::Ok, "server", "r1\x1b[2J", "a\x1b[2Jb\nc");
        let text = anstream::adapter::strip_str(&page(&[said], 80)).to_string();
        assert!(text.contains("\\u{1b}[2Jb c"), "{text:?}");
        assert!(text.contains("r1\\u{1b}"), "{text:?}");
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst() {
        let one = |severity, check| vec![finding(severity, check, "r1")];
        for (findings, code) in [
            (vec![], 0),
            (one(Severity::Note, "era"), 0),
            (one(Severity::Warning, "era"), 1),
            (one(Severity::Error, Finding::REACH), 69),
            (
                [
                    one(Severity::Error, Finding::REACH),
                    one(Severity::Ok, Finding::REACH),
                ]
                .concat(),
                3,
            ),
        ] {
            let worst = findings.iter().map(|f| f.severity).max();
            assert_eq!(exit_code(&findings, worst.unwrap_or(Severity::Ok)), code);
        }
    }

    #[test]
    fn a_new_era_is_a_word_in_the_url() {
        assert_eq!(
            with_era("redis://r1"),
            Some("redis://r1?era=auto".to_owned())
        );
        assert_eq!(
            with_era("rediss://r1?era=manual&ca=/x").as_deref(),
            Some("rediss://r1?ca=/x&era=auto")
        );
        assert_eq!(with_era("local:"), None);
    }
}
