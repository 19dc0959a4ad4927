//! The label of a client that gives none.

use leasehold_core::Owner;

/// Host, process id and program, as in `web-1 pid 4711 (invoice-job)`.
pub(crate) fn of_this_process() -> Owner {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let pid = std::process::id();
    let program = std::env::args_os().next();
    let program = program.as_deref().map(std::path::Path::new);
    match program.and_then(std::path::Path::file_name) {
        Some(program) => Owner::new(format!("{host} pid {pid} ({})", program.to_string_lossy())),
        None => Owner::new(format!("{host} pid {pid}")),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_label_names_this_process() {
        let label = super::of_this_process();
        let pid = std::process::id().to_string();
        assert!(
            label.as_str().contains(&format!("pid {pid} (leasehold")),
            "{label}"
        );
    }
}
