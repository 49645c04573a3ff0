// SPDX-License-Identifier: MIT OR Apache-2.0
//! `probe` and `integrate`, as a user meets them: one clear error and the right exit
//! code, and nothing changed.

// Of the library whose fixture this is.
use blob::wrap;

#[path = "../blob/src/fixture.rs"]
#[expect(dead_code, reason = "the other tests compile C, too")]
mod fixture;

use std::{fs, path::Path, process::Command};

/// Arguments (`@` is the folder of the files below), exit code, and what standard
/// error must say.
const ROWS: &[(&str, i32, &[&str])] = &[
    ("probe", 2, &["--kernel-tree <DIR>"]),
    (
        "probe --kernel-tree @/none",
        2,
        &["none is no kernel tree", "No such file"],
    ),
    (
        "probe --kernel-tree @",
        2,
        &["is no kernel tree: no ", "No such file"],
    ),
    (
        "probe --kernel-tree @/output",
        2,
        &["assigns no VERSION", "give the folder of the sources"],
    ),
    (
        "probe --kernel-tree @/headers",
        2,
        &["holds Linux 6.1, but no kernel/kexec_file.c"],
    ),
    (
        "probe --kernel-tree @/tree --assume entyr=symbol",
        2,
        &["no property \"entyr\"", "entry, symbols"],
    ),
    (
        "probe --kernel-tree @/tree --assume entry=x",
        2,
        &["entry is symbol or e_entry, not \"x\""],
    ),
    (
        "probe --kernel-tree @/tree",
        1,
        &[
            "these sources do not tell everything",
            "--assume entry=VALUE (symbol or e_entry)",
        ],
    ),
    (
        "integrate --kernel-tree @/tree --blob @/green",
        1,
        &["these sources do not tell everything"],
    ),
    (
        "integrate --kernel-tree @/tree --blob @/none",
        2,
        &["cannot read", "No such file"],
    ),
    (
        "integrate --kernel-tree @/tree --blob @/tree/Makefile",
        2,
        &["is not an ELF file"],
    ),
    (
        "integrate --kernel-tree @/tree --blob @/short",
        1,
        &["the section headers", "reach beyond the file's", "1 broken"],
    ),
    (
        "integrate --kernel-tree @/tree --blob @/foreign",
        1,
        &["e_machine is 22, not 62 (x86-64) or 243 (RISC-V)"],
    ),
    (
        "integrate --kernel-tree @/tree --revert --blob @/green",
        2,
        &["'--revert' cannot be used with '--blob <FILE>'"],
    ),
    (
        "integrate --kernel-tree @/none --revert",
        2,
        &["is no kernel tree"],
    ),
    (
        "integrate --kernel-tree @/tree --revert",
        0,
        &["has no blob of ours: nothing to revert"],
    ),
];

fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn bad_input_is_one_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "output/Makefile", "include ../tree/Makefile\n");
    write(folder, "headers/Makefile", "VERSION = 6\nPATCHLEVEL = 1\n");
    for (file, text) in [
        ("Makefile", "VERSION = 6\nPATCHLEVEL = 1\n"),
        ("kernel/kexec_file.c", "int other;\n"),
        (
            "arch/x86/purgatory/Makefile",
            "obj-y += kexec-purgatory.o\n",
        ),
        ("arch/x86/Kconfig", "config X86\n\tbool\n"),
    ] {
        write(&folder.join("tree"), file, text);
    }
    let green = fixture::assemble(fixture::GREEN);
    write(folder, "short", &green[..green.len() - 1]);
    let mut foreign = green.clone();
    foreign[18..20].copy_from_slice(&22_u16.to_le_bytes());
    write(folder, "foreign", foreign);
    write(folder, "green", green);

    let listing = || {
        let mut find = Command::new("find");
        let output = find
            .arg(folder)
            .args(["-printf", "%p %T@ %s\n"])
            .output()
            .unwrap();
        assert!(output.status.success());
        output.stdout
    };
    let before = listing();
    for (arguments, code, expected) in ROWS {
        let arguments = arguments.replace('@', &folder.display().to_string());
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let output = command.args(arguments.split(' ')).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{arguments}: {error}");
        for part in *expected {
            assert!(error.contains(part), "{arguments}: no {part:?} in {error}");
        }
        assert_eq!(listing(), before, "{arguments}");
    }
}
