// SPDX-License-Identifier: MIT OR Apache-2.0
//! The published C header against the Rust that it describes.
//!
//! A C compiler builds `layout.c`, which prints what it makes of `purgatory.h`;
//! the same facts taken from the library must read the same, line for line. A
//! new field is one line in each of the two tables, and a forgotten one fails.

use std::{collections::BTreeSet, mem::offset_of, process::Command};

use purgatory::{
    abi::{Backend, Config, Digest, EXPECTED_DIGEST, REGION_COUNT, REGIONS, Region},
    arch::DEFAULT_CONSOLES,
    status::{Phase, STATUS, Status, Verdict},
};

const HEADER: &str = include_str!("../include/purgatory.h");

/// Lists a structure and its fields as `layout.c` prints them.
macro_rules! structure {
    ($name:ident = $type:ty { $($field:ident)* }) => {
        structure(
            stringify!($name),
            size_of::<$type>(),
            [$((
                stringify!($field),
                offset_of!($type, $field),
                size_of_field(|value: &$type| &value.$field),
            )),*],
        )
    };
}

const fn size_of_field<T, Field>(_: fn(&T) -> &Field) -> usize {
    size_of::<Field>()
}

fn structure<const N: usize>(
    name: &str,
    size: usize,
    fields: [(&str, usize, usize); N],
) -> Vec<String> {
    let mut lines = vec![format!("{name} {size}")];
    let mut end = 0;
    for (field, offset, size) in fields {
        assert_eq!(offset, end, "a field before {name}.{field} is not listed");
        end = offset + size;
        lines.push(format!("{name}.{field} {offset} {size}"));
    }
    assert_eq!(end, size, "a field at the end of {name} is not listed");
    lines
}

fn structures() -> [Vec<String>; 4] {
    // The kernel's order; `arch/x86_64/entry.S` loads them, and the boot cases
    // see each arrive. Hosts have no such table.
    let registers = [
        "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
        "r13", "r14", "r15", "rip",
    ];
    let mut offsets = (0..).step_by(8);
    [
        structure(
            "purgatory_entry64_regs",
            136,
            registers.map(|name| (name, offsets.next().unwrap(), 8)),
        ),
        structure!(purgatory_region = Region { start len }),
        structure!(purgatory_config = Config {
            magic
            version
            size
            consoles
            verbosity
            on_refusal
            refusal_delay
            on_exception
            exception_delay
            backend
            patience
            uart_port
            uart_divisor
            reserved
            uart_mmio
        }),
        structure!(purgatory_status = Status {
            magic
            version
            size
            phase
            verdict
            backend
            region
            suspects
            doubted
            bytes
            cycles
            nmis
            cause
            code
            at
            address
            digest
            doubted_digest
        }),
    ]
}

fn tables() -> Vec<String> {
    [
        ("purgatory_sha_regions", size_of_val(&REGIONS)),
        ("purgatory_sha256_digest", size_of_val(&EXPECTED_DIGEST)),
        ("entry64_regs", 136),
        ("riscv_kernel_entry", 8),
        ("purgatory_config", size_of::<Config>()),
        ("purgatory_status", size_of_val(&STATUS)),
        ("PURGATORY_REGION_COUNT", REGION_COUNT),
        ("PURGATORY_DIGEST_SIZE", size_of::<Digest>()),
    ]
    .map(|(name, size)| format!("{name} {size}"))
    .to_vec()
}

