//! The set as a whole: how many servers, how many vote, where tokens are.

use std::collections::BTreeMap;
use std::time::Duration;

use leasehold_core::{Finding, Promise, Severity, Token};

use super::memory::{Standing, whole};
use super::{Case, clocks, spoken};

use Promise::{C1, C3, C6};

/// Tokens of a second of the era clock.
const PER_SECOND: u64 = 1 << 20;

pub(super) fn findings(case: &Case<'_>) -> Vec<Finding> {
    let mut all = vec![servers(case)];
    all.extend(duplicates(case));
    all.push(quorum(case));
    all.extend(spare(case));
    all.extend(clocks::of_set(case));
    all.extend(era(case));
    all.push(lengths(case));
    all.extend(fresh(case));
    all
}

fn finding(severity: Severity, check: &'static str, detail: impl Into<String>) -> Finding {
    Finding::new(severity, check, Finding::SET, detail)
}

fn servers(case: &Case<'_>) -> Finding {
    let (nodes, quorum) = (case.nodes.len(), case.quorum());
    let spare = nodes - quorum;
    let said = match nodes {
        1 => "1 server".to_owned(),
        nodes => format!("{nodes} servers, of which {quorum} decide"),
    };
    match nodes {
        1 => finding(Severity::Note, "servers", said)
            .means(&[C6], "no lock can be had while it is down")
            .remedy("three or five independent servers survive one or two failures"),
        nodes if nodes.is_multiple_of(2) => finding(Severity::Warning, "servers", said)
            .means(
                &[C6],
                format!(
                    "{spare} may fail, as many as of {} servers, and there are more that can",
                    nodes - 1
                ),
            )
            .remedy("use an odd number of servers"),
        _ => finding(Severity::Ok, "servers", format!("{said}; {spare} may fail")),
    }
}

/// Two names for one server process.
fn duplicates(case: &Case<'_>) -> Vec<Finding> {
    let mut names = BTreeMap::<String, Vec<&str>>::new();
    for node in case.reached() {
        let server = node
            .facts
            .info
            .as_ref()
            .and_then(|info| info.server.as_ref());
        if let Some(server) = server {
            names
                .entry(server.run_id.to_string())
                .or_default()
                .push(node.name);
        }
    }
    let twice = names.iter().filter(|(_, names)| names.len() > 1);
    let report = |(run_id, names): (&String, &Vec<&str>)| {
        finding(
            Severity::Error,
            "duplicate",
            format!("{} are one server: each tells the run id {run_id}", names.join(" and ")),
        )
        .means(&[C1, C3], "it would vote more than once, and make a quorum that shares no server with another quorum")
        .remedy("list each server once")
    };
    twice.map(report).collect()
}

/// Whether a quorum votes, and if not, what comes of it.
fn quorum(case: &Case<'_>) -> Finding {
    const CHECK: &str = "quorum";
    let standings: Vec<_> = case.standings().collect();
    let count = |wanted: fn(&Standing) -> bool| standings.iter().filter(|s| wanted(s)).count();
    let voting = count(|standing| matches!(standing, Standing::Votes | Standing::Kept));
    let unknown = count(|standing| matches!(standing, Standing::Unknown));
    let known = standings.len() - unknown;
    let (nodes, quorum) = (case.nodes.len(), case.quorum());
    let said = format!("{voting} of {nodes} vote, and {quorum} must");
    if voting >= quorum {
        return finding(Severity::Ok, CHECK, said);
    }
    if known < quorum {
        return finding(Severity::Error, CHECK, said)
            .means(&[C6], "no lock can be had, and leases cannot be renewed; those held are valid until their deadlines")
            .remedy("bring servers back, or mend what is found of them below");
    }
    let forgotten = known - voting;
    if forgotten <= nodes - quorum {
        return finding(Severity::Error, CHECK, said)
            .means(&[C6], "servers that have forgotten wait for those that cannot be asked, which may remember more; no lock can be had until then")
            .remedy("bring the missing servers back");
    }
    new_era(case, &standings, said)
}

/// More have forgotten than a quorum can do without: none is left to ask.
fn new_era(case: &Case<'_>, standings: &[Standing], said: String) -> Finding {
    const CHECK: &str = "quorum";
    if !case.options.era {
        return finding(
            Severity::Error,
            CHECK,
            format!("{said}; the others have no memory of tokens, and era=manual lets no new era begin"),
        )
        .means(&[C1, C6], "no lock can be had until an operator decides; tokens would go on from the servers' clocks")
        .remedy("see that no server which remembers is merely down and that the clocks are right, then run `leasehold doctor --new-era`");
    }
    let left = standings.iter().filter_map(|standing| match standing {
        Standing::Restarted { left } | Standing::Empty { left } => Some(*left),
        _ => None,
    });
    let left = left.max().unwrap_or(Duration::ZERO);
    let (severity, when) = match left.is_zero() {
        true => (Severity::Note, "with the next client".to_owned()),
        false => (Severity::Warning, format!("in {}", whole(left))),
    };
    finding(
        severity,
        CHECK,
        format!("{said}; the set is new or has lost its memory, and a new era of tokens begins {when}"),
    )
    .means(&[C1, C6], "no lock can be had until then; tokens go on from what is still remembered and from the servers' clocks")
    .remedy("nothing, if the set is new; else see that no server which remembers is merely down")
}

