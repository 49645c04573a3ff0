// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each promise, broken and held; and damage of every kind.

mod blobs;
mod cases;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use object::LittleEndian as LE;
use object::elf::FileHeader64;
use object::pod;
use proptest::prelude::*;

use super::{ADDRESSES, Grade, KEXEC_TOOLS, LOADER, OWN, Table, judge, listed};
use crate::fixture::{FOREIGN, GREEN, STOCK_FLAGS, assemble, compile};
use crate::load::{File, Series};
use blobs::{patched, relocated};
use cases::CASES;

#[test]
fn breaks_each_promise_and_no_other() {
    let mut wrong = Vec::new();
    for case in CASES {
        let report = judged(&(case.blob)(), case.kernels);
        let found = titles(&report, Grade::Broken);
        if found != case.broken || !report.to_string().contains(case.says) {
            wrong.push(format!("{}: wanted {:?}\n{report}", case.name, case.broken));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A row that no case turns red proves nothing. One row cannot be red: whether
/// memory is counted on cannot be seen in the file.
#[test]
fn every_promise_is_broken_by_a_case() {
    let broken: BTreeSet<_> = CASES.iter().flat_map(|case| case.broken).copied().collect();
    let promised: BTreeSet<_> = [LOADER, OWN, KEXEC_TOOLS]
        .into_iter()
        .flatten()
        .map(|promise| promise.title)
        .collect();
    let untested: Vec<_> = promised.difference(&broken).collect();
    assert_eq!(untested, [&"does not count on zeroed memory"]);
}

#[test]
fn ours_holds_every_promise() {
    let report = judged(&assemble(GREEN), &[]);
    assert_eq!(report.count(Grade::Held), report.rows.len(), "{report}");
    assert!(
        report.to_string().ends_with("32 held, 0 broken\n"),
        "{report}"
    );
}

#[test]
fn another_blob_is_not_asked_for_our_own_promises() {
    let report = judged(&compile(FOREIGN, STOCK_FLAGS), &[]);
    assert_eq!(report.count(Grade::Broken), 0, "{report}");
    assert_eq!(report.count(Grade::Informed), OWN.len(), "{report}");
    assert_eq!(
        titles(&report, Grade::Doubtful),
        ["does not count on zeroed memory"]
    );
}

#[test]
fn instructions_are_judged_only_by_the_names_of_this_build() {
    let blob = assemble(GREEN);
    let kernels = Series::ALL.to_vec();
    let report = |linked: Option<&[u8]>| {
        judge(&blob, linked, kernels.clone(), ADDRESSES.to_vec()).to_string()
    };
    let title = "11  every instruction in its place";
    let other = blobs::executes("nop");
    let cases = [
        (
            Some(blob.as_slice()),
            "ok  ",
            "19, of which 0 need a reason",
        ),
        (None, "skip", "no names: give the linked program"),
        (
            Some(&other),
            "warn",
            "that of another build: its code differs",
        ),
        (Some(b"\x7fELF"), "warn", "the linked program: "),
    ];
    for (linked, grade, says) in cases {
        let report = report(linked);
        let line = report.lines().find(|line| line.contains(title)).unwrap();
        assert!(line.starts_with(grade) && line.contains(says), "{line}");
    }
}

#[test]
fn lists_the_instructions_that_the_check_counts() {
    let blob = blobs::in_their_places();
    let all = listed(&blob, &blob).unwrap();
    let out = all.iter().find(|one| one.name == "out").unwrap();
    assert_eq!((out.length, out.text.as_str()), (2, "out 0E9h,al"));
    assert_eq!(out.kind, "port I/O");
    assert_eq!(out.function, "purgatory::arch::x86_64::screen::show");
    let count = format!("{} need a reason", all.len());
    assert!(judged(&blob, &[]).to_string().contains(&count));
    assert!(listed(&blob, &blobs::executes("nop")).is_err());
    assert!(listed(b"text", &blob).is_err());
}

#[test]
fn zeroed_memory_is_doubted_only_where_it_can_be_dirty() {
    let blob = compile(FOREIGN, STOCK_FLAGS);
    let doubted = |kernel| judged(&blob, &[kernel]).count(Grade::Doubtful);
    let counts = Series::ALL.iter().map(|&kernel| doubted(kernel));
    assert_eq!(counts.collect::<Vec<_>>(), [0, 0, 0, 1, 1]);
}

#[test]
fn failing_rows_say_what_why_and_mend() {
    let report = judged(&patched(|blob| blob[16] = 2), &[]).to_string();
    let starts = [
        "FAIL   1  relocatable",
        "what: e_type",
        "why:  no kernel",
        "mend: give a",
        "ok     1  everything",
    ];
    for (line, start) in report.lines().zip(starts) {
        assert!(line.trim_start().starts_with(start), "{report}");
    }
}

/// The blobs to damage, and the bytes that say something: headers, symbols,
/// names and relocations.
static SEEDS: LazyLock<Vec<(Vec<u8>, Vec<usize>)>> = LazyLock::new(|| {
    let seeds = [assemble(GREEN), relocated(), compile(FOREIGN, STOCK_FLAGS)];
    let with_places = |blob: Vec<u8>| {
        let file = File::parse(&blob).unwrap();
        let header: &FileHeader64<LE> = pod::from_bytes(&blob).unwrap().0;
        let headers = header.e_shoff.get(LE) as usize;
        let mut places: Vec<_> = (16..64).collect();
        places.extend(headers..headers + 64 * file.sections.len());
        for table in file.sections.iter().filter(|section| !section.is_alloc()) {
            places.extend(table.offset as usize..(table.offset + table.size) as usize);
        }
        (blob, places)
    };
    seeds.into_iter().map(with_places).collect()
});

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    /// Damage may be judged either way, but it is judged: no panic, and the
    /// table is complete.
    #[test]
    fn judges_any_damage(
        seed in 0..3usize,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 1..9usize), 1..8),
        cut in prop::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let (blob, places) = &SEEDS[seed];
        let mut blob = blob.clone();
        for (place, value, count) in flips {
            let start = *place.get(places);
            let end = (start + count).min(blob.len());
            blob[start..end].fill(value);
        }
        if let Some(cut) = cut {
            blob.truncate(cut.index(blob.len()));
        }
        let report = judged(&blob, &[]);
        let rows = if report.readable { LOADER.len() + OWN.len() } else { 1 };
        prop_assert_eq!(report.to_string().lines().filter(|line| !line.starts_with(' ')).count(), rows + 1);
    }
}

fn judged(blob: &[u8], kernels: &[Series]) -> Table {
    let kernels = if kernels.is_empty() {
        &Series::ALL
    } else {
        kernels
    };
    // An assembled blob carries all of its names itself.
    judge(blob, Some(blob), kernels.to_vec(), ADDRESSES.to_vec())
}

fn titles(report: &Table, grade: Grade) -> Vec<&'static str> {
    let rows = report
        .rows
        .iter()
        .filter(|row| row.finding.grade() == grade);
    rows.map(|row| row.promise.title).collect()
}
