// SPDX-License-Identifier: MIT OR Apache-2.0
//! The header of a bzImage, and the parameters that it is handed
//! (`Documentation/arch/x86/boot.rst` and `zero-page.rst`).

use std::mem::offset_of;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `struct setup_header`, as far as protocol 2.15 has it.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct SetupHeader {
    pub(crate) setup_sects: u8,
    _root_to_root_dev: [u8; 12],
    pub(crate) boot_flag: U16,
    _jump: u8,
    /// From [`SetupHeader::magic`] on.
    pub(crate) length: u8,
    pub(crate) magic: [u8; 4],
    pub(crate) version: U16,
    _switch_to_segment: [u8; 6],
    pub(crate) kernel_version: U16,
    pub(crate) type_of_loader: u8,
    pub(crate) loadflags: u8,
    _move_size_to_code32: [u8; 6],
    pub(crate) ramdisk_image: U32,
    pub(crate) ramdisk_size: U32,
    _kludge_to_loader_type: [u8; 8],
    pub(crate) cmd_line_ptr: U32,
    _initrd_addr_max: U32,
    pub(crate) kernel_alignment: U32,
    _relocatable_kernel: u8,
    _min_alignment: u8,
    pub(crate) xloadflags: U16,
    pub(crate) cmdline_size: U32,
    _subarch: [u8; 12],
    pub(crate) payload_offset: U32,
    pub(crate) payload_length: U32,
    _setup_data: U64,
    _pref_address: U64,
    pub(crate) init_size: U32,
    _handover_to_kernel_info: [u8; 8],
}

/// `struct boot_e820_entry`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct E820 {
    pub(crate) addr: U64,
    pub(crate) size: U64,
    pub(crate) kind: U32,
}

/// `struct boot_params`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct BootParams {
    _screen: [u8; 0xc0],
    pub(crate) ext_ramdisk_image: U32,
    pub(crate) ext_ramdisk_size: U32,
    pub(crate) ext_cmd_line_ptr: U32,
    _firmware: [u8; 0x11c],
    pub(crate) e820_entries: u8,
    _sentinel: [u8; 8],
    pub(crate) hdr: SetupHeader,
    _mbr: [u8; 0x64],
    pub(crate) e820_table: [E820; 128],
    _disks: [u8; 0x330],
}

/// Where the header begins in the file and in the parameters.
pub(crate) const START: usize = offset_of!(BootParams, hdr);

const _: () = {
    assert!(START == 0x1f1 && START + offset_of!(SetupHeader, magic) == 0x202);
    assert!(START + offset_of!(SetupHeader, ramdisk_image) == 0x218);
    assert!(START + offset_of!(SetupHeader, xloadflags) == 0x236);
    assert!(START + offset_of!(SetupHeader, payload_offset) == 0x248);
    assert!(START + offset_of!(SetupHeader, init_size) == 0x260);
    assert!(offset_of!(BootParams, e820_entries) == 0x1e8);
    assert!(offset_of!(BootParams, e820_table) == 0x2d0);
    assert!(size_of::<BootParams>() == 4096);
};

impl SetupHeader {
    /// Finds the header of a bzImage; fails with what the file is instead.
    pub(crate) fn of(file: &[u8]) -> Result<&Self, &'static str> {
        let bytes = file.get(START..).unwrap_or_default();
        match Self::ref_from_prefix(bytes) {
            Ok((header, _)) if header.magic == *b"HdrS" && header.boot_flag == 0xaa55 => Ok(header),
            _ => Err("is no bzImage (a `vmlinuz`, not a `vmlinux`)"),
        }
    }

    /// Where the protected-mode kernel begins in the file.
    pub(crate) fn kernel_start(&self) -> usize {
        let sectors = match self.setup_sects {
            0 => 4,
            sectors => usize::from(sectors),
        };
        (sectors + 1) * 512
    }
}

/// The low and the high half of an address.
pub(crate) const fn halves(value: u64) -> (U32, U32) {
    (U32::new(value as u32), U32::new((value >> 32) as u32))
}

/// An address of a low and a high half.
pub(crate) fn whole(low: U32, high: U32) -> u64 {
    u64::from(low.get()) | u64::from(high.get()) << 32
}
