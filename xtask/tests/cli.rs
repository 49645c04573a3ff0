// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands as a user meets them: what they say, and the right exit code.

// Of the library whose fixture this is.
use blob::wrap;

#[expect(dead_code, reason = "the library's own tests take more of it")]
#[path = "../blob/src/fixture.rs"]
mod fixture;
#[path = "../src/kernels/hanging.rs"]
mod hanging;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

fn prepare(folder: &Path) {
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
    write("text", b"#!/bin/sh\n");
    write("green", &fixture::assemble(fixture::GREEN));
    let broken = fixture::GREEN.replace(".size   purgatory_sha_regions, 256", "");
    write("broken", &fixture::assemble(&broken));
    let foreign = fixture::GREEN
        .replace("purgatory_config", "other_config")
        .replace("purgatory_status", "other_status");
    write("foreign", &fixture::assemble(&foreign));
    let stock = fixture::compile(fixture::FOREIGN, fixture::STOCK_FLAGS);
    write("stock", &stock);
    let low = "_start: .long _start\n.global purgatory_start\n.text\npurgatory_start: ret\n";
    write("low", &fixture::assemble(low));
    write("empty", b"");
    write("kdump", b"KDUMP   \x06");
    write("linux", &hanging::bzimage(0x20f));
    write("old", &hanging::bzimage(0x20b));
    write("short", &hanging::bzimage(0x20f)[..0x400]);
    fs::create_dir(folder.join("run")).unwrap();
    write("run/serial.log", b"purgatory: refused: sha256 mismatch\n");
    write("run/segments.json", b"text");
    write("run/green", &fixture::assemble(fixture::GREEN));
    write(
        "run/purgatory-x86_64.elf",
        &fixture::assemble(fixture::GREEN),
    );
    for folder in ["nothing", "old-qemu"].map(|name| folder.join(name)) {
        fs::create_dir(folder).unwrap();
    }
    let qemu = folder.join("old-qemu/qemu-system-x86_64");
    fs::write(&qemu, "#!/bin/sh\necho QEMU emulator version 6.2.0\n").unwrap();
    fs::set_permissions(qemu, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn every_row_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    prepare(here);
    let machine = std::env::var_os("PATH").unwrap();
    let rows = include_str!("cli.txt").lines();
    for row in rows.filter(|row| !row.is_empty() && !row.starts_with('#')) {
        let (how, rest) = row.split_once(" | ").unwrap();
        let (line, says) = rest.split_once("| ").unwrap();
        let (code, tools) = how.trim().split_once(' ').unwrap();
        let mut path = here.join(tools).into_os_string();
        if tools != "nothing" {
            path.push(":");
            path.push(&machine);
        }
        let arguments = line.split_whitespace();
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(arguments.map(|word| word.replace('@', here.to_str().unwrap())))
            .env("PATH", path)
            .env_remove("RUSTC")
            .env_remove("RUST_BACKTRACE")
            .output()
            .unwrap();
        let [said, errors] =
            [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
        let code: i32 = code.parse().unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}\n{errors}");
        let errors_said = errors.lines().filter(|line| line.starts_with("error: "));
        let expected = usize::from(!line.is_empty() && said.is_empty());
        assert_eq!(errors_said.count(), expected, "{line}\n{errors}");
        for text in says.split(" | ") {
            let text = text.replace("\\n", "\n");
            assert!(
                said.contains(&text) || errors.contains(&text),
                "{line} does not say {text:?}:\n{said}{errors}"
            );
        }
        assert!(!errors.contains("panicked"), "{line}\n{errors}");
    }
}

#[test]
fn a_closed_or_full_output_is_no_panic() {
    let run = |arguments: &[&str], output: Stdio| {
        let child = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(arguments)
            .stdout(output)
            .output()
            .unwrap();
        (
            child.status.code(),
            String::from_utf8(child.stderr).unwrap(),
        )
    };
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let green = folder.path().join("green");
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for line in [["test", "--list"], ["check", green.to_str().unwrap()]] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let unread = run(&line, writer.into());
        assert_eq!(unread, (Some(0), String::new()), "{line:?}");
        let lost =
            "error: cannot write to standard output: No space left on device (os error 28)\n";
        let unwritten = run(&line, full().into());
        assert_eq!(unwritten, (Some(1), lost.to_owned()), "{line:?}");
    }
    // Not even the error can be said.
    let status = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["check", "/none"])
        .stderr(full())
        .status();
    assert_eq!(status.unwrap().code(), Some(2));
}

#[test]
fn an_environment_that_spoils_the_build_is_refused() {
    for (name, value, says) in [
        ("RUSTFLAGS", "-Copt-level=0", "RUSTFLAGS is set"),
        (
            "CARGO_TARGET_DIR",
            "one,two",
            "give another folder as CARGO_TARGET_DIR",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .arg("build")
            .current_dir(&folder)
            .env(name, value)
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(says), "{errors}");
    }
}
