//! The suite notices broken engines: each of these breaks one promise.

mod flawed;

use std::time::Duration;

use flawed::{Flaw, Flawed};
use leasehold_conformance::{Outcome, Pace, Suite};

/// Runs the cases that are to notice a flaw, on an engine with it and on one
/// without.
fn caught(flaw: Flaw, cases: &[&str]) {
    for name in cases {
        assert_eq!(
            run(Flaw::None, name),
            Outcome::Kept,
            "{name} without a flaw"
        );
        let outcome = run(flaw, name);
        assert!(
            matches!(outcome, Outcome::Broken(_)),
            "{flaw:?} goes unnoticed by {name}: {outcome:?}"
        );
    }
}

fn run(flaw: Flaw, name: &str) -> Outcome {
    let pace = Pace {
        // What never comes is awaited only so long.
        patience: match flaw {
            Flaw::None => Pace::default().patience,
            _ => Duration::from_secs(2),
        },
        ..Pace::default()
    };
    let suite = Suite::new(Flawed { flaw, pace });
    let case = suite.cases().find(|case| case.name() == name);
    case.unwrap_or_else(|| panic!("no case {name}")).run()
}

macro_rules! caught {
    ($($test:ident: $flaw:ident by [$($case:literal),*];)*) => {
        $(#[test]
        fn $test() {
            caught(Flaw::$flaw, &[$($case),*]);
        })*
    };
}

caught! {
    a_token_that_starts_anew: TokenResets by
        ["tokens::they_grow_over_releases", "outcomes::a_repeat_after_the_end_is_a_new_grant"];
    a_token_that_is_reset_by_a_collection: CollectionForgets by
        ["tokens::they_grow_over_collection"];
    an_extend_that_revives: ExtendRevives by
        ["ownership::an_extend_of_a_released_lease_is_lost",
         "ownership::an_extend_of_an_unknown_nonce_is_lost",
         "breaking::the_broken_lease_is_lost"];
    an_extend_that_does_nothing: ExtendDoesNothing by
        ["ownership::an_extend_prolongs"];
    a_release_of_whoever_holds_it: ReleaseIgnoresNonce by
        ["ownership::a_release_of_an_unknown_nonce_changes_nothing",
         "ownership::a_late_release_leaves_the_next_holder_alone"];
    a_release_that_is_always_in_time: ReleaseAlwaysSucceeds by
        ["ownership::a_second_release_is_already_lost"];
    a_release_that_a_drop_stops: ReleaseStopsWhenDropped by
        ["cancel::a_dropped_release_is_carried_out"];
    a_lock_with_two_holders: ExclusiveIsShared by
        ["exclusion::one_client_after_the_other", "exclusion::many_tries_at_once",
         "exclusion::many_clients_at_once"];
    a_shared_lock_that_is_exclusive: SharedIsExclusive by
        ["shared::beside_shared"];
    one_permit_too_many: OnePermitMore by
        ["permits::n_are_admitted_and_no_more", "permits::never_more_than_n_at_once"];
    names_that_fall_together: NamesIgnoreCase by
        ["exclusion::names_are_apart", "inspect::odd_names_come_back_as_they_were"];
    a_line_without_order: NoOrder by
        ["line::waiters_are_served_in_order", "line::nobody_passes_the_line"];
    a_wake_up_that_is_lost: NoHints by
        ["line::a_handover_is_hinted", "line::a_hint_before_the_wait_is_kept",
         "line::every_waiter_is_woken"];
    a_hint_that_came_too_early_for_its_reader: HintsNotKept by
        ["line::a_hint_before_the_wait_is_kept"];
    a_place_that_is_never_lost: PlacesLastForEver by
        ["line::whoever_falls_silent_falls_out", "line::a_handover_nobody_claims_passes_on"];
    a_lease_that_never_ends: NoExpiry by
        ["liveness::a_waiter_has_it_after_ttl_and_grace", "tokens::they_grow_over_expiry"];
    a_lease_without_its_grace: NoGrace by
        ["liveness::a_waiter_has_it_after_ttl_and_grace",
         "liveness::a_try_has_it_after_ttl_and_grace",
         "ownership::an_extend_within_the_grace_is_lost"];
    a_repeated_acquire_that_is_refused: RepeatsAreStrangers by
        ["outcomes::a_repeated_acquire_is_the_same_grant", "line::nobody_passes_the_line"];
    a_dropped_acquire_that_comes_after_its_release: DroppedAcquireComesLater by
        ["cancel::a_dropped_acquire_is_undone_by_a_release"];
    a_refused_request_that_waits: BusyWaits by
        ["outcomes::a_refused_request_leaves_nothing"];
    a_break_without_a_record: BreakUnrecorded by
        ["breaking::the_break_is_recorded"];
    a_break_that_leaves_the_floor: BreakKeepsFloor by
        ["breaking::the_floor_is_above_the_broken_token"];
    a_prefix_that_is_a_pattern: PrefixIsPattern by
        ["inspect::a_prefix_is_taken_at_its_word"];
    a_list_of_free_locks: ListsFreeLocks by
        ["inspect::locks_in_use_are_listed_by_name"];
    a_watch_that_never_tells: NeverChanges by
        ["watch::the_story_of_a_lock", "watch::it_resolves_without_a_change"];
    capabilities_that_hide_something: HidesShared by
        ["capabilities::they_are_told_truly"];
    capabilities_that_promise_too_much: RefusesShared by
        ["capabilities::they_are_told_truly"];
}
