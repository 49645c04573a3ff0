// SPDX-License-Identifier: MIT OR Apache-2.0
//! Readers of what others wrote: no bytes may make one panic.

use std::fs;

use crate::arch::Arch;
use crate::check::{ADDRESSES, judge};
use crate::feed::fuzz;
use crate::fixture::{FOREIGN, GREEN, STOCK_FLAGS, assemble, compile};
use crate::load::{File, Loaded, Segment, Series, fill_digest};
use crate::report::{explain, parse};
use crate::status::{SIZE, Words};
use crate::{config, map, set, symbols};

fn blobs() -> Vec<Vec<u8>> {
    vec![assemble(GREEN), compile(FOREIGN, STOCK_FLAGS)]
}

#[test]
fn the_elf_reader_and_the_loader() {
    fuzz(&blobs(), |bytes| {
        let _ = File::parse(bytes);
        for kernel in [Series::V5_10, Series::V7_3, Series::KEXEC_TOOLS] {
            let Ok(mut loaded) = Loaded::place(bytes, 0x17f_7aff_d000, kernel) else {
                continue;
            };
            let segment = Segment {
                mem: 0x1000,
                memsz: 0x1000,
                buf: b"image",
            };
            let _ = fill_digest(&mut loaded, &[segment]);
        }
    });
}

#[test]
fn the_checker_with_names_of_the_linked_program() {
    fuzz(&blobs(), |bytes| {
        for kernels in [Series::ALL.to_vec(), vec![Series::KEXEC_TOOLS]] {
            let table = judge(bytes, Some(bytes), kernels, ADDRESSES.to_vec());
            assert!(!table.to_string().is_empty());
        }
    });
}

#[test]
fn the_map_and_the_configuration() {
    fuzz(&blobs(), |bytes| {
        let _ = symbols::map(bytes, "toolchain");
        let _ = map::defined(bytes).map(|all| map::listing(&all));
        if let Ok(range) = config::find(bytes) {
            assert!(bytes.get(range).is_some());
        }
    });
}

#[test]
fn reports_on_a_console() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/report/samples");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| fs::read(entry.unwrap().path()).unwrap());
    fuzz(&files.collect::<Vec<_>>(), |bytes| {
        for report in parse(&String::from_utf8_lossy(bytes)) {
            assert!(!explain(Arch::ALL[0], &report, None, None).is_empty());
        }
    });
}

#[test]
fn a_record_in_memory() {
    use purgatory::status::Status;
    let mut record = [0; SIZE];
    set!(record, Status.version, Status::VERSION);
    set!(record, Status.size, SIZE as u32);
    fuzz(&[record.to_vec()], |bytes| {
        let mut record = [0xa5; SIZE];
        let len = bytes.len().min(SIZE);
        record[..len].copy_from_slice(&bytes[..len]);
        assert!(!Words(Arch::ALL[0], &record).to_string().is_empty());
    });
}
