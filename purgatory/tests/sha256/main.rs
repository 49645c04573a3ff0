// SPDX-License-Identifier: MIT OR Apache-2.0
//! The assembly backends against the `sha2` crate: what no message can show.
//!
//! They are called directly, as the blob calls them; NIST's vectors run through
//! them in vectors.rs. A backend that this CPU cannot run is skipped, and says so.
#![cfg(any(target_arch = "riscv64", target_arch = "x86_64"))]

#[cfg_attr(target_arch = "riscv64", path = "riscv64.rs")]
#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
mod this;

use std::io::{Write, stderr};

use memmap2::MmapOptions;
use proptest::{collection::vec, prelude::*};
use sha2::block_api::compress256;

use this::{BACKENDS, Compress, Takes};

type State = [u32; 8];
type Block = [u8; 64];

#[derive(Clone, Copy)]
struct Backend {
    name: &'static str,
    runs_here: fn() -> bool,
    compress: Compress,
    /// What a call takes.
    takes: Takes,
}

const INITIAL: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Returns the backends that this CPU runs. Past the test harness, which would
/// swallow the message of a test that passes.
fn backends(test: &str) -> impl Iterator<Item = Backend> {
    BACKENDS.into_iter().filter(move |backend| {
        let runs = (backend.runs_here)();
        if !runs {
            let name = backend.name;
            _ = writeln!(stderr(), "{test}: skipped for {name}: this CPU lacks it");
        }
        runs
    })
}

impl Backend {
    fn compress(self, state: &mut State, blocks: &[Block]) {
        // SAFETY: 1. both come from references, the count from the same slice;
        // 2. `backends` hands out only what the CPU has.
        unsafe { (self.compress)(state, blocks.as_ptr(), blocks.len()) };
    }
}

proptest! {
    #[test]
    fn agrees_with_sha2_on_any_state_alignment_and_split(
        start in any::<State>(),
        place in 0..4usize,
        bytes in vec(any::<u8>(), 0..64 * 40),
        skip in 0..64usize,
        calls in vec(0..6usize, 0..12),
    ) {
        let (blocks, _) = bytes.get(skip..).unwrap_or_default().as_chunks();
        let mut expected = start;
        compress256(&mut expected, blocks);
        for backend in backends("any state, alignment and split") {
            let mut memory = [[0xa5a5_a5a5; 4]; 6].concat();
            let mut untouched = memory.clone();
            let state = 8 + place..16 + place;
            untouched[state.clone()].copy_from_slice(&expected);
            memory[state.clone()].copy_from_slice(&start);
            let before = bytes.clone();

            let mut rest = blocks;
            for count in calls.iter().copied().chain([blocks.len()]) {
                let (now, later) = rest.split_at(count.min(rest.len()));
                let state = memory[state.clone()].as_mut_array().expect("eight words");
                backend.compress(state, now);
                rest = later;
            }
            prop_assert_eq!(&memory, &untouched, "{} and the memory around its state", backend.name);
            prop_assert_eq!(&bytes, &before, "{} and its input", backend.name);
        }
    }
}

#[test]
fn reads_nothing_past_the_last_block() {
    const PAGE: usize = 4096;
    let file = tempfile::tempfile().expect("a file");
    file.set_len(PAGE as u64).expect("one page");
    // The second page lies past the file's end: to touch it is SIGBUS (mmap(2)).
    let page = MmapOptions::new()
        .len(2 * PAGE)
        .map_raw_read_only(&file)
        .expect("a mapping");
    // SAFETY: the first page is the file's, and lives as long as `page`.
    let page = unsafe { std::slice::from_raw_parts(page.as_ptr(), PAGE) };
    for backend in backends("last block") {
        for count in 1..=4 {
            let (blocks, _) = page[PAGE - 64 * count..].as_chunks();
            backend.compress(&mut INITIAL.clone(), blocks);
        }
    }
}
