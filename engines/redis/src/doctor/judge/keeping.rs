//! What a node keeps over a restart, and whether the URL says so.

use leasehold_core::{Finding, Promise, Severity};

use super::super::facts::{Info, Keeping};
use super::{Case, Node, spoken};

use Promise::{C1, C3, C6};

pub(super) fn findings(case: &Case<'_>, node: Node<'_>) -> Vec<Finding> {
    let mut all = vec![persistence(case, node)];
    all.extend(
        node.facts
            .info
            .as_ref()
            .and_then(|info| disk(case, node, info)),
    );
    all
}

/// Whether each answer is on disk before it is given; `None` if that is not told.
fn keeps_all(keeping: &Keeping) -> Option<bool> {
    match (keeping.log?, keeping.fsync.as_deref()) {
        (false, _) => Some(false),
        (true, fsync) => fsync.map(|fsync| fsync == "always"),
    }
}

fn persistence(case: &Case<'_>, node: Node<'_>) -> Finding {
    const CHECK: &str = "persistence";
    let said = describe(&node.facts.keeping);
    let forgets = format!(
        "after a restart it stays away for {} (max_ttl), since it may have forgotten its last grants; if more than a minority restart at once, a new era of tokens begins by the servers' clocks",
        spoken(case.longest)
    );
    match (case.options.durable, keeps_all(&node.facts.keeping)) {
        (true, Some(true)) => node.finding(Severity::Ok, CHECK, format!("{said}, as durable=yes says")),
        (true, Some(false)) => node
            .finding(Severity::Error, CHECK, format!("{said}, but the URL says durable=yes"))
            .means(&[C1, C3], "after a crash it would vote without its last grants: two leases at once, and tokens that come again")
            .remedy("CONFIG SET appendonly yes and CONFIG SET appendfsync always, in its configuration file too; or take durable=yes out of the URL"),
        (true, None) => node
            .finding(Severity::Warning, CHECK, format!("{said}, and the URL says durable=yes"))
            .means(&[C1, C3], "if it does not sync each write before it answers, a crash leads to two leases at once, and tokens that come again")
            .remedy("check that appendonly is yes and appendfsync is always"),
        (false, Some(true)) => node
            .finding(Severity::Note, CHECK, format!("{said}, but the URL does not say durable=yes"))
            .means(&[C6], forgets)
            .remedy("if that never changes, and its disk keeps what it was told to, say durable=yes: then a restart costs no quarantine"),
        (false, _) => node
            .finding(Severity::Note, CHECK, said)
            .means(&[C1, C6], forgets)
            .remedy("appendonly yes, appendfsync always and durable=yes in the URL, if a restart shall cost nothing"),
    }
}

fn describe(keeping: &Keeping) -> String {
    let saves = keeping.save.as_deref().map(|save| !save.is_empty());
    match (keeping.log, keeping.fsync.as_deref(), saves) {
        (Some(true), Some(fsync), _) => format!("appendonly yes, appendfsync {fsync}"),
        (Some(true), None, _) => "appendonly yes, appendfsync is not told".to_owned(),
        (Some(false), _, Some(false)) => "it keeps nothing on disk".to_owned(),
        (Some(false), _, Some(true)) => "appendonly no, snapshots from time to time".to_owned(),
        (Some(false), _, None) => "appendonly no".to_owned(),
        (None, ..) => "what it keeps on disk is not told".to_owned(),
    }
}

/// Whether it could write the last time that it tried.
fn disk(case: &Case<'_>, node: Node<'_>, info: &Info) -> Option<Finding> {
    let failed = |key: &str| info.get(key) == Some("err");
    let what = match () {
        () if failed("aof_last_write_status") => "its last write to the append-only file failed",
        () if failed("rdb_last_bgsave_status") => "its last snapshot failed",
        () => return None,
    };
    let severity = match case.options.durable {
        true => Severity::Error,
        false => Severity::Warning,
    };
    Some(
        node.finding(severity, "disk", what)
            .means(&[C1, C3, C6], "Redis may refuse all writes until it succeeds again, and what it grants meanwhile is not kept")
            .remedy("see its log; make room on its disk, or mend the rights of its folder"),
    )
}
