// SPDX-License-Identifier: MIT OR Apache-2.0
//! How x86-64 code loads its registers from the image that a loader filled.

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, Register};

/// Finds what is loaded right before a jump through the image, and that jump: the
/// register's name, and the offset.
pub(in crate::arch) fn loads(code: &[u8], address: u64, image: u64) -> Vec<(String, u64)> {
    let mut base = Register::None;
    let (mut found, mut before) = (Vec::new(), Vec::new());
    for one in Decoder::with_ip(64, code, address, DecoderOptions::NONE) {
        let offset = offset(&one, base, image);
        let to = one.op0_register();
        match one.mnemonic() {
            Mnemonic::Mov if to.is_gpr64() => {
                before.extend(offset.map(|offset| (format!("{to:?}").to_lowercase(), offset)));
            }
            Mnemonic::Jmp if offset.is_some() => {
                found.append(&mut before);
                found.extend(offset.map(|offset| ("rip".to_owned(), offset)));
            }
            _ if one.flow_control() != FlowControl::Next => before.clear(),
            _ => {}
        }
        if one.mnemonic() == Mnemonic::Lea && offset == Some(0) {
            base = to;
        } else if to == base {
            base = Register::None;
        }
    }
    found
}

/// Says how far into the image an operand in memory points.
fn offset(one: &Instruction, base: Register, image: u64) -> Option<u64> {
    let at = if one.is_ip_rel_memory_operand() {
        one.ip_rel_memory_address().checked_sub(image)
    } else {
        (base != Register::None && one.memory_base() == base).then(|| one.memory_displacement64())
    };
    at.filter(|&at| at < 8 * 17)
}
