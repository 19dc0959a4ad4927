//! `quorum [untimed|timed] [--nodes N] [--runs N] [--seed N] [--mutation M] [--log]`

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let runs: u64 = args[2].parse().unwrap();
    let nodes: usize = args[1].parse().unwrap();
    let m = args.get(3).map(String::as_str);
    use leasehold_core::quorum::{Mutation::*, mutate};
    mutate(match m { Some("nopromote") => Some(NoPromote), Some("noraise") => Some(NoRaise), Some("reach") => Some(ReachableQuorum), Some("noticket") => Some(NoTicket), Some("create")=>Some(ExtendCreates), _ => None });
    let t = std::time::Instant::now();
    let (mut bad, mut grants, mut once, mut re) = (0, 0, 0, 0);
    let mut first = None;
    for seed in 0..runs {
        let setup = leasehold_sim_quorum::untimed::Setup { nodes, clients: 4, names: 1, events: 300 };
        let run = leasehold_sim_quorum::untimed::run(setup, seed, false);
        grants += run.grants; once += run.at_once; re += run.rejoined;
        if let Some(b) = run.broken { bad += 1; if first.is_none() { first = Some((seed, b)); } }
    }
    println!("{runs} runs {bad} bad first {first:?} grants {grants} once {once} rejoined {re} {:?}", t.elapsed());
}
