// SPDX-License-Identifier: MIT OR Apache-2.0
//! The promise that a blob loads: the whole of the kernel's part, played.

use super::{Finding, Subject};
use crate::load::{LoadError, Loaded, Segment, Series, fill_digest};

pub(super) fn everywhere(subject: &Subject<'_>, finding: &mut Finding) {
    let mut failures: Vec<(String, Vec<Series>, Vec<u64>)> = Vec::new();
    for &kernel in &subject.kernels {
        for &mem in &subject.addresses {
            let Err(error) = load(subject.bytes, mem, kernel) else {
                continue;
            };
            let error = error.to_string();
            let known = failures.iter_mut().find(|(known, ..)| *known == error);
            match known {
                Some((_, kernels, addresses)) => {
                    kernels.push(kernel);
                    addresses.push(mem);
                }
                None => failures.push((error, vec![kernel], vec![mem])),
            }
        }
    }
    for (error, mut kernels, mut addresses) in failures {
        kernels.dedup();
        addresses.sort_unstable();
        addresses.dedup();
        let whose = match kernels.len() == subject.kernels.len() {
            true => String::new(),
            false => format!("{}: ", list(&kernels, Series::to_string)),
        };
        let place = match addresses.len() == subject.addresses.len() {
            true => "at every address".into(),
            false => format!("at {}", list(&addresses, |mem| format!("{mem:#x}"))),
        };
        finding.broken(format!("{whose}{place}: {error}"));
    }
    finding.note(format!(
        "{}, {} addresses up to {:#x}",
        match subject.tool() {
            None => format!("{} kernels", subject.kernels.len()),
            Some(_) => subject.kernels[0].to_string(),
        },
        subject.addresses.len(),
        subject.addresses.iter().max().unwrap_or(&0)
    ));
}

/// Does what the loader of the format and `kexec_calculate_store_digests` do, or looks up
/// everything that some loader of kexec-tools does.
fn load(blob: &[u8], mem: u64, kernel: Series) -> Result<(), LoadError> {
    let mut purgatory = Loaded::place(blob, mem, kernel)?;
    for &(name, size) in kernel.tool.map_or(&[][..], |tool| tool.symbols) {
        match size {
            Some(size) => purgatory.get_symbol(name, size).map(drop)?,
            None => purgatory.symbol_address(name).map(drop)?,
        }
    }
    if kernel.tool.is_some() {
        return Ok(());
    }
    let registers = purgatory.registers()?.to_vec();
    for (name, _) in purgatory.file.arch.symbols {
        purgatory.symbol_address(name)?;
    }
    purgatory.set_registers(&registers)?;
    let segment = Segment {
        mem: mem + purgatory.memsz,
        memsz: 0x2000,
        buf: b"the next kernel",
    };
    fill_digest(&mut purgatory, &[segment])
}

fn list<T>(items: &[T], print: impl Fn(&T) -> String) -> String {
    items.iter().map(print).collect::<Vec<_>>().join(", ")
}
