//! The local engine, and the one in memory.

use super::diagnose;
use crate::support::{Scene, database, say};

#[test]
fn the_default_engine_before_and_after_its_first_use() {
    let said = say(&["doctor"]).with_code(0);
    assert!(said.out.contains("there is no file yet"), "{said:?}");
    assert!(!database().exists());
    say(&["run", "x", "--", "true"]).with_code(0);
    let json = say(&["doctor", "--json"]).with_code(0).json();
    for finding in json["findings"].as_array().expect("an array") {
        // Tests may run in memory.
        assert!(
            finding["severity"] == "ok" || finding["check"] == "file-system",
            "{finding}"
        );
    }
}

#[test]
fn a_file_that_is_none_of_ours() {
    let scene = Scene::new();
    let file = scene.write("locks.db", &"x".repeat(4096));
    diagnose(&format!("local:{file}")).with_code(69);
    assert_eq!(scene.read("locks.db").len(), 4096);
}

#[test]
fn memory_is_for_tests() {
    diagnose("memory:").with_code(0).worst("note");
}
