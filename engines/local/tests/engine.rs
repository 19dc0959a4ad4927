//! One process: two clients of one file, cancellation, and what shares a
//! transaction.

mod common;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::task::Poll;
use std::time::Duration;

use common::{
    ask, block_on, break_request, granted, is_busy, name, nonce, open, pair, poll_once, queued,
    release, request, seconds, until, wait_for_grant, waiting,
};
use leasehold_core::{
    AcquireRequest, Acquired, Engine, Error, ExtendRequest, Extended, Lifetime, Mode, Released,
    Token,
};
use leasehold_local::{LocalEngine, LocalOptions};
use rusqlite::Connection;
use tempfile::TempDir;

fn store() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("locks.db");
    (folder, db)
}

/// Keeps all writers out, as another process in the middle of a write does.
fn write_lock(db: &Path) -> File {
    let mut path = db.as_os_str().to_owned();
    path.push("-lock");
    let file = File::open(path).unwrap();
    file.lock().unwrap();
    file
}

fn sqlite(db: &Path) -> Connection {
    let connection = Connection::open(db).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    connection
}

fn extend(request: &AcquireRequest) -> ExtendRequest {
    ExtendRequest {
        name: request.name.clone(),
        nonce: request.nonce,
        ttl: seconds(7200),
    }
}

#[test]
fn two_clients_of_one_file_exclude_and_wake_each_other() {
    let (_folder, db) = store();
    let (one, two) = (open(&db), open(&db));
    let first = request("a");
    let token = granted(&one, &first);
    assert!(is_busy(&two, "a"));
    let second = waiting("a");
    assert_eq!(queued(&two, &second).ahead, 0);
    release(&one, &first);
    assert!(wait_for_grant(&two, &second) > token);
    assert!(is_busy(&one, "a"));
}

#[test]
fn a_waiter_without_a_session_is_woken_too() {
    let (_folder, db) = store();
    let (one, two) = (open(&db), open(&db));
    let first = request("a");
    granted(&one, &first);
    let second = AcquireRequest {
        lifetime: Lifetime::Detached,
        ..waiting("a")
    };
    queued(&two, &second);
    release(&one, &first);
    wait_for_grant(&two, &second);
    drop(two);
    assert!(is_busy(&one, "a"), "it outlives its client");
}

#[test]
fn a_client_that_is_gone_holds_nothing() {
    let (_folder, db) = store();
    let one = open(&db);
    let two = open(&db);
    granted(&two, &request("a"));
    let second = waiting("a");
    queued(&one, &second);
    drop(two);
    wait_for_grant(&one, &second);
}

#[test]
fn a_client_that_gave_all_back_leaves_no_file() {
    let (folder, db) = store();
    let one = open(&db);
    pair(&one, "a");
    let sessions = folder.path().join("locks.db-sessions");
    assert_eq!(std::fs::read_dir(&sessions).unwrap().count(), 1);
    drop(one);
    assert_eq!(std::fs::read_dir(&sessions).unwrap().count(), 0);
}

#[test]
fn an_acquire_dropped_at_any_poll_and_released_holds_nothing() {
    let (_folder, db) = store();
    let engine = open(&db);
    pair(&engine, "a");
    for polls in 0..4 {
        for blocked in [false, true] {
            let lock = blocked.then(|| write_lock(&db));
            let dropped = waiting("a");
            let mut future = engine.acquire(&dropped);
            for _ in 0..polls {
                if poll_once(future.as_mut()).is_ready() {
                    assert!(!blocked, "another has the write lock");
                    break;
                }
            }
            drop(future);
            let mut giving_back = engine.release(&dropped.name, dropped.nonce);
            let polled = poll_once(giving_back.as_mut());
            assert!(polled.is_pending() || !blocked);
            drop(lock);
            if polled.is_pending() {
                block_on(giving_back).unwrap();
            }
            pair(&engine, "a");
        }
    }
}

#[test]
fn a_release_is_carried_out_though_its_future_is_dropped() {
    let (_folder, db) = store();
    let engine = open(&db);
    let held = request("a");
    granted(&engine, &held);
    let lock = write_lock(&db);
    let mut future = engine.release(&held.name, held.nonce);
    assert!(poll_once(future.as_mut()).is_pending());
    drop(future);
    drop(lock);
    until("the lock is free", || !is_busy(&engine, "a"));
}

