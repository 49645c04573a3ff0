//! The published C header against the Rust that it describes.
//!
//! A C compiler builds `layout.c`, which prints what it makes of `purgatory.h`;
//! the same facts taken from the library must read the same, line for line. A
//! new field is one line in each of the two tables, and a forgotten one fails.

use std::{collections::BTreeSet, mem::offset_of, process::Command};

use purgatory::{
    abi::{CONFIG, Config, Digest, EXPECTED_DIGEST, REGION_COUNT, REGIONS, Region},
    memory::Flaw,
    sha256::Backend,
    status::{Phase, STATUS, Status},
    verify::{Outcome, Refusal},
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
            delay
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
            bytes
            cycles
            nmis
            vector
            error
            rip
            cr2
            digest
        }),
    ]
}

fn tables() -> Vec<String> {
    [
        ("purgatory_sha_regions", size_of_val(&REGIONS)),
        ("purgatory_sha256_digest", size_of_val(&EXPECTED_DIGEST)),
        ("entry64_regs", 136),
        ("purgatory_config", size_of_val(&CONFIG)),
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
        ("BACKEND_AVX2", Backend::Avx2.number()),
        ("BACKEND_SHA_NI", Backend::ShaNi.number()),
    ]
    .into_iter()
    .chain(verdicts())
    .map(|(name, number)| format!("PURGATORY_{name} {number}"))
    .collect()
}

/// Verdicts have no names in Rust: each is what the record says of its ending.
fn verdicts() -> [(&'static str, u32); 7] {
    let concluded = |bytes, verdict| {
        STATUS.conclude(&Outcome {
            verdict,
            bytes,
            computed: Digest::default(),
        });
        STATUS.verdict.read()
    };
    let (index, flaw) = (0, Flaw::TooHigh);
    let bad = Err(Refusal::BadRegion { index, flaw });
    [
        ("VERDICT_MATCH", concluded(1, Ok(()))),
        ("VERDICT_NOTHING", concluded(0, Ok(()))),
        ("VERDICT_MISMATCH", concluded(1, Err(Refusal::Mismatch))),
        (
            "VERDICT_TABLE_WIPED",
            concluded(0, Err(Refusal::TableWiped)),
        ),
        ("VERDICT_BAD_REGION", concluded(0, bad)),
        ("VERDICT_EXCEPTION", {
            STATUS.faulted(14, 0, 0, 0);
            STATUS.verdict.read()
        }),
        ("VERDICT_STACK", {
            STATUS.overflowed();
            STATUS.verdict.read()
        }),
    ]
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
    assert_eq!(CONFIG.magic.read(), Config::MAGIC);
    assert_eq!(CONFIG.version.read(), Config::VERSION);
    assert_eq!(CONFIG.size.read() as usize, size_of::<Config>());
    // Refuses on COM1 and port 0xE9, and halts.
    let consoles = Config::CONSOLE_PORT | Config::CONSOLE_DEBUG;
    assert_eq!(CONFIG.consoles.read(), consoles);
    assert_eq!(CONFIG.uart_port.read(), 0x3f8);
    assert_eq!(CONFIG.uart_divisor.read(), 0);
    assert_eq!(CONFIG.verbosity.read(), 0);
    assert_eq!(CONFIG.on_refusal.read(), Config::HALT);
    assert_eq!(CONFIG.delay.read(), 0);
}

#[test]
fn c_and_rust_agree_on_every_layout_and_constant() {
    // The only test here that writes it.
    assert_eq!(STATUS.magic.read(), [0; 8], "of a purgatory that never ran");
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
