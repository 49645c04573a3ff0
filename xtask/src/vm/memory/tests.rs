// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records in dumps of every kind.

use std::io::Write as _;

use blob::set;
use blob::status::SIZE;
use purgatory::abi::Config;

use super::*;

fn record() -> Record {
    let mut record = [0xaa; SIZE];
    set!(record, Status.magic, u64::from_ne_bytes(Status::MAGIC));
    set!(record, Status.version, Status::VERSION);
    set!(record, Status.size, SIZE as u32);
    record
}

/// A core whose note holds a record, too, and so does memory that has but a virtual address.
#[test]
fn reads_the_physical_memory_of_a_core_only() -> Result<()> {
    let mut core = vec![0; 64 + 3 * 56];
    let mut put =
        |place: usize, bytes: &[u8]| core[place..place + bytes.len()].copy_from_slice(bytes);
    put(0, b"\x7fELF\x02\x01\x01");
    // Type, machine, version; then program headers: where, how large, how many.
    put(16, &[4, 0, 62, 0, 1]);
    put(32, &[64]);
    put(52, &[64, 0, 56, 0, 3]);
    let size = SIZE as u64;
    let segments = [(4, 0x1000, 0), (1, u64::MAX, size), (1, 0x2000, 2 * size)];
    for (index, (kind, place, from)) in segments.into_iter().enumerate() {
        let header = 64 + 56 * index;
        let words = [64 + 3 * 56 + from, 0x5000, place, size];
        put(header, &[kind]);
        put(header + 8, words.map(u64::to_le_bytes).as_flattened());
    }
    core.extend([record(); 3].as_flattened());
    let mut file = NamedTempFile::new()?;
    file.write_all(&core)?;
    let found = records(&mut Dump::open(file.path())?)?;
    assert_eq!(found, [(0x2000, record())]);

    file.as_file().write_all_at(&[1], 16)?;
    let error = Dump::open(file.path()).err();
    let error = format!("{:#}", error.context("an object was read")?);
    assert!(error.contains("not ET_CORE"), "{error}");
    Ok(())
}

/// Records at the end of a chunk and of the memory, askew, and cut off.
#[test]
fn finds_every_record_in_a_raw_dump_the_likely_ones_first() -> Result<()> {
    let mut memory = vec![0; CHUNK as usize + 0x1000];
    let end = memory.len();
    let mut other = record();
    set!(other, Status.size, 8);
    let places = [
        (0x100, other),
        (0x304, record()),
        (CHUNK as usize - 8, record()),
        (end - SIZE, record()),
    ];
    for (place, record) in places {
        memory[place..place + SIZE].copy_from_slice(&record);
    }
    // What the blob itself holds begins likewise.
    memory[0x400..0x408].copy_from_slice(&Config::MAGIC);
    let mut file = NamedTempFile::new()?;
    file.write_all(&memory)?;
    let found = records(&mut Dump::open(file.path())?)?;
    let addresses: Vec<_> = found.iter().map(|(address, _)| *address).collect();
    assert_eq!(addresses, [CHUNK - 8, (end - SIZE) as u64, 0x100]);

    file.as_file().set_len(end as u64 - 8)?;
    assert_eq!(records(&mut Dump::open(file.path())?)?.len(), 2);
    Ok(())
}

#[test]
fn reads_the_ram_of_the_system_only() {
    let tree = "FlatView #0\n AS \"I/O\", root: io\n  \
         0000000000000000-0000000000000007 (prio 0, ram): not memory\n\
         FlatView #1\n AS \"memory\", root: system\n AS \"cpu-memory-0\", root: system\n  \
         0000000000000000-000000000009ffff (prio 0, ram): ram\n  \
         00000000000a0000-00000000000bffff (prio 1, i/o): vga-lowmem\n  \
         00000000000e0000-00000000000fffff (prio 0, rom): pc.bios\n  \
         0000000100000000-0000000101ffffff (prio 0, ram): ram @02000000 KVM\n";
    assert_eq!(ram(tree), [0..0xa_0000, 0x1_0000_0000..0x1_0200_0000]);
}
