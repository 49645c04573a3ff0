// SPDX-License-Identifier: MIT OR Apache-2.0
//! The words, the options, the refusals, and what stays as it was.

use std::fs;
use std::mem::offset_of;

use clap::Parser as _;

use blob::config::{Words, find};

use super::*;
use crate::host::failure::Failure;

#[derive(Debug, clap::Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

/// A blob whose record is all that matters, with the defaults of the real one.
fn blob() -> Vec<u8> {
    blob_with(RECORD)
}

const RECORD: &str = "purgatory_config:
        .ascii \"PURGCONF\"
        .long 2, 64, 5, 0, 0, 0, 1, 10, 0, 30
        .short 0x3f8, 0
        .long 0
        .quad 0
        .size purgatory_config, 64";

fn blob_with(record: &str) -> Vec<u8> {
    let source = crate::fixture::GREEN.replace(
        "purgatory_config:\n        .quad   1\n        .size   purgatory_config, 8",
        record,
    );
    crate::fixture::assemble(&source)
}

fn options(arguments: &str) -> Result<Options, String> {
    let arguments = ["configure", "purgatory.ro"]
        .into_iter()
        .chain(arguments.split_whitespace());
    let cli = Cli::try_parse_from(arguments).map_err(|error| error.to_string())?;
    Ok(cli.options)
}

/// Applies options to the default record; returns it in words.
fn words(arguments: &str) -> String {
    let blob = blob();
    let mut config = blob[find(&blob).unwrap()].to_vec();
    options(arguments).unwrap().apply(&mut config).unwrap();
    Words(Arch::ALL[0], &config).to_string()
}

#[test]
fn says_in_words_what_is_set() {
    let defaults = "  consoles    8250 at port 0x3f8 (COM1), debug port 0xe9\n  \
                    speed       as the firmware set it\n  \
                    speaks      only to refuse\n  \
                    patience    about 30 s a report\n  \
                    backend     the fastest that works\n  \
                    refusal     halts\n  \
                    exception   resets the machine after 10 s\n";
    assert_eq!(words("--show"), defaults);
    let cases = [
        (
            "--console com2 --baud 9600",
            "8250 at port 0x2f8 (COM2)\n  speed       9600 baud (divisor 12)\n",
        ),
        (
            "--console port=0x1000 --divisor 0",
            "8250 at port 0x1000\n  speed       as the firmware set it\n",
        ),
        (
            "--console mmio=0xfe032000",
            "  consoles    8250 in memory at 0xfe032000\n",
        ),
        (
            "--console e9 --console com4 --vga",
            "port 0x2e8 (COM4), debug port 0xe9, VGA text\n",
        ),
        (
            "--console mmio=0xfe032000 --divisor 12",
            "  speed       9600 baud (divisor 12)\n",
        ),
        ("--console com3", "8250 at port 0x3e8 (COM3)\n"),
        ("--console port=0xfff8", "8250 at port 0xfff8\n"),
        ("--console mmio=0xfe032004", "in memory at 0xfe032004\n"),
        ("--vga", "(COM1), debug port 0xe9, VGA text\n"),
        ("--console vga", "  consoles    VGA text\n  speaks"),
        (
            "--console none",
            "  consoles    none: it never speaks\n  backend",
        ),
        ("--verbose", "  speaks      at entry, during"),
        ("--quiet", "  speaks      only to refuse\n"),
        ("--on-refusal reset", "  refusal     resets the machine\n"),
        (
            "--on-refusal reset-after=30",
            "  refusal     resets the machine after 30 s\n",
        ),
        ("--on-refusal halt", "  refusal     halts\n"),
        ("--on-exception halt", "  exception   halts\n"),
        (
            "--on-exception reset",
            "  refusal     halts\n  exception   resets the machine\n",
        ),
        ("--backend portable", "  backend     portable\n"),
        ("--backend sse2", "  backend     sse2, else portable\n"),
        ("--backend auto", "  backend     the fastest that works\n"),
        ("--patience 3", "  patience    about 3 s a report\n"),
    ];
    for (arguments, says) in cases {
        let words = words(arguments);
        assert!(words.contains(says), "{arguments}:\n{words}");
    }
}

