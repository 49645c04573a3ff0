//! The promise that nothing executes where it must not: no port I/O while all
//! is well, nothing that a confidential guest traps, no register state that
//! belongs to the next kernel.
//!
//! Every byte of code is disassembled, function by function. What the code
//! does with its instructions is not judged.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, anyhow};
use iced_x86::{
    CpuidFeature::{self, *},
    Decoder, DecoderOptions, FastFormatter, Instruction, Mnemonic, Register,
};

use crate::{
    check::{Subject, finding::Finding},
    load::{File, Layout},
    symbols::Code,
};

/// An instruction of our own blob that has to be in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where it is, from `purgatory_start`.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Its mnemonic and operands.
    pub text: String,
    /// Why it is looked at.
    pub kind: &'static str,
    /// The function that has it, demangled.
    pub function: String,
}

impl Listed {
    /// Returns its mnemonic.
    #[must_use]
    pub fn mnemonic(&self) -> &str {
        self.text.split(' ').next().unwrap_or_default()
    }
}

/// Lists all of them, in the order of the code; the linked program of the same build
/// names the functions.
pub fn listed(blob: &[u8], linked: &[u8]) -> Result<Vec<Listed>> {
    let file = File::parse(blob)?;
    let subject = Subject {
        bytes: blob,
        linked: Some(linked),
        layout: Layout::of(&file),
        file,
        kernels: Vec::new(),
        addresses: Vec::new(),
    };
    let code = ours(&subject).map_err(|unnamed| match unnamed {
        Unnamed::Absent(reason) | Unnamed::Other(reason) => anyhow!(reason),
    })?;
    let mut formatter = FastFormatter::new();
    let mut all = Vec::new();
    for (function, start, bytes) in code.functions() {
        for instruction in Decoder::with_ip(64, bytes, start, DecoderOptions::NONE) {
            if let Some(kind) = kind(&instruction) {
                let mut text = String::new();
                formatter.format(&instruction, &mut text);
                all.push(Listed {
                    offset: instruction.ip(),
                    length: instruction.len() as u64,
                    text,
                    kind: kind.name(),
                    function: function.to_owned(),
                });
            }
        }
    }
    Ok(all)
}

/// Why an instruction is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Port,
    Cpuid,
    ModelRegister,
    /// Vector, x87, or anything else beyond plain x86-64.
    Extension,
    ExtendedControl,
    ThreadLocal,
    Control,
    Counter,
    Guest,
    Table,
    Halt,
    InterruptFlag,
    Privileged,
    Unknown,
}

/// Where our own blob may use what; a part of a demangled name is enough. What
/// is not here (CPUID, model-specific registers) is allowed nowhere.
///
/// `purgatory::run` is where the compiler puts the set-up of the tables, called once.
const ALLOWED: &[(Kind, &[&str])] = &[
    (
        Kind::Port,
        &[
            "purgatory::console::each",
            "purgatory::uart::",
            "arch::x86_64::clock::",
            "arch::x86_64::io::",
            "arch::x86_64::machine::reset",
            "arch::x86_64::screen::",
        ],
    ),
    (
        Kind::Extension,
        &[
            "arch::x86_64::sha256::clear_vectors",
            "sha256_compress_shani",
            "sha256_compress_sse2",
        ],
    ),
    (
        Kind::Control,
        &["arch::x86_64::entry::exception", "arch::x86_64::features::"],
    ),
    (
        Kind::Counter,
        &[
            "arch::x86_64::clock::measure",
            "arch::x86_64::io::time_stamp",
        ],
    ),
    (
        Kind::Table,
        &[
            "arch::x86_64::machine::reset",
            "purgatory::run",
            "purgatory_start",
            "x86_jump",
        ],
    ),
    (
        Kind::Halt,
        &["arch::x86_64::machine::halt", "x86_64::instructions::hlt"],
    ),
    (Kind::InterruptFlag, &["purgatory_start"]),
    (Kind::Guest, &["arch::x86_64::entry::acknowledge"]),
];

/// What no purgatory may use, whoever wrote it.
const FOREIGN: [Kind; 6] = [
    Kind::Port,
    Kind::Cpuid,
    Kind::ModelRegister,
    Kind::Extension,
    Kind::ExtendedControl,
    Kind::ThreadLocal,
];

/// What every x86-64 has and no loader forbids. ENDBR does nothing where it is
/// not enabled.
const PLAIN: [CpuidFeature; 13] = [
    INTEL8086,
    INTEL8086_ONLY,
    INTEL186,
    INTEL286,
    INTEL386,
    INTEL486,
    X64,
    CMOV,
    CX8,
    TSC,
    MULTIBYTENOP,
    PAUSE,
    CET_IBT,
];

