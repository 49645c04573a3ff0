// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel that does nothing, for trials and tests.

/// A bzImage of this boot protocol whose 64-bit entry point jumps to itself.
pub(crate) fn bzimage(protocol: u16) -> Vec<u8> {
    let mut file = vec![0; 0x800];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x1f1, &[1]); // setup_sects
    put(0x1fe, &[0x55, 0xaa]);
    put(0x201, &[0x66]); // the header ends at 0x268
    put(0x202, b"HdrS");
    put(0x206, &protocol.to_le_bytes());
    put(0x211, &[1]); // loadflags: high
    put(0x230, &0x20_0000_u32.to_le_bytes()); // kernel_alignment
    put(0x236, &[3]); // xloadflags: a 64-bit entry point, above 4 GiB too
    put(0x238, &255_u32.to_le_bytes()); // cmdline_size
    put(0x600, b"\xeb\xfe");
    file
}