#[test]
fn an_extend_dropped_before_its_turn_is_left_out() {
    let (_folder, db) = store();
    let engine = open(&db);
    let held = request("a");
    granted(&engine, &held);
    let asked = extend(&held);
    let mut future = engine.extend(&asked);
    assert!(poll_once(future.as_mut()).is_pending());
    drop(future);
    pair(&engine, "b");
    let status = block_on(engine.inspect(&held.name)).unwrap();
    assert!(status.holders[0].remaining <= Duration::from_secs(1800));
    assert_eq!(block_on(engine.extend(&asked)).unwrap(), Extended::Extended);
    let status = block_on(engine.inspect(&held.name)).unwrap();
    assert!(status.holders[0].remaining > Duration::from_secs(7000));
}

#[test]
fn what_fails_in_a_transaction_fails_alone() {
    let (_folder, db) = store();
    let engine = open(&db);
    pair(&engine, "damaged");
    let of_two = AcquireRequest {
        mode: Mode::permit_of(2).unwrap(),
        ..request("permits")
    };
    granted(&engine, &of_two);
    sqlite(&db)
        .execute("UPDATE locks SET record = x'00' WHERE name = 'damaged'", [])
        .unwrap();

    let of_three = AcquireRequest {
        mode: Mode::permit_of(3).unwrap(),
        ..request("permits")
    };
    let requests = [
        request("before"),
        request("damaged"),
        of_three,
        request("after"),
    ];
    let lock = write_lock(&db);
    let mut futures: Vec<_> = requests.iter().map(|r| engine.acquire(r)).collect();
    for future in &mut futures {
        assert!(poll_once(future.as_mut()).is_pending());
    }
    drop(lock);
    let results: Vec<_> = futures.into_iter().map(block_on).collect();
    assert!(
        matches!(results[0], Ok(Acquired::Granted(_))),
        "{results:?}"
    );
    assert!(
        matches!(results[1], Err(Error::Damaged { .. })),
        "{results:?}"
    );
    assert!(
        matches!(results[2], Err(Error::Invalid { .. })),
        "{results:?}"
    );
    assert!(
        matches!(results[3], Ok(Acquired::Granted(_))),
        "{results:?}"
    );
}

#[test]
fn renewals_polled_together_share_a_transaction() {
    let (_folder, db) = store();
    let engine = open(&db);
    let held: Vec<_> = (0..100).map(|n| request(&format!("r/{n}"))).collect();
    for request in &held {
        granted(&engine, request);
    }
    let watcher = sqlite(&db);
    let version = || -> i64 {
        watcher
            .query_row("PRAGMA data_version", [], |row| row.get(0))
            .unwrap()
    };
    let before = version();
    let asked: Vec<_> = held.iter().map(extend).collect();
    let mut futures: Vec<_> = asked.iter().map(|r| engine.extend(r)).collect();
    for future in &mut futures {
        assert!(poll_once(future.as_mut()).is_pending());
        assert_eq!(version(), before, "the first poll only queues");
    }
    for future in &mut futures {
        let polled = poll_once(future.as_mut());
        assert!(
            matches!(polled, Poll::Ready(Ok(Extended::Extended))),
            "{polled:?}"
        );
    }
    let statuses = block_on(engine.list("r/")).unwrap();
    assert_eq!(statuses.len(), 100);
    for status in statuses {
        assert!(status.holders[0].remaining > Duration::from_secs(7000));
    }
}

