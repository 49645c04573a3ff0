// SPDX-License-Identifier: MIT OR Apache-2.0
//! The place of a kernel's own purgatory, in its read-only data.
//!
//! Nothing else of the kernel is changed, and a purgatory that does not fit the place
//! of the old one is refused.

use std::ops::Range;

use anyhow::{Context as _, Result, ensure};
use blob::arch::Arch;
use memchr::memmem;

/// An ELF file: 64 bits, little endian, version 1.
const ELF: &[u8] = b"\x7fELF\x02\x01\x01";

/// How far from the purgatory `kexec_purgatory_size` may lie in kernels that
/// make both with bin2c (5.10): the same object file, padded to 32 bytes.
const SIZE_DISTANCE: usize = 64;

/// Where a kernel keeps its purgatory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// The file itself.
    pub(crate) blob: Range<usize>,
    /// The kernel's `kexec_purgatory_size`, 8 bytes.
    size: usize,
}

impl Slot {
    /// Finds the one relocatable ELF file of the architecture that knows its own size.
    pub(crate) fn find(vmlinux: &[u8], arch: Arch) -> Result<Self> {
        let files = memmem::find_iter(vmlinux, ELF);
        let mut slots = files.filter_map(|start| Self::at(vmlinux, arch, start));
        let slot = slots
            .next()
            .context("no purgatory in this kernel: it was built without CONFIG_KEXEC_FILE")?;
        ensure!(
            slots.next().is_none(),
            "this kernel seems to have two purgatories"
        );
        Ok(slot)
    }

    fn at(vmlinux: &[u8], arch: Arch, start: usize) -> Option<Self> {
        let file = &vmlinux[start..];
        let [type_low, type_high, machine @ ..] = field::<4>(file, 16)?;
        if [type_low, type_high] != [1, 0] || machine != arch.machine.0.to_le_bytes() {
            return None;
        }
        // `ld -r` writes the section headers last.
        let headers = u64::from_le_bytes(field(file, 0x28)?);
        let count = u16::from_le_bytes(field(file, 0x3c)?);
        let length = usize::try_from(headers)
            .ok()?
            .checked_add(usize::from(count) * 64)?;
        let end = start.checked_add(length)?;
        let is_size = |at: &usize| {
            field(vmlinux, *at).is_some_and(|bytes| u64::from_le_bytes(bytes) == length as u64)
        };
        // kexec-purgatory.S of 6.1 and later: padded to 8 bytes, then the size; to 2^8
        // where `.align` takes an exponent.
        let after = [8, 256].map(|multiple| start + length.next_multiple_of(multiple));
        let near = start.saturating_sub(SIZE_DISTANCE)..start;
        let mut places = after.into_iter().chain(near.step_by(8));
        let size = places.find(is_size)?;
        Some(Self {
            blob: start..end,
            size,
        })
    }

    /// Puts `blob` in the place of the kernel's own purgatory.
    pub(crate) fn replace(&self, vmlinux: &mut [u8], blob: &[u8]) -> Result<()> {
        let room = self.blob.len();
        ensure!(
            blob.len() <= room,
            "the blob has {} bytes, the place of this kernel's own purgatory {room}",
            blob.len()
        );
        let place = &mut vmlinux[self.blob.clone()];
        place.fill(0);
        place[..blob.len()].copy_from_slice(blob);
        vmlinux[self.size..self.size + 8].copy_from_slice(&(blob.len() as u64).to_le_bytes());
        Ok(())
    }
}

fn field<const SIZE: usize>(bytes: &[u8], at: usize) -> Option<[u8; SIZE]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARCH: Arch = Arch::ALL[0];

    /// A kernel with a purgatory of 70 bytes (a header and no section).
    fn kernel(size_before: bool) -> Vec<u8> {
        let mut kernel = b"\x7fELF a kernel ".repeat(10);
        kernel.resize(160, 0);
        if size_before {
            kernel.extend_from_slice(&70_u64.to_le_bytes());
            kernel.resize(192, 0);
        }
        let start = kernel.len();
        kernel.extend_from_slice(b"\x7fELF\x02\x01\x01");
        kernel.resize(start + 72, 0);
        kernel[start + 16..start + 20].copy_from_slice(&[1, 0, 62, 0]);
        kernel[start + 0x28] = 70;
        if !size_before {
            kernel.extend_from_slice(&70_u64.to_le_bytes());
        }
        kernel.extend_from_slice(&[0xaa; 100]);
        kernel
    }

    #[test]
    fn replaces_the_purgatory_and_its_size_wherever_that_is() -> Result<()> {
        for size_before in [false, true] {
            let original = kernel(size_before);
            let mut patched = original.clone();
            let slot = Slot::find(&patched, ARCH)?;
            assert_eq!(slot.blob.len(), 70);
            let error = slot
                .replace(&mut patched, &[1; 71])
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("71 bytes") && error.contains("70"),
                "{error}"
            );
            assert_eq!(patched, original);
            slot.replace(&mut patched, &[1; 69])?;
            assert_eq!(&patched[slot.blob.clone()], [&[1; 69][..], &[0]].concat());
            let changed = original
                .iter()
                .zip(&patched)
                .filter(|(a, b)| a != b)
                .count();
            let size = patched[slot.size];
            assert_eq!((size, patched.len()), (69, original.len()));
            assert!(changed <= 71, "{changed} bytes changed");
        }
        Ok(())
    }

    #[test]
    fn a_kernel_without_purgatory_is_named() {
        let mut kernel = kernel(false);
        let slot = Slot::find(&kernel, ARCH).unwrap();
        kernel[slot.size] += 1;
        let error = Slot::find(&kernel, ARCH).unwrap_err().to_string();
        assert!(error.contains("CONFIG_KEXEC_FILE"), "{error}");
    }
}