fn numbers() -> Vec<String> {
    [
        ("CONFIG_VERSION", Config::VERSION),
        ("STATUS_VERSION", Status::VERSION),
        ("CONSOLE_PORT", Config::CONSOLE_PORT),
        ("CONSOLE_MMIO", Config::CONSOLE_MMIO),
        ("CONSOLE_DEBUG", Config::CONSOLE_DEBUG),
        ("CONSOLE_VGA", Config::CONSOLE_VGA),
        ("HALT", Config::HALT),
        ("RESET", Config::RESET),
        ("PHASE_ENTERED", Phase::Entered.number()),
        ("PHASE_VERIFYING", Phase::Verifying.number()),
        ("PHASE_LEAVING", Phase::Leaving.number()),
        ("PHASE_REFUSED", Phase::Refused.number()),
        ("PHASE_FAULTED", Phase::Faulted.number()),
        ("BACKEND_PORTABLE", Backend::Portable.number()),
        ("BACKEND_SHA_NI", Backend::ShaNi.number()),
        ("BACKEND_SSE2", Backend::Sse2.number()),
        ("BACKEND_ZKNH", Backend::Zknh.number()),
        ("BACKEND_ZVKNH", Backend::Zvknh.number()),
        ("VERDICT_MATCH", Verdict::Match.number()),
        ("VERDICT_NOTHING", Verdict::Nothing.number()),
        ("VERDICT_MISMATCH", Verdict::Mismatch.number()),
        ("VERDICT_TABLE_WIPED", Verdict::TableWiped.number()),
        ("VERDICT_BAD_REGION", Verdict::BadRegion.number()),
        ("VERDICT_EXCEPTION", Verdict::Exception.number()),
        ("VERDICT_STACK", Verdict::StackOverflow.number()),
        ("VERDICT_ASTRAY", Verdict::Astray.number()),
        ("VERDICT_DAMAGED", Verdict::Damaged.number()),
    ]
    .map(|(name, number)| format!("PURGATORY_{name} {number}"))
    .to_vec()
}

fn magics() -> Vec<String> {
    [("CONFIG", Config::MAGIC), ("STATUS", Status::MAGIC)]
        .map(|(name, magic)| format!("PURGATORY_{name}_MAGIC {}", magic.escape_ascii()))
        .to_vec()
}

/// Compiles a C file that includes the header, pedantically.
///
/// `cc` finds the compiler as it does in build scripts (`CC`, `CFLAGS`); outside
/// of one it has to be told the target, which is this host.
fn compiler(standard: &str) -> Command {
    let host = format!(
        "{}-unknown-{}-gnu",
        std::env::consts::ARCH,
        std::env::consts::OS
    );
    let mut command = cc::Build::new()
        .target(&host)
        .host(&host)
        .opt_level(0)
        .get_compiler()
        .to_command();
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .arg(format!("-std={standard}"))
        .args([
            "-pedantic-errors",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Iinclude",
        ]);
    command
}

/// Runs a command and returns what it prints.
fn output(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}: install a C compiler"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_tables_say_what_they_are_before_anybody_writes_them() {
    let config = Config::new(DEFAULT_CONSOLES);
    assert_eq!(config.magic.read().to_ne_bytes(), Config::MAGIC);
    assert_eq!(config.version.read(), Config::VERSION);
    assert_eq!(config.size.read() as usize, size_of::<Config>());
    assert_eq!(config.uart_port.read(), 0x3f8);
    assert_eq!(config.uart_divisor.read(), 0);
    assert_eq!(config.verbosity.read(), 0);
    assert_eq!(config.backend.read(), 0);
    // A refusal halts; after an exception the machine comes back.
    assert_eq!(config.on_refusal.read(), Config::HALT);
    assert_eq!(config.on_exception.read(), Config::RESET);
    assert_eq!(config.exception_delay.read(), 10);
}

#[test]
fn c_and_rust_agree_on_every_layout_and_constant() {
    // The only test here that writes it.
    assert_eq!(STATUS.magic.read(), 0, "of a purgatory that never ran");
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("layout");
    output(
        compiler("c89")
            .arg("tests/layout.c")
            .arg("-o")
            .arg(&program),
    );
    let printed = output(&mut Command::new(&program));

    let c: BTreeSet<String> = printed.lines().map(str::to_owned).collect();
    let rust: BTreeSet<String> = structures()
        .into_iter()
        .chain([tables(), numbers(), magics()])
        .flatten()
        .collect();
    let only_c: Vec<_> = c.difference(&rust).collect();
    let only_rust: Vec<_> = rust.difference(&c).collect();
    assert!(
        only_c.is_empty() && only_rust.is_empty(),
        "purgatory.h says {only_c:?}, the library {only_rust:?}"
    );

    for line in HEADER.lines() {
        let Some(definition) = line.strip_prefix("#define ") else {
            continue;
        };
        let Some((name, _)) = definition.split_once(' ') else {
            continue;
        };
        let compared = |line: &String| line.split(' ').next() == Some(name);
        assert!(c.iter().any(compared), "{name} is not compared");
    }
}

#[test]
fn the_header_stands_alone_in_every_c() {
    for standard in ["c89", "c99", "c11", "c17"] {
        output(compiler(standard).args(["-fsyntax-only", "-x", "c", "include/purgatory.h"]));
    }
}
