//! `xtask check` as a user meets it: output lines and exit codes.

// Of the library whose fixture this is.
use blob::wrap;

#[path = "../blob/src/fixture.rs"]
mod fixture;

use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs the command and returns its exit code, output and errors.
fn check(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let output = command.arg("check").args(arguments).output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code(), stdout, stderr)
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().into()
}

#[test]
fn exits_0_when_every_promise_is_held() {
    let folder = tempfile::tempdir().unwrap();
    let ours = write(folder.path(), "ours.ro", &fixture::assemble(fixture::GREEN));
    let (code, stdout, stderr) = check(&[&ours]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert_eq!(stdout.lines().last(), Some("28 held, 0 broken, 1 skipped"));

    // It carries its names itself.
    for arguments in [
        &[&ours, "--elf", &ours],
        &[&ours, "--instructions"] as &[&str],
    ] {
        write(
            folder.path(),
            "purgatory-x86_64.elf",
            &fs::read(&ours).unwrap(),
        );
        let (code, stdout, _) = check(arguments);
        assert_eq!(
            (code, stdout.lines().last()),
            (Some(0), Some("29 held, 0 broken"))
        );
    }

    let stock = fixture::compile(fixture::FOREIGN, fixture::STOCK_FLAGS);
    let stock = write(folder.path(), "stock.ro", &stock);
    let (code, stdout, _) = check(&[&stock, "--kernel", "7.2"]);
    assert_eq!(code, Some(0), "{stdout}");
    assert_eq!(stdout.lines().last(), Some("19 held, 0 broken, 1 doubtful"));
}

#[test]
fn exits_1_when_a_promise_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let low = "_start: .long _start\n.global purgatory_start\n.text\npurgatory_start: ret\n";
    let low = write(folder.path(), "low.ro", &fixture::assemble(low));
    let (code, stdout, stderr) = check(&[&low, "--load-at", "0x123456789000"]);
    assert_eq!((code, stderr.as_str()), (Some(1), ""), "{stdout}");
    let overflow = "at 0x123456789000: Overflow in relocation type 10 value 0x123456789000";
    assert!(stdout.contains(overflow), "{stdout}");
    assert!(
        stdout.lines().last().unwrap().contains(" broken"),
        "{stdout}"
    );
}