#[test]
fn a_damaged_record_can_be_broken_and_keeps_its_token() {
    let (_folder, db) = store();
    let engine = open(&db);
    let token = pair(&engine, "a");
    for damage in [
        "UPDATE locks SET record = x'7b7d' WHERE name = 'a'",
        "UPDATE locks SET record = CAST(replace(CAST(record AS TEXT), '\"v\":2', '\"v\":9') AS BLOB)",
        "UPDATE locks SET token = -7 WHERE name = 'a'",
    ] {
        sqlite(&db).execute(damage, []).unwrap();
        let refused = ask(&engine, &request("a")).unwrap_err();
        assert!(matches!(refused, Error::Damaged { .. }), "{refused}");
        assert!(refused.to_string().contains("break"), "{refused}");
        assert!(block_on(engine.inspect(&name("a"))).is_err());
        assert_eq!(block_on(engine.list("")).unwrap().len(), 0);
        let broken = block_on(engine.break_lock(&break_request("a"))).unwrap();
        assert!(broken.floor > token);
        assert!(pair(&engine, "a") >= broken.floor);
    }
}

#[test]
fn a_record_that_lost_its_token_takes_the_column() {
    let (_folder, db) = store();
    let engine = open(&db);
    let token = pair(&engine, "a");
    let stale = r#"UPDATE locks SET record = CAST('{"v":1,"t":5}' AS BLOB) WHERE name = 'a'"#;
    sqlite(&db).execute(stale, []).unwrap();
    assert!(pair(&engine, "a") > token);
}

#[test]
fn idle_names_are_collected_and_their_tokens_are_not() {
    let (_folder, db) = store();
    let options = LocalOptions::new(&db).collect_after(Duration::ZERO);
    let engine = LocalEngine::open(options).unwrap();
    let held = request("held");
    granted(&engine, &held);
    let mut last = Token::NONE;
    let count = || -> i64 {
        sqlite(&db)
            .query_row("SELECT count(*) FROM locks", [], |row| row.get(0))
            .unwrap()
    };
    let mut seen = 0;
    for n in 0..2000 {
        let token = pair(&engine, &format!("once/{}", n % 500));
        last = last.max(token);
        seen += 1;
    }
    assert!(count() < seen / 4, "{} of {seen} names are left", count());
    for n in 0..500 {
        assert!(pair(&engine, &format!("once/{n}")) > Token::NONE);
    }
    // A name that was collected starts above every token it had.
    let names: Vec<String> = (0..300).map(|n| format!("again/{n}")).collect();
    let mut tokens = vec![Token::NONE; names.len()];
    for _ in 0..10 {
        for (name, last) in names.iter().zip(&mut tokens) {
            let token = pair(&engine, name);
            assert!(token > *last, "{name}: {token} after {last}");
            *last = token;
        }
    }
    assert!(is_busy(&engine, "held"), "what is held is not collected");
}

#[test]
fn tokens_are_granted_only_once_reserved() {
    let (_folder, db) = store();
    let options = LocalOptions::new(&db).token_block(4);
    let engine = LocalEngine::open(options).unwrap();
    let settled = || -> i64 {
        sqlite(&db)
            .query_row("SELECT settled FROM meta", [], |row| row.get(0))
            .unwrap()
    };
    for _ in 0..200 {
        let token = pair(&engine, "a");
        assert!(i64::try_from(token.get()).unwrap() <= settled());
    }
}

#[test]
fn every_request_of_many_threads_is_answered() {
    let (_folder, db) = store();
    let engines = [open(&db), open(&db)];
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let engine = &engines[thread % 2];
            scope.spawn(move || {
                let mut last = Token::NONE;
                for n in 0..400 {
                    let token = pair(engine, &format!("t/{thread}/{}", n % 3));
                    assert!(n % 3 > 0 || token > last);
                    last = if n % 3 == 0 { token } else { last };
                }
            });
        }
    });
    assert_eq!(block_on(engines[0].list("")).unwrap(), []);
}

#[test]
fn a_stuck_writer_is_an_error_that_says_so() {
    let (_folder, db) = store();
    let engine = open(&db);
    let _lock = write_lock(&db);
    let stuck = ask(&engine, &request("a")).unwrap_err();
    assert!(matches!(stuck, Error::Unavailable { .. }), "{stuck}");
    assert!(stuck.to_string().contains("kill -CONT"), "{stuck}");
}

#[test]
fn a_shell_that_writes_is_waited_for() {
    let (_folder, db) = store();
    let engine = open(&db);
    let shell = sqlite(&db);
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    let asked = request("a");
    let mut future = engine.acquire(&asked);
    assert!(poll_once(future.as_mut()).is_pending());
    shell.execute_batch("COMMIT").unwrap();
    assert!(matches!(block_on(future), Ok(Acquired::Granted(_))));
}