pub(crate) fn in_their_places(subject: &Subject<'_>, finding: &mut Finding) {
    if subject.is_ours() {
        match ours(subject) {
            Ok(code) => judge(&[code], finding, |kind, function| {
                let rule = ALLOWED.iter().find(|(allowed, _)| *allowed == kind);
                rule.is_some_and(|(_, places)| places.iter().any(|place| function.contains(place)))
            }),
            Err(Unnamed::Absent(reason)) => finding.skipped(reason),
            Err(Unnamed::Other(reason)) => finding.doubtful(reason),
        }
    } else {
        let code = subject
            .code()
            .map(|section| Code::section(&subject.file, section));
        match code.collect::<Result<Vec<_>, _>>() {
            Ok(code) => judge(&code, finding, |kind, _| !FOREIGN.contains(&kind)),
            Err(error) => finding.skipped(error.to_string()),
        }
    }
}

/// Why functions have no names.
enum Unnamed {
    Absent(String),
    Other(String),
}

/// Returns our code with the names that the blob itself does not carry.
fn ours<'a>(subject: &Subject<'a>) -> Result<Code<'a>, Unnamed> {
    let Some(elf) = subject.linked else {
        let reason = "no names: give the linked program, purgatory-x86_64.elf, with --elf";
        return Err(Unnamed::Absent(reason.into()));
    };
    let code = Code::linked(elf)
        .map_err(|error| Unnamed::Other(format!("the linked program: {error}")))?;
    let start = subject.symbol("purgatory_start").map(|start| start.section);
    let section = start.map(|index| &subject.file.sections[usize::from(index.0)]);
    let bytes = section.and_then(|section| subject.file.data(section).ok());
    // The code only: the tables behind it may have been configured since.
    if bytes.is_some_and(|bytes| bytes.starts_with(code.bytes)) {
        Ok(code)
    } else {
        let reason = "the linked program is that of another build: its code differs";
        Err(Unnamed::Other(reason.into()))
    }
}

fn judge(code: &[Code<'_>], finding: &mut Finding, allowed: impl Fn(Kind, &str) -> bool) {
    let (mut total, mut listed) = (0_usize, 0_usize);
    for (function, start, bytes) in code.iter().flat_map(Code::functions) {
        let mut found = BTreeMap::<Kind, Vec<String>>::new();
        for instruction in Decoder::with_ip(64, bytes, start, DecoderOptions::NONE) {
            total += 1;
            let Some(kind) = kind(&instruction) else {
                continue;
            };
            listed += 1;
            let name = format!("{:?}", instruction.mnemonic()).to_lowercase();
            if !allowed(kind, function) {
                let offset = instruction.ip() - start;
                finding.broken(format!("{name} in {function}+{offset:#x}: {kind}"));
            }
            let names = found.entry(kind).or_default();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        for (kind, names) in found {
            finding.list(format!("{function}: {kind} ({})", names.join(", ")));
        }
    }
    finding.note(format!("{total}, of which {listed} need a reason"));
}

/// Says why an instruction has to be in its place, if it has to.
fn kind(instruction: &Instruction) -> Option<Kind> {
    use Mnemonic::{
        Cli, Clts, Cpuid, Hlt, INVALID, In, Insb, Insd, Insw, Lgdt, Lidt, Lldt, Lmsw, Ltr, Mov,
        Out, Outsb, Outsd, Outsw, Rdmsr, Rdpmc, Rdtsc, Rdtscp, Sgdt, Sidt, Sldt, Smsw, Sti, Str,
        Tdcall, Wrmsr, Xgetbv, Xsetbv,
    };
    let special = |register: Register| register.is_cr() || register.is_dr();
    Some(match instruction.mnemonic() {
        INVALID => Kind::Unknown,
        In | Out | Insb | Insw | Insd | Outsb | Outsw | Outsd => Kind::Port,
        Cpuid => Kind::Cpuid,
        Rdmsr | Wrmsr => Kind::ModelRegister,
        Xgetbv | Xsetbv => Kind::ExtendedControl,
        Rdpmc | Rdtsc | Rdtscp => Kind::Counter,
        Tdcall => Kind::Guest,
        Hlt => Kind::Halt,
        Cli | Sti => Kind::InterruptFlag,
        Lgdt | Lidt | Lldt | Ltr | Sgdt | Sidt | Sldt | Str => Kind::Table,
        Clts | Lmsw | Smsw => Kind::Control,
        Mov if special(instruction.op0_register()) || special(instruction.op1_register()) => {
            Kind::Control
        }
        _ if !instruction
            .cpuid_features()
            .iter()
            .all(|feature| PLAIN.contains(feature)) =>
        {
            Kind::Extension
        }
        _ if instruction.is_privileged() => Kind::Privileged,
        _ if [Register::FS, Register::GS].contains(&instruction.memory_segment()) => {
            Kind::ThreadLocal
        }
        _ => return None,
    })
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Port => "port I/O",
            Self::Cpuid => "CPUID",
            Self::ModelRegister => "model-specific register",
            Self::Extension => "vector or other extension",
            Self::ExtendedControl => "extended control register",
            Self::ThreadLocal => "fs or gs",
            Self::Control => "control or debug register",
            Self::Counter => "counter",
            Self::Guest => "call of the hypervisor",
            Self::Table => "descriptor table",
            Self::Halt => "halt",
            Self::InterruptFlag => "interrupt flag",
            Self::Privileged => "privileged",
            Self::Unknown => "no instruction",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
