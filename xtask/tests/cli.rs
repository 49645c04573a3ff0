//! Bad input, as a user meets it: one clear error and the right exit code.

#[path = "../blob/src/fixture.rs"]
#[expect(dead_code, reason = "the other test compiles C, too")]
mod fixture;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// What stands in PATH.
#[derive(Clone, Copy)]
enum Tools {
    /// Everything that this machine has.
    All,
    /// Nothing.
    None,
    /// This machine's, behind a QEMU that says it is 6.2.
    OldQemu,
}

/// Arguments (`@` is the folder of the files below), tools, exit code, and what
/// standard error must say.
type Row = (&'static str, Tools, i32, &'static [&'static str]);

const ROWS: &[Row] = &[
    // Files.
    (
        "check @/none",
        Tools::None,
        2,
        &["cannot read", "No such file"],
    ),
    ("check @/text", Tools::None, 2, &["is not an ELF file"]),
    (
        "boot --blob @/none",
        Tools::None,
        2,
        &["cannot read", "No such file"],
    ),
    (
        "boot --blob @/text",
        Tools::None,
        2,
        &["is not an ELF file"],
    ),
    (
        "test --blob @/text",
        Tools::None,
        2,
        &["is not an ELF file"],
    ),
    (
        "boot --kernel @/none",
        Tools::None,
        2,
        &["cannot read", "No such file"],
    ),
    ("boot --kernel @/text", Tools::None, 2, &["is no bzImage"]),
    (
        "boot --kernel @/old",
        Tools::None,
        2,
        &["speaks boot protocol 2.11", "needs 2.12"],
    ),
    (
        "boot --kernel @/short",
        Tools::None,
        2,
        &["is cut off before the kernel itself"],
    ),
    (
        "boot --kernel @/linux --initrd @/none",
        Tools::None,
        2,
        &["cannot read", "No such file"],
    ),
    (
        "status --memory-dump @/none",
        Tools::None,
        2,
        &["cannot read", "No such file"],
    ),
    (
        "status --memory-dump @/text",
        Tools::None,
        1,
        &["no purgatory_status in this memory"],
    ),
    (
        "status --qmp @/none",
        Tools::None,
        2,
        &["cannot connect to", "No such file"],
    ),
    (
        "explain @/none",
        Tools::None,
        2,
        &["cannot read", "No such file"],
    ),
    (
        "explain @/text",
        Tools::None,
        1,
        &["holds no report of a purgatory"],
    ),
    // The list that a run leaves beside the log is found without being named.
    (
        "explain @/run/serial.log",
        Tools::None,
        2,
        &["run/segments.json is no list of segments"],
    ),
    (
        "explain @/run/serial.log --segments @/none",
        Tools::None,
        2,
        &["cannot read", "No such file"],
    ),
    (
        "configure @/text --show",
        Tools::None,
        2,
        &["is not an ELF file"],
    ),
    (
        "configure @/green --show",
        Tools::None,
        1,
        &["green cannot be configured: its purgatory_config has 8 bytes"],
    ),
    (
        "configure @/green",
        Tools::None,
        2,
        &["<--console <CONSOLE>|", "were not provided"],
    ),
    (
        "explain @/green",
        Tools::None,
        2,
        &["is a program or a dump, not a log"],
    ),
    (
        "status --memory-dump @/empty",
        Tools::None,
        2,
        &["empty is empty, or a device"],
    ),
    (
        "status --memory-dump @/kdump",
        Tools::None,
        2,
        &["is a compressed dump", "dump as ELF"],
    ),
    // A blob that breaks a promise, or is not ours, never reaches QEMU.
    (
        "boot --blob @/foreign",
        Tools::None,
        2,
        &["foreign is not a blob of this project"],
    ),
    (
        "boot --blob @/broken",
        Tools::None,
        1,
        &[
            "purgatory_sha_regions",
            "mend:",
            "broken; `cargo xtask check`",
        ],
    ),
    (
        "test --blob @/broken",
        Tools::None,
        1,
        &[
            "purgatory_sha_regions",
            "mend:",
            "broken; `cargo xtask check`",
        ],
    ),
    // Options.
    ("", Tools::None, 2, &["Usage: cargo xtask"]),
    (
        "biuld",
        Tools::None,
        2,
        &["unrecognized subcommand", "'build'"],
    ),
    (
        "build --core prebiult",
        Tools::None,
        2,
        &["invalid value", "'prebuilt'"],
    ),
    (
        "test --case intakt",
        Tools::None,
        2,
        &["no case \"intakt\"", "did you mean \"intact\"?"],
    ),
    (
        "boot --kernel @/linux --memory 0",
        Tools::None,
        2,
        &["0 is not in 1..=1048576"],
    ),
    (
        "boot --kernel @/linux --at 0xfffffffffffff000",
        Tools::None,
        2,
        &["addresses have 52 bits"],
    ),
    (
        "boot --timeout 0",
        Tools::None,
        2,
        &["0 is not in 1..=86400"],
    ),
    (
        "boot --kernel @/linux --at 0x123",
        Tools::None,
        2,
        &["whole pages", "give a multiple of 0x1000"],
    ),
    (
        "boot --kernel @/linux --at 0",
        Tools::None,
        2,
        &["whole pages, and not at 0"],
    ),
    (
        "boot --kernel @/linux --memory 7 --blob @/green",
        Tools::All,
        2,
        &["7 MiB of memory are too little", "give at least"],
    ),
    (
        "boot --kernel @/linux --at 0x80000000 --blob @/green",
        Tools::All,
        2,
        &["0x80000000", "give it more with --memory"],
    ),
    (
        "bench --check --size 64K",
        Tools::None,
        2,
        &["--check judges", "from 1M on"],
    ),
    // The machine: everything that is missing is said at once.
    (
        "build",
        Tools::None,
        1,
        &[
            "no compiler has `core` for x86_64-unknown-none",
            "no lld",
            "rust-web-src lld",
        ],
    ),
    (
        "boot",
        Tools::None,
        1,
        &[
            "qemu-system-x86_64 is not on PATH",
            "no compiler has `core`",
            "no lld",
            "apt-get install qemu-system-x86 rustc-web cargo-web rust-web-src lld\n",
            "dnf install qemu-system-x86-core ",
            "pacman -S qemu-system-x86 ",
            "brew install qemu ",
            "rustup target add x86_64-unknown-none",
        ],
    ),
    (
        "boot --provision",
        Tools::None,
        1,
        &[
            "`--provision` installs with apt only",
            "dnf install qemu-system-x86-core ",
        ],
    ),
    (
        "test",
        Tools::None,
        1,
        &[
            "qemu-system-x86_64 is not on PATH",
            "no compiler",
            "no lld",
            "no cc, no ld on PATH",
        ],
    ),
    // What two needs share is named once: here it would be the last of the line.
    ("lint", Tools::None, 1, &["rust-web-clippy\n"]),
    (
        "build --core prebuilt",
        Tools::None,
        1,
        &[
            "no compiler has `core` for x86_64-unknown-none (seen: none)",
            "rustup target add",
        ],
    ),
    (
        "build --core source",
        Tools::None,
        1,
        &["no compiler has the source of `core`"],
    ),
    (
        "boot",
        Tools::OldQemu,
        1,
        &["QEMU 6.2 is too old: 7.2 is the oldest"],
    ),
    // A blob that only spins.
    (
        "boot --blob @/green --timeout 3",
        Tools::All,
        1,
        &[
            "error: intact: QEMU still ran after 3 s\n--- last lines of ",
            "talk.log\nharness: ready\n",
        ],
    ),
];

/// A bzImage whose 64-bit entry point jumps to itself.
fn bzimage(protocol: u16) -> Vec<u8> {
    let mut file = vec![0; 0x800];
    file[0x1f1] = 1; // setup_sects
    file[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    file[0x201] = 0x66; // the header ends at 0x268
    file[0x202..0x206].copy_from_slice(b"HdrS");
    file[0x206..0x208].copy_from_slice(&protocol.to_le_bytes());
    file[0x211] = 1; // loadflags: high
    file[0x230..0x234].copy_from_slice(&0x20_0000u32.to_le_bytes()); // kernel_alignment
    file[0x236] = 3; // xloadflags: a 64-bit entry point, above 4 GiB too
    file[0x238..0x23c].copy_from_slice(&255u32.to_le_bytes()); // cmdline_size
    file[0x600..0x602].copy_from_slice(b"\xeb\xfe");
    file
}

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
    write("empty", b"");
    write("kdump", b"KDUMP   \x06");
    write("linux", &bzimage(0x20f));
    write("old", &bzimage(0x20b));
    write("short", &bzimage(0x20f)[..0x400]);
    fs::create_dir(folder.join("run")).unwrap();
    write("run/serial.log", b"purgatory: refused: sha256 mismatch\n");
    write("run/segments.json", b"text");
    for folder in ["nothing", "old-qemu"].map(|name| folder.join(name)) {
        fs::create_dir(folder).unwrap();
    }
    let qemu = folder.join("old-qemu/qemu-system-x86_64");
    fs::write(&qemu, "#!/bin/sh\necho QEMU emulator version 6.2.0\n").unwrap();
    fs::set_permissions(qemu, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn bad_input_gets_one_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    prepare(here);
    let machine = std::env::var_os("PATH").unwrap();
    for (line, tools, code, says) in ROWS {
        let path = match tools {
            Tools::All => machine.clone(),
            Tools::None => here.join("nothing").into_os_string(),
            Tools::OldQemu => {
                let mut path = OsString::from(here.join("old-qemu"));
                path.push(":");
                path.push(&machine);
                path
            }
        };
        let arguments = line.split_whitespace();
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(arguments.map(|word| word.replace('@', here.to_str().unwrap())))
            .env("PATH", path)
            .env_remove("RUSTC")
            .env_remove("RUST_BACKTRACE")
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(*code), "{line}\n{errors}");
        let errors_said = errors.lines().filter(|line| line.starts_with("error: "));
        let expected = usize::from(!line.is_empty());
        assert_eq!(errors_said.count(), expected, "{line}\n{errors}");
        assert!(
            errors.starts_with("error: ") || line.is_empty(),
            "{line}\n{errors}"
        );
        for text in *says {
            assert!(
                errors.contains(text),
                "{line} does not say {text:?}:\n{errors}"
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
