//! Which instructions have to be in their places, and where those are.

use iced_x86::CpuidFeature::*;
use iced_x86::{CpuidFeature, Decoder, DecoderOptions, Mnemonic, Register};

use crate::arch::{Instruction, Instructions, Kind};

pub(super) const RULE: Instructions = Instructions {
    kinds: KINDS,
    decode,
};

const PORT: usize = 0;
const CPUID: usize = 1;
const MODEL_REGISTER: usize = 2;
const EXTENSION: usize = 3;
const EXTENDED_CONTROL: usize = 4;
const THREAD_LOCAL: usize = 5;
const CONTROL: usize = 6;
const TABLE: usize = 7;
const HALT: usize = 8;
const INTERRUPT_FLAG: usize = 9;
const PRIVILEGED: usize = 10;
const UNKNOWN: usize = 11;

/// By the constants above. `purgatory::run` is where the compiler puts the set-up of
/// the tables and the choice of the backend, both called once.
const KINDS: &[Kind] = &[
    banned(
        "port I/O",
        &[
            "arch::x86_64::console::",
            "arch::x86_64::clock::",
            "arch::x86_64::machine::reset",
        ],
    ),
    banned("CPUID", &[]),
    banned("model-specific register", &[]),
    // Vector, x87, or anything else beyond plain x86-64.
    banned(
        "vector or other extension",
        &[
            "sha256_compress_shani",
            "sha256_compress_avx2",
            "arch::x86_64::features::probe_",
        ],
    ),
    banned("extended control register", &["arch::x86_64::features::"]),
    banned("fs or gs", &[]),
    ours(
        "control register",
        &[
            "arch::x86_64::features::",
            "arch::x86_64::exceptions::report",
            "purgatory::run",
        ],
    ),
    ours(
        "descriptor table",
        &[
            "arch::x86_64::tables::",
            "arch::x86_64::machine::reset",
            "purgatory::run",
            "purgatory_start",
            "x86_jump",
        ],
    ),
    ours(
        "halt",
        &["arch::x86_64::machine::halt", "x86_64::instructions::hlt"],
    ),
    ours("interrupt flag", &["purgatory_start"]),
    ours("privileged", &[]),
    ours("no instruction", &[]),
];

const fn ours(name: &'static str, places: &'static [&'static str]) -> Kind {
    Kind {
        name,
        places,
        is_banned: false,
    }
}

const fn banned(name: &'static str, places: &'static [&'static str]) -> Kind {
    Kind {
        is_banned: true,
        ..ours(name, places)
    }
}

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

fn decode(code: &[u8], address: u64) -> Vec<Instruction> {
    let decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let instruction = |found: iced_x86::Instruction| Instruction {
        address: found.ip(),
        name: format!("{:?}", found.mnemonic()).to_lowercase(),
        kind: kind(&found),
    };
    decoder.into_iter().map(instruction).collect()
}

/// Says why an instruction has to be in its place, if it has to.
fn kind(instruction: &iced_x86::Instruction) -> Option<usize> {
    use Mnemonic::{
        Cli, Clts, Cpuid, Hlt, INVALID, In, Insb, Insd, Insw, Lgdt, Lidt, Lldt, Lmsw, Ltr, Mov,
        Out, Outsb, Outsd, Outsw, Rdmsr, Sgdt, Sidt, Sldt, Smsw, Sti, Str, Wrmsr, Xgetbv, Xsetbv,
    };
    let special = |register: Register| register.is_cr() || register.is_dr();
    Some(match instruction.mnemonic() {
        INVALID => UNKNOWN,
        In | Out | Insb | Insw | Insd | Outsb | Outsw | Outsd => PORT,
        Cpuid => CPUID,
        Rdmsr | Wrmsr => MODEL_REGISTER,
        Xgetbv | Xsetbv => EXTENDED_CONTROL,
        Hlt => HALT,
        Cli | Sti => INTERRUPT_FLAG,
        Lgdt | Lidt | Lldt | Ltr | Sgdt | Sidt | Sldt | Str => TABLE,
        Clts | Lmsw | Smsw => CONTROL,
        Mov if special(instruction.op0_register()) || special(instruction.op1_register()) => {
            CONTROL
        }
        _ if !instruction
            .cpuid_features()
            .iter()
            .all(|feature| PLAIN.contains(feature)) =>
        {
            EXTENSION
        }
        _ if instruction.is_privileged() => PRIVILEGED,
        _ if [Register::FS, Register::GS].contains(&instruction.memory_segment()) => THREAD_LOCAL,
        _ => return None,
    })
}
