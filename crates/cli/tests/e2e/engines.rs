//! `engines`, `completions`, `man`, `--help`.

use std::fs;

use crate::support::{Scene, say};

#[test]
fn engines_are_listed_with_what_they_can_do() {
    let text = say(&["engines"]).with_code(0).out;
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for part in ["local", "local:", "memory", "shared", "permits"] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let json = say(&["engines", "--json"]).with_code(0).json();
    let local = json
        .as_array()
        .and_then(|engines| engines.iter().find(|engine| engine["kind"] == "local"))
        .expect("the local engine");
    assert_eq!(local["available"], true);
    assert_eq!(local["capabilities"]["shared"], true);
}

#[test]
fn completions_are_generated_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = say(&["completions", shell]).with_code(0).out;
        for word in ["acquire", "on-lost", "watch"] {
            assert!(script.contains(word), "no {word} for {shell}");
        }
    }
    let said = say(&["completions", "tcsh"]).with_code(2);
    assert!(said.err.contains("bash"), "{said:?}");
}

#[test]
fn the_completions_for_bash_are_a_script_that_bash_takes() {
    let scene = Scene::new();
    let script = scene.write(
        "completions",
        &say(&["completions", "bash"]).with_code(0).out,
    );
    let complete = format!(
        "set -eu; source {script}; COMP_WORDS=(leasehold rel); COMP_CWORD=1; COMPREPLY=()
         _leasehold leasehold rel leasehold; echo \"${{COMPREPLY[*]}}\""
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &complete])
        .output();
    let output = output.expect("bash can be started");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "release",
        "{output:?}"
    );
}

#[test]
fn manual_pages_are_printed_or_written() {
    let page = say(&["man"]).with_code(0).out;
    assert!(page.contains(".TH leasehold 1"), "{page}");
    let scene = Scene::new();
    let out = scene.name("man/pages");
    say(&["man", "--out", &out]).with_code(0);
    for name in [
        "leasehold",
        "leasehold-run",
        "leasehold-break",
        "leasehold-watch",
    ] {
        let page = fs::read_to_string(format!("{out}/{name}.1")).expect("a page");
        assert!(page.contains(".TH"), "{name}");
    }
    let file = scene.write("file", "");
    say(&["man", "--out", &file])
        .with_code(74)
        .explains(&[&file, "--out"]);
}

#[test]
fn help_names_the_commands_and_the_exit_codes() {
    let help = say(&["--help"]).with_code(0).out;
    for part in [
        "run",
        "acquire",
        "status",
        "break",
        "69",
        "75",
        "79",
        "LEASEHOLD_URL",
    ] {
        assert!(help.contains(part), "no {part:?} in\n{help}");
    }
    let said = say(&["--version"]).with_code(0);
    assert!(said.out.starts_with("leasehold "), "{said:?}");
    say(&[]).with_code(2);
}
