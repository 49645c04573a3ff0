// SPDX-License-Identifier: MIT OR Apache-2.0
//! The loader against blobs whose outcome is known by hand.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::{LoadError, Loaded, Segment, Series, fill_digest};
use crate::fixture::{FOREIGN, GREEN, STOCK_FLAGS, assemble, compile};

const MEM: u64 = 0x1_0000_0000;

fn place<'data>(blob: &'data [u8], mem: u64) -> Result<Loaded<'data>, LoadError> {
    Loaded::place(blob, mem, Series::V6_12)
}

#[test]
fn lays_out_bytes_then_stack() {
    let blob = assemble(GREEN);
    let loaded = place(&blob, MEM).unwrap();
    assert_eq!(loaded.memsz, 0x4000);
    assert_eq!(loaded.buf.len(), 0x2000);
    assert_eq!(loaded.entry, MEM);
    assert_eq!(loaded.symbol_address("entry64_regs"), Ok(MEM + 0x1000));
    assert_eq!(loaded.symbol_address("stack_end"), Ok(MEM + 0x3000));
}

#[test]
fn loads_a_blob_with_many_sections() {
    let blob = compile(FOREIGN, STOCK_FLAGS);
    let loaded = place(&blob, MEM).unwrap();
    assert_eq!(
        loaded.entry,
        loaded.symbol_address("purgatory_start").unwrap()
    );
    let table = loaded.symbol_address("entry64_regs").unwrap();
    assert_eq!(loaded.get_symbol("table", 8), Ok(&table.to_le_bytes()[..]));
}

#[test]
fn gets_what_was_set() {
    let blob = assemble(GREEN);
    let fresh = place(&blob, MEM).unwrap();
    let mut loaded = fresh.clone();
    loaded.set_symbol("entry64_regs", &[7; 136]).unwrap();
    assert_eq!(loaded.get_symbol("entry64_regs", 136), Ok(&[7; 136][..]));
    let (before, value) = loaded.buf.split_at(0x1000);
    assert_eq!(before, &fresh.buf[..0x1000]);
    assert_eq!(value[136..], fresh.buf[0x1000 + 136..]);
}

#[test]
fn refuses_symbols_in_the_words_of_the_kernel() {
    let blob = assemble(&(GREEN.to_owned() + ".size stack_end, 8\n"));
    let mut loaded = place(&blob, MEM).unwrap();
    let words = |result: Result<(), LoadError>| result.unwrap_err().to_string();
    let size = words(loaded.set_symbol("entry64_regs", &[0; 160]));
    assert!(
        size.starts_with("symbol entry64_regs size mismatch: expected 136 actual 160"),
        "{size}"
    );
    let nobits = words(loaded.set_symbol("stack_end", &[0; 8]));
    assert!(
        nobits.starts_with("symbol stack_end is in a bss section. Cannot set"),
        "{nobits}"
    );
    let missing = words(loaded.set_symbol("backup_start", &[0; 8]));
    assert!(
        missing.contains("no global symbol backup_start"),
        "{missing}"
    );
    let missing = words(loaded.symbol_address("backup_start").map(drop));
    assert!(
        missing.starts_with("Could not find address of symbol backup_start"),
        "{missing}"
    );
}

/// `.text.hot` comes first and holds `e_entry` 0 too: contract of 480e1d5c64bb
/// and what it left behind.
#[test]
fn enters_where_that_kernel_would() {
    let two = |first: &str, skip: u64, second: &str| {
        assemble(&format!(
            ".section {first}, \"ax\"\n .skip 64\n .section {second}, \"ax\"\n .skip {skip}\n\
             .global purgatory_start\n purgatory_start: jmp .\n"
        ))
    };
    let offset = |blob: &[u8], kernel| Loaded::place(blob, MEM, kernel).unwrap().entry - MEM;
    // The earlier section takes e_entry 0 under every rule.
    let earlier = two(".text.hot", 0, ".text.start");
    assert_eq!(offset(&earlier, Series::V5_10), 0);
    assert_eq!(offset(&earlier, Series::V7_3), 0);
    // e_entry 64 is just beyond it.
    let beyond = two(".text.hot", 64, ".text.start");
    assert_eq!(offset(&beyond, Series::V5_10), 128);
    assert_eq!(offset(&beyond, Series::V7_3), 128);
    // Both rules in one section: the symbol decides where there is that rule.
    let mut moved = beyond.clone();
    moved[24] = 65;
    assert_eq!(offset(&moved, Series::V5_10), 129);
    assert_eq!(offset(&moved, Series::V6_1), 128);
    // A symbol beyond its section does not count.
    let mut wild = assemble(".global purgatory_start\n jmp .\n .set purgatory_start, . + 64\n");
    wild[24] = 1;
    assert_eq!(offset(&wild, Series::V6_1), 1);
    // Nothing holds it.
    moved[24] = 255;
    assert_eq!(offset(&moved, Series::V6_12), 128);
    let error = Loaded::place(&moved, MEM, Series::V5_10).unwrap_err();
    assert!(error.to_string().contains("holds e_entry 0xff"), "{error}");
}

