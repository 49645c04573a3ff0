// SPDX-License-Identifier: MIT OR Apache-2.0
//! The promise about the order of the register image: that of the kernel and that of
//! kexec-tools have one name and one size.

use super::{Finding, Subject};
use crate::load::Loaded;

/// Reads it off the instructions that load the registers.
pub(super) fn order(subject: &Subject<'_>, finding: &mut Finding) {
    let Some(loads) = subject.file.arch.register_loads() else {
        return finding.inform();
    };
    let registers = &subject.file.arch.registers;
    let order = subject
        .tool()
        .map_or(registers.names, |tool| tool.registers);
    let loaded = Loaded::place(subject.bytes, subject.addresses[0], subject.kernels[0]);
    let image = |loaded: &Loaded<'_>| loaded.symbol_address(registers.symbol);
    let (Ok(image), Ok(loaded)) = (
        loaded.as_ref().map_err(Clone::clone).and_then(image),
        &loaded,
    ) else {
        return finding.skipped(format!("{} has no place in memory", registers.symbol));
    };
    let mut seen = 0;
    for section in subject.code() {
        let Some((code, address)) = loaded.section(section) else {
            continue;
        };
        for (register, offset) in loads(code, address, image) {
            let index = usize::try_from(offset / 8).unwrap_or(usize::MAX);
            seen += 1;
            match order.get(index) {
                Some(name) if *name == register && offset % 8 == 0 => {}
                Some(name) => finding.broken(format!(
                    "{register} is loaded from offset {offset}, where the loader puts {name}"
                )),
                None => finding.broken(format!("{register} is loaded from offset {offset}")),
            }
        }
    }
    match seen {
        0 => finding.skipped("no instruction was found that loads them"),
        _ => finding.note(format!("{seen} of {}", order.len())),
    }
}
