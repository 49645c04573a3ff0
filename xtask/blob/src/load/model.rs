// SPDX-License-Identifier: MIT OR Apache-2.0
//! The loader against a second one, in C and from the contract alone: the same bytes in
//! memory, or neither loads.

use std::fs::{self, File};
use std::process::Command;

use super::{Loaded, Series};
use crate::feed::{SEED, random};
use crate::fixture::{FOREIGN, GREEN, STOCK_FLAGS, assemble, compile};

/// Blobs with damage, and how much there is.
const CASES: u64 = 6_000;

/// Every third byte that is hit is in the headers; values are those that decide.
fn damaged(blob: &[u8], state: &mut u64) -> Vec<u8> {
    let mut blob = blob.to_vec();
    let headers = u64::from_le_bytes(*blob[40..].first_chunk().unwrap()) as usize;
    for _ in 0..random(state, 4) {
        let start = match random(state, 4) {
            0 => random(state, 64),
            1 => headers + random(state, blob.len() - headers),
            _ => headers.saturating_sub(1 + random(state, 2_000)),
        };
        let end = (start + 1 + random(state, 3)).min(blob.len());
        let value = [0, 1, 2, 4, 8, 9, 11, 0x7f, 0xff, random(state, 256) as u8][random(state, 10)];
        blob[start..end].fill(value);
    }
    if random(state, 40) == 0 {
        blob.truncate(headers + random(state, 400));
    }
    blob
}

#[test]
fn loads_as_the_model_does() {
    let folder = tempfile::tempdir().unwrap();
    let [program, input] = ["model", "cases"].map(|name| folder.path().join(name));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/load/model.c");
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&program)
        .arg(source);
    assert!(cc.status().unwrap().success());

    let calls =
        "call other\n .pushsection .data\n other: .quad other\n .long 1\n .popsection\n jmp";
    let relocated = assemble(&GREEN.replacen("jmp", calls, 1));
    let absolute = compile(
        FOREIGN,
        &[STOCK_FLAGS, &["-fno-pic", "-mcmodel=kernel"]].concat(),
    );
    let seeds = [
        assemble(GREEN),
        relocated,
        compile(FOREIGN, STOCK_FLAGS),
        absolute,
    ];
    let places = [
        0x3000,
        0x7fff_f000,
        0x17f_7aff_d000,
        0x3800,
        u64::MAX - 0xfff,
    ];
    let mut state = SEED;
    let mut cases = Vec::new();
    let mut stream = Vec::new();
    for number in 0..CASES {
        let blob = damaged(&seeds[number as usize % seeds.len()], &mut state);
        let kernel = [Series::V5_10, Series::V6_1][random(&mut state, 2)];
        let mem = places[random(&mut state, 20).saturating_sub(15)];
        let words = [kernel.entry_by_symbol.into(), mem, blob.len() as u64];
        stream.extend(words.map(u64::to_le_bytes).as_flattened());
        stream.extend(&blob);
        cases.push((blob, mem, kernel));
    }
    fs::write(&input, stream).unwrap();
    let output = Command::new(&program)
        .stdin(File::open(&input).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", output.status);

    let mut loads = 0;
    let mut said = output.stdout.as_slice();
    for (number, (blob, mem, kernel)) in cases.iter().enumerate() {
        let ours = Loaded::place(blob, *mem, *kernel);
        let mut words = |count: usize| {
            let (words, rest) = said.split_at(8 * count);
            said = rest;
            words
                .as_chunks()
                .0
                .iter()
                .map(|word| u64::from_le_bytes(*word))
                .collect::<Vec<_>>()
        };
        if words(1) == [0] {
            assert!(ours.is_err(), "case {number}: only the model refuses");
            continue;
        }
        let rest = words(3);
        let bytes;
        (bytes, said) = said.split_at(rest[2] as usize);
        let ours = ours.unwrap_or_else(|error| panic!("case {number}: only we refuse: {error}"));
        assert_eq!(
            (ours.entry, ours.memsz),
            (rest[0], rest[1]),
            "case {number}"
        );
        assert!(ours.buf == bytes, "case {number}: other bytes");
        loads += 1;
    }
    // Neither all nor none, or it would prove little.
    assert!(
        (CASES / 4..CASES * 3 / 4).contains(&loads),
        "{loads} of {CASES} load"
    );
}