#[test]
fn a_replaced_file_is_noticed() {
    let (folder, db) = store();
    let engine = open(&db);
    pair(&engine, "a");
    std::fs::rename(&db, folder.path().join("moved.db")).unwrap();
    std::fs::copy(folder.path().join("moved.db"), &db).unwrap();
    until("it is noticed", || {
        ask(&engine, &request("b")).is_err_and(|e| e.to_string().contains("replaced"))
    });
}

#[test]
fn a_deleted_store_goes_on_with_greater_tokens() {
    let (folder, db) = store();
    let token = pair(&open(&db), "a");
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            std::fs::remove_file(path).unwrap();
        }
    }
    // The era of a store is counted in seconds.
    until("tokens are greater", || {
        let engine = open(&db);
        let greater = pair(&engine, "a") > token;
        drop(engine);
        if !greater {
            for file in ["locks.db", "locks.db-wal", "locks.db-shm"] {
                let _ = std::fs::remove_file(folder.path().join(file));
            }
        }
        greater
    });
}

#[test]
fn what_was_held_before_a_restart_of_the_machine_runs_out_after_it() {
    let (folder, db) = store();
    let at_boot = |id: &str| LocalEngine::open(LocalOptions::new(&db).boot_id(id)).unwrap();
    let engine = at_boot("one");
    let detached = AcquireRequest {
        lifetime: Lifetime::Detached,
        ttl: seconds(1),
        ..request("detached")
    };
    let token = granted(&engine, &detached);
    granted(&engine, &request("tied"));
    drop(engine);
    let engine = at_boot("two");
    assert!(is_busy(&engine, "detached"), "its TTL starts anew");
    assert!(pair(&engine, "tied") > token, "its process is dead");
    until("the TTL is over", || !is_busy(&engine, "detached"));
    drop(folder);
}

#[test]
fn a_client_of_an_earlier_boot_grants_nothing_more() {
    let (_folder, db) = store();
    let one = LocalEngine::open(LocalOptions::new(&db).boot_id("one")).unwrap();
    pair(&one, "a");
    let two = LocalEngine::open(LocalOptions::new(&db).boot_id("two")).unwrap();
    pair(&two, "a");
    let refused = ask(&one, &request("a")).unwrap_err();
    assert!(refused.to_string().contains("boot id"), "{refused}");
}

#[test]
fn a_watcher_hears_of_another_clients_write() {
    let (_folder, db) = store();
    let (one, two) = (open(&db), open(&db));
    // The first call has nothing to compare with.
    block_on(one.changed("")).unwrap();
    for n in 0..3 {
        let mut future = one.changed("");
        let polled = poll_once(future.as_mut());
        pair(&two, &format!("w/{n}"));
        if polled.is_pending() {
            block_on(future).unwrap();
        }
    }
}

#[test]
fn a_listing_is_by_name_and_by_prefix() {
    let (_folder, db) = store();
    let engine = open(&db);
    let held: Vec<_> = (0..600).map(|n| request(&format!("p/{n:03}"))).collect();
    for request in &held {
        granted(&engine, request);
    }
    granted(&engine, &request("o"));
    granted(&engine, &request("q"));
    pair(&engine, "p/idle");
    let listed = block_on(engine.list("p/")).unwrap();
    let names: Vec<_> = listed.iter().map(|status| status.name.as_str()).collect();
    let expected: Vec<_> = held.iter().map(|request| request.name.as_str()).collect();
    assert_eq!(names, expected);
}

#[test]
fn a_release_twice_says_so() {
    let (_folder, db) = store();
    let engine = open(&db);
    let held = request("a");
    granted(&engine, &held);
    let give_back = || block_on(engine.release(&held.name, held.nonce)).unwrap();
    assert_eq!(give_back(), Released::Released);
    assert_eq!(give_back(), Released::AlreadyLost);
    let unknown = block_on(engine.release(&held.name, nonce())).unwrap();
    assert_eq!(unknown, Released::AlreadyLost);
}
