//! A stock purgatory in a process of its own, as `cargo xtask bench` starts it to
//! see whether it can tell digests apart.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

#[path = "../blob/src/fixture.rs"]
#[expect(dead_code, reason = "the others are for other tests")]
mod fixture;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};

/// A purgatory that returns when `purgatory` does.
fn stock(purgatory: &str) -> Vec<u8> {
    let function = format!(".global purgatory\npurgatory:\n{purgatory}\nret\ntext_end:");
    fixture::assemble(&fixture::GREEN.replace("text_end:", &function))
}

/// Starts the child that hashes once with this blob; `ends` is whether it should.
fn run(purgatory: &str, wrong: bool, ends: bool) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stock.ro");
    fs::write(&path, stock(purgatory)).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["bench-child", "stock", "--calls=1", "--size=65536"])
        .arg(format!("--blob={}", path.display()))
        .args(wrong.then_some("--wrong"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let output = child.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut said).unwrap();
    assert_eq!(said, "hashing\n");
    let limit = Duration::from_millis(if ends { 30_000 } else { 300 });
    let start = Instant::now();
    let mut status = None;
    while status.is_none() && start.elapsed() < limit {
        status = child.try_wait().unwrap();
        // Nothing tells when a child ends within a time: look again, until the limit.
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let ended = status.map(|status| status.success());
    assert_eq!(ended, ends.then_some(true), "{purgatory:?}, wrong: {wrong}");
}

#[test]
fn only_a_blob_that_compares_ends_as_its_digest_says() {
    let digest = Sha256::digest([0x5a; 65536]);
    let honest = format!(
        "cmpb ${}, purgatory_sha256_digest(%rip)\njne purgatory",
        digest[0]
    );
    run(&honest, false, true);
    run(&honest, true, false);
    run("", false, true);
    run("", true, true);
    run("jmp purgatory", false, false);
}