/// How many more failures a set survives that has a quorum.
fn spare(case: &Case<'_>) -> Option<Finding> {
    let votes = |standing: &Standing| matches!(standing, Standing::Votes | Standing::Kept);
    let voting = case.standings().filter(votes).count();
    let (nodes, quorum) = (case.nodes.len(), case.quorum());
    if voting < quorum || voting == nodes {
        return None;
    }
    let spare = voting - quorum;
    let severity = if spare == 0 {
        Severity::Warning
    } else {
        Severity::Note
    };
    Some(
        finding(
            severity,
            "spare",
            format!(
                "{} of {nodes} do not vote; {spare} more may fail",
                nodes - voting
            ),
        )
        .means(&[C6], "with fewer than a quorum no lock can be had")
        .remedy("bring the others back; what is wrong with them stands below"),
    )
}

/// Whether a total loss now would begin an era above all tokens.
fn era(case: &Case<'_>) -> Option<Finding> {
    const CHECK: &str = "era";
    let records = case
        .reached()
        .filter_map(|node| node.facts.record.as_ref().ok());
    let mark = records.map(|record| record.mark).max()?;
    let latest = case
        .reached()
        .map(|node| node.facts.clock.unix_micros)
        .max()?;
    let seconds = u64::try_from(latest / 1_000_000).unwrap_or(0);
    let clock = Token::era(seconds);
    let begins = match case.options.era {
        true => "era=auto",
        false => "era=manual",
    };
    if mark == Token::NONE {
        return Some(finding(
            Severity::Ok,
            CHECK,
            format!("no token has been granted yet; {begins}"),
        ));
    }
    let apart = |a: Token, b: Token| {
        spoken(Duration::from_secs(
            a.get().saturating_sub(b.get()) / PER_SECOND,
        ))
    };
    // Tokens of the running second are no sign of anything.
    if mark <= Token::era(seconds + 1) {
        return Some(finding(
            Severity::Ok,
            CHECK,
            format!(
                "counters stand at {mark}, {} behind the clock that a new era begins from; {begins}",
                apart(clock, mark)
            ),
        ));
    }
    Some(
        finding(
            Severity::Warning,
            CHECK,
            format!("counters stand at {mark}, {} ahead of the clock that a new era begins from; {begins}", apart(mark, clock)),
        )
        .means(&[C1], "if a quorum lost its memory now, tokens could come again; nothing happens as long as a quorum remembers")
        .remedy("correct the servers' clocks if they are behind; use durable=yes, or era=manual to be asked first"),
    )
}

/// TTL, timeout and `max_ttl` against each other.
pub(super) fn lengths(case: &Case<'_>) -> Finding {
    const CHECK: &str = "ttl";
    let (ttl, timeout, max_ttl) = (case.ttl, case.options.timeout, case.options.max_ttl);
    let said = format!(
        "TTL {}, timeout {}, max_ttl {}",
        spoken(ttl),
        spoken(timeout),
        spoken(max_ttl)
    );
    if ttl > max_ttl {
        return finding(Severity::Error, CHECK, said)
            .means(
                &[C3],
                "a lease longer than max_ttl is refused: no quarantine would cover it",
            )
            .remedy("raise max_ttl in every client's URL, or take shorter leases");
    }
    if timeout > ttl / 3 {
        return finding(Severity::Warning, CHECK, said)
            .means(&[C6], "leases are renewed at a third of the TTL; one answer waited for in vain may cost a lease")
            .remedy(format!("set timeout= to {} or less, or take longer leases", spoken(ttl / 3)));
    }
    finding(Severity::Ok, CHECK, said)
}

pub(super) fn fresh(case: &Case<'_>) -> Option<Finding> {
    if !case.options.fresh {
        return None;
    }
    let (detail, touches, meaning): (_, &[_], _) = match case.is_old {
        true => (
            "the URL says fresh=yes of a set that is in use",
            &[],
            "it is not believed any more, and only misleads",
        ),
        false => (
            "the URL says fresh=yes",
            &[C1, C3],
            "for the first max_ttl of a set's life it is believed even after a loss; meant for the first installation and for tests",
        ),
    };
    Some(
        finding(Severity::Note, "fresh", detail)
            .means(touches, meaning)
            .remedy("take fresh=yes out of the URL once the set has been used"),
    )
}
