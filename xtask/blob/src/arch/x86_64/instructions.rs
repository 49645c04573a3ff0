// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which instructions have to be in their places, and where those are.

use iced_x86::CpuidFeature::*;
use iced_x86::{CpuidFeature, Decoder, DecoderOptions, FastFormatter, Mnemonic, Register};

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
const COUNTER: usize = 7;
const GUEST: usize = 8;
const TABLE: usize = 9;
const HALT: usize = 10;
const INTERRUPT_FLAG: usize = 11;
const PRIVILEGED: usize = 12;
const UNKNOWN: usize = 13;

/// By the constants above. `purgatory::run` is where the compiler puts the set-up of
/// the tables, which is called once.
const KINDS: &[Kind] = &[
    banned(
        "port I/O",
        &[
            "purgatory::console::each",
            "purgatory::uart::",
            "arch::x86_64::clock::",
            "arch::x86_64::io::",
            "arch::x86_64::machine::reset",
            "arch::x86_64::screen::",
        ],
    ),
    banned("CPUID", &[]),
    banned("model-specific register", &[]),
    // Vector, x87, or anything else beyond plain x86-64.
    banned(
        "vector or other extension",
        &[
            "arch::x86_64::sha256::clear_vectors",
            "sha256_compress_shani",
            "sha256_compress_sse2",
        ],
    ),
    banned("extended control register", &[]),
    banned("fs or gs", &[]),
    ours(
        "control or debug register",
        &["arch::x86_64::entry::exception", "arch::x86_64::features::"],
    ),
    ours(
        "counter",
        &[
            "arch::x86_64::clock::measure",
            "arch::x86_64::io::time_stamp",
        ],
    ),
    ours(
        "call of the hypervisor",
        &["arch::x86_64::entry::acknowledge"],
    ),
    ours(
        "descriptor table",
        &["purgatory::run", "purgatory_start", "x86_jump"],
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
    let mut formatter = FastFormatter::new();
    let instruction = |found: iced_x86::Instruction| {
        let kind = kind(&found);
        let mut text = String::new();
        if kind.is_some() {
            formatter.format(&found, &mut text);
        }
        Instruction {
            address: found.ip(),
            length: found.len() as u64,
            name: format!("{:?}", found.mnemonic()).to_lowercase(),
            text,
            kind,
        }
    };
    decoder.into_iter().map(instruction).collect()
}

/// Says why an instruction has to be in its place, if it has to.
fn kind(instruction: &iced_x86::Instruction) -> Option<usize> {
    use Mnemonic::{
        Cli, Clts, Cpuid, Hlt, INVALID, In, Insb, Insd, Insw, Lgdt, Lidt, Lldt, Lmsw, Ltr, Mov,
        Out, Outsb, Outsd, Outsw, Rdmsr, Rdpmc, Rdtsc, Rdtscp, Sgdt, Sidt, Sldt, Smsw, Sti, Str,
        Tdcall, Wrmsr, Xgetbv, Xsetbv,
    };
    let special = |register: Register| register.is_cr() || register.is_dr();
    Some(match instruction.mnemonic() {
        INVALID => UNKNOWN,
        In | Out | Insb | Insw | Insd | Outsb | Outsw | Outsd => PORT,
        Cpuid => CPUID,
        Rdmsr | Wrmsr => MODEL_REGISTER,
        Xgetbv | Xsetbv => EXTENDED_CONTROL,
        Rdpmc | Rdtsc | Rdtscp => COUNTER,
        Tdcall => GUEST,
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