#[test]
fn relocates_to_the_final_address() {
    let blob = assemble(
        ".data\n .skip 8\n word: .quad word\n low: .long word\n signed: .quad 0\n\
         .text\n .global purgatory_start\n purgatory_start: lea word(%rip), %rax\n\
         call other\n .section .text.other, \"ax\"\n nop\n other: ret\n",
    );
    let loaded = place(&blob, 0x3000).unwrap();
    // .text has 12 bytes at 0, .text.other 2 at 12, .data 28 at 14.
    assert_eq!(loaded.buf[3..7], (14 + 8 - 7i32).to_le_bytes());
    assert_eq!(loaded.buf[8..12], (12 + 1 - 12i32).to_le_bytes());
    assert_eq!(loaded.buf[22..30], (0x3000 + 22u64).to_le_bytes());
    assert_eq!(loaded.buf[30..34], (0x3000 + 22u32).to_le_bytes());
    assert!(place(&blob, 0xffff_f000).is_ok());
    let error = place(&blob, MEM).unwrap_err().to_string();
    assert!(
        error.starts_with("Overflow in relocation type 10 value 0x100000016"),
        "{error}"
    );
}

#[test]
fn refuses_a_place_that_the_kernel_would_not_choose() {
    let blob = assemble(GREEN);
    for mem in [0, 0x1800, u64::MAX - 0xfff] {
        assert!(
            matches!(place(&blob, mem), Err(LoadError::Misplaced(_))),
            "{mem:#x}"
        );
    }
}

#[test]
fn hashes_segments_in_order_and_leaves_out_the_purgatory() {
    let blob = assemble(GREEN);
    let mut loaded = place(&blob, MEM).unwrap();
    let segment = |mem, memsz, buf| Segment { mem, memsz, buf };
    let segments = [
        segment(0x9000, 0x3000, b"kernel".as_slice()),
        segment(MEM, 0x3000, b"not hashed"),
        segment(0x1000, 0x1000, &[0x55; 0x1000]),
    ];
    fill_digest(&mut loaded, &segments).unwrap();
    let mut image = b"kernel".to_vec();
    image.resize(0x3000, 0);
    image.extend([0x55; 0x1000]);
    assert_eq!(
        loaded.get_symbol("purgatory_sha256_digest", 32),
        Ok(Sha256::digest(&image).as_slice())
    );
    let mut table = String::new();
    for word in loaded.get_symbol("purgatory_sha_regions", 256).unwrap()[..48].chunks(8) {
        write!(table, "{:x} ", u64::from_le_bytes(word.try_into().unwrap())).unwrap();
    }
    assert_eq!(table, "9000 3000 1000 1000 0 0 ");
}

#[test]
fn hashes_nothing_for_no_segments() {
    let blob = assemble(GREEN);
    let mut loaded = place(&blob, MEM).unwrap();
    fill_digest(&mut loaded, &[]).unwrap();
    let digest = loaded.get_symbol("purgatory_sha256_digest", 32).unwrap();
    assert_eq!(digest[..4], [0xe3, 0xb0, 0xc4, 0x42]);
}

#[test]
fn takes_sixteen_segments_and_no_more() {
    let blob = assemble(GREEN);
    let mut loaded = place(&blob, MEM).unwrap();
    let segments: Vec<_> = (1..=17)
        .map(|page| Segment {
            mem: page * 0x1000,
            memsz: 0x1000,
            buf: b"x",
        })
        .collect();
    fill_digest(&mut loaded, &segments[..16]).unwrap();
    let error = fill_digest(&mut loaded, &segments).unwrap_err();
    assert!(error.to_string().contains("16 entries"), "{error}");
}