#[test]
fn changes_only_what_was_asked_for() {
    let mut config = [0xaa; size_of::<Config>()];
    options("--verbose").unwrap().apply(&mut config).unwrap();
    let mut expected = [0xaa; size_of::<Config>()];
    expected[20..24].copy_from_slice(&[1, 0, 0, 0]);
    assert_eq!(config, expected);
    options("--quiet").unwrap().apply(&mut config).unwrap();
    expected[20..24].fill(0);
    assert_eq!(config, expected);

    options(
        "--console mmio=0xfe0320001000 --on-refusal reset-after=7 --on-exception halt \
         --backend sha-ni --patience 258 --baud 57600",
    )
    .unwrap()
    .apply(&mut config)
    .unwrap();
    expected[16..20].copy_from_slice(&[2, 0, 0, 0]);
    expected[24..32].copy_from_slice(&[1, 0, 0, 0, 7, 0, 0, 0]);
    expected[32..40].fill(0);
    expected[40..48].copy_from_slice(&[3, 0, 0, 0, 2, 1, 0, 0]);
    expected[50..52].copy_from_slice(&[2, 0]);
    expected[56..64].copy_from_slice(&0xfe03_2000_1000_u64.to_le_bytes());
    assert_eq!(config, expected);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let cases = [
        ("", "required arguments were not provided"),
        ("--console com5", "com1 to com4"),
        ("--console com0", "com1 to com4"),
        ("--console port=0xfff9", "0xfff8"),
        ("--console port=com1", "invalid digit"),
        ("--console mmio=0", "multiple of 4"),
        ("--console mmio=0x1002", "multiple of 4"),
        ("--console mmio=0x10000000000000", "52 bits"),
        ("--baud 12345", "divides 115200"),
        ("--baud 0", "divides 115200"),
        ("--baud 1", "divides 115200"),
        ("--baud fast", "a number such as 9600"),
        ("--baud 9600 --divisor 12", "cannot be used with"),
        ("--divisor 65536", "not in 0..=65535"),
        ("--verbose --quiet", "cannot be used with"),
        ("--on-refusal reboot", "give halt, reset"),
        ("--on-refusal reset-after=-1", "whole seconds"),
        ("--on-exception reboot", "give halt, reset"),
        ("--backend avx2", "possible values: auto, portable"),
        ("--patience -1", "unexpected argument"),
        ("--patience 86401", "not in 0..=86400"),
    ];
    for (arguments, says) in cases {
        let error = options(arguments).err().unwrap_or_default();
        assert!(error.contains(says), "{arguments}: {error}");
    }
    let mut config = [0; size_of::<Config>()];
    for arguments in [
        "--console com1 --console com2",
        "--console none --console e9",
        "--console none --vga",
    ] {
        let error = options(arguments).unwrap().apply(&mut config).unwrap_err();
        assert!(error.is::<Failure>(), "{arguments}: {error}");
    }
}

#[test]
fn other_blobs_are_refused() {
    let broken = |patch: fn(&mut [u8])| {
        let mut blob = blob();
        let place = find(&blob).unwrap();
        patch(&mut blob[place]);
        find(&blob).unwrap_err().to_string()
    };
    let foreign = crate::fixture::FOREIGN;
    let stock = crate::fixture::compile(foreign, crate::fixture::STOCK_FLAGS);
    let placed = |record: &str| find(&blob_with(record)).unwrap_err().to_string();
    let cases = [
        (
            placed(&RECORD.replace("config, 64", "config, 40")),
            "says 64 bytes and has 40",
        ),
        (
            placed(
                ".bss
                purgatory_config: .skip 64
                .size purgatory_config, 64
                .section .purgatory",
            ),
            "not inside the file",
        ),
        (
            placed(
                "purgatory_config = purgatory_start + 0x100000
                .size purgatory_config, 64",
            ),
            "not inside the file",
        ),
        (
            broken(|config| config[0] = b'p'),
            "does not begin with PURGCONF",
        ),
        (
            broken(|config| config[8] = 1),
            "has version 1, this tool knows 2",
        ),
        (broken(|config| config[12] = 52), "says 52 bytes and has 64"),
        (find(&stock).unwrap_err().to_string(), "no purgatory_config"),
        (
            find(&crate::fixture::assemble(crate::fixture::GREEN))
                .unwrap_err()
                .to_string(),
            "has 8 bytes, too few",
        ),
    ];
    for (error, says) in cases {
        assert!(error.contains(says), "{says}: {error}");
    }
}

#[test]
fn every_other_byte_mode_and_link_stay() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    let folder = tempfile::tempdir().unwrap();
    let [real, link] = ["real.ro", "link.ro"].map(|name| folder.path().join(name));
    let before = blob();
    fs::write(&real, &before).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&real, &link).unwrap();
    let configure = |arguments| {
        let options = Options {
            file: link.clone(),
            ..options(arguments).unwrap()
        };
        run(&options).unwrap();
    };
    configure("--console none");

    let after = fs::read(&real).unwrap();
    let consoles = find(&before).unwrap().start + offset_of!(Config, consoles);
    let mut expected = before;
    expected[consoles..consoles + 4].fill(0);
    assert!(after == expected);
    assert_eq!(
        fs::metadata(&real).unwrap().permissions().mode() & 0o777,
        0o640
    );
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);

    let inode = || fs::metadata(&real).unwrap().ino();
    let before = inode();
    configure("--show");
    assert_eq!(inode(), before, "to look is not to write");
}

#[test]
fn what_an_architecture_lacks_is_refused() {
    let riscv64 = Arch::ALL.into_iter().find(|arch| arch.name == "riscv64");
    let accepts = |arguments| {
        let mut config = [0; size_of::<Config>()];
        options(arguments).unwrap().apply(&mut config).unwrap();
        suits(riscv64.unwrap(), &config).is_ok()
    };
    assert!(accepts(
        "--console firmware --console mmio=0x10000000 --backend zvknh"
    ));
    for lacking in ["--console com1", "--vga", "--backend sha-ni"] {
        assert!(!accepts(lacking), "{lacking}");
    }
}
