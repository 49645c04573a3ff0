// SPDX-License-Identifier: MIT OR Apache-2.0
//! Logs of real runs, and what is said about them, to the letter. With
//! `UPDATE_EXPECT=1` the tests write a new golden text, to be read before it is
//! committed.

use expect_test::expect_file;

use super::*;
use crate::fixture;

const THREE: &str = include_str!("samples/three.json");
const SIXTEEN: &str = include_str!("samples/sixteen.json");

/// Logs, each with the list of what was loaded.
const SAMPLES: &[(&str, Option<&str>)] = &[
    ("bit-in-middle-byte-of-last", Some(THREE)),
    ("last-of-sixteen", Some(SIXTEEN)),
    ("wrong-digest", Some(THREE)),
    ("empty-table-with-another-digest", Some(THREE)),
    ("region-that-wraps", Some(THREE)),
    ("invalid-opcode", None),
    ("page-fault", Some(THREE)),
    ("page-fault-in-region", Some(THREE)),
    ("jump-astray", None),
    ("region-above-any-memory", Some(THREE)),
    ("cut-off", Some(THREE)),
];

/// Reads a log.
fn sample(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/report/samples");
    std::fs::read_to_string(format!("{folder}/{name}.log")).unwrap()
}

/// A linked blob as far as names go: `purgatory::verify` where it was.
fn linked() -> Vec<u8> {
    let code = "
        .section .purgatory, \"ax\"
        .skip 0xc0
        sha256_compress_shani: .skip 0x2045
        _RNvC9purgatory6verify: .skip 0x371
        text_end:";
    fixture::assemble(code)
}

fn explained(log: &str, segments: Option<&str>, elf: Option<&[u8]>) -> String {
    let manifest = segments.map(|json| serde_json::from_str::<Manifest>(json).unwrap());
    let code = elf.map(|elf| Code::linked(elf).unwrap());
    parse(log)
        .iter()
        .map(|report| explain(Arch::ALL[0], report, manifest.as_ref(), code.as_ref()))
        .collect()
}

#[test]
fn explains_each_sample_to_the_letter() {
    let elf = linked();
    for (name, segments) in SAMPLES {
        let text = explained(&sample(name), *segments, Some(&elf));
        expect_file![format!("samples/{name}.txt")].assert_eq(&text);
    }
}

/// What a terminal and two kernels make of it.
#[test]
fn noise_does_not_matter() {
    let elf = linked();
    for (name, segments) in SAMPLES {
        let plain = sample(name);
        // One that is cut off ends within a line.
        if !plain.ends_with('\n') {
            continue;
        }
        let golden = explained(&plain, *segments, Some(&elf));
        let mut log = "[    3.1] kexec_core: Starting new kernel\r\npurgatory: verifying\r\n\
                       purgatory: 512 MiB verified\r\n"
            .to_owned();
        for line in plain.lines() {
            log += &format!("\x1b[0;32m[12:00:01.333]\x1b[0m {line}\x1b[K\r\n\u{fffd}\r\n");
        }
        log += "[12:00:09.000] Linux version 6.1.0\r\n  region 0 0x1 0x2\r\n";
        let text = explained(&log, *segments, Some(&elf));
        assert_eq!(text, golden, "{name}");
        let twice = explained(&log.repeat(2), *segments, Some(&elf));
        assert_eq!(twice, golden.repeat(2), "{name}");
    }
}

#[test]
fn any_difference_from_the_list_is_named() {
    let log = &sample(SAMPLES[0].0);
    let elsewhere = [
        ("0x1000000", "0x1"),
        ("0x70000", "0x2"),
        ("2 5cfe329b", "2 00000000"),
    ];
    let kernel = "region 1 (kernel) at 0x1000000, 0x5000 bytes";
    let changed = format!("Table changed: {kernel} is now at");
    let unknown = format!("Unknown: {kernel}: the log has no fingerprint");
    let named = |edits: &[(&str, &str)], says: &str| {
        let edit = |log: String, (from, to): &(&str, &str)| log.replace(from, to);
        let log = edits.iter().fold(log.clone(), edit);
        let text = explained(&log, Some(THREE), None);
        assert!(text.contains(says), "{says}:\n{text}");
    };
    let region = "0x1000000 0x5000";
    named(
        &[(region, "0x1001000 0x5000")],
        &format!("{changed} 0x1001000"),
    );
    named(
        &[(region, "0x1000000 0x6000")],
        &format!("{changed} 0x1000000, 0x6000"),
    );
    named(
        &elsewhere,
        "0 of 3 regions are as they were loaded.\n  Something wrote there",
    );
    named(
        &[("  region 1 0x1000000 0x5000\n", "")],
        "Missing: region 1 (kernel)",
    );
    let another = [("  region 2", "  region 9 0x5000 0x1000\n  region 2")];
    named(&another, "Not loaded: region 9 at 0x5000, 0x1000 bytes");
    for garbled in ["1 unreadable", "1 d7db02", "1 d7db02g9"] {
        named(&[("1 d7db0209", garbled)], &unknown);
    }
    let intact = "3 of 3 regions are as they were loaded.\n  All that the log tells agrees";
    named(&[("2 5cfe329b", "2 ab45a3c0")], intact);
    let other_load = [&elsewhere[..], &[("expected 37", "expected 38")]].concat();
    named(
        &other_load,
        "Nothing at all agrees: the list is that of another load.",
    );
    for garbled in ["expected 37 ", "expected g"] {
        let text = explained(&log.replace("expected ", garbled), Some(THREE), None);
        assert!(!text.contains("Digest changed"), "{garbled}:\n{text}");
    }
    let half = &log[..log.find("0x5000").unwrap() + 4];
    let text = explained(half, Some(THREE), None);
    assert!(!text.contains("Table changed"), "{text}");
    assert!(explained(log, None, None).contains("give it with --segments"));
    let other = explained("purgatory: refused: its own stack overflowed\n", None, None);
    assert!(other.contains("please report it"), "{other}");
    let astray = "purgatory: refused: the next kernel's entry 0x1 is in no region\n";
    let astray = explained(astray, None, None);
    assert!(astray.contains("not the registers"), "{astray}");
    let damaged = explained("purgatory: refused: its own code is damaged\n", None, None);
    assert!(damaged.contains("not those that were built"), "{damaged}");
    let unknown = explained("purgatory: refused: the moon is full\n", None, None);
    assert!(unknown.contains("does not know that reason"), "{unknown}");
    let cut = explained(&log[..log.find("  sha256").unwrap()], Some(THREE), None);
    assert!(
        cut.contains("Which of the 3 regions differ, it does not tell")
            && cut.contains("ends within the report"),
        "{cut}"
    );
    assert!(!cut.contains("All that the log tells agrees"), "{cut}");
    let overruled = "purgatory: verified, by portable code only\n  sha-ni ended in an exception\n";
    let overruled = explained(overruled, None, None);
    assert!(
        overruled.contains("was started")
            && overruled.contains("sha-ni does not work: it ended in an exception.")
            && !overruled.contains("The log ends"),
        "{overruled}"
    );
    let both = log.replace("  region 0", "  sse2 computed 12ab\n  region 0");
    let both = explained(&both, None, None);
    assert!(
        both.contains("sse2 does not work: it computed 12ab."),
        "{both}"
    );
    assert_eq!(
        explained("purgatory: verified 3 bytes with avx2\n", None, None),
        ""
    );
}

#[test]
fn a_place_without_a_function_is_said_to_be_none() {
    let elf = linked();
    let said = |place: &str, elf| {
        explained(
            &format!("purgatory: exception 6 #UD, error 0x0, at {place}\n"),
            None,
            elf,
        )
    };
    assert!(said("0x7123456780", Some(elf.as_slice())).contains("Outside of its own code"));
    assert!(said("purgatory_start+0x4000", Some(&elf)).contains("+0x4000, which is not its code"));
    assert!(said("purgatory_start+0x2105", None).contains("Give --elf purgatory-x86_64.elf"));
    assert!(said("purgatory_start+0x2105", Some(&elf)).contains("In purgatory::verify+0x0"));
}

/// Half a number is none.
#[test]
fn a_cut_exception_claims_nothing() {
    let elf = linked();
    let line = "purgatory: exception 14 #PF, error 0x2, at purgatory_start+0x2105, address 0x7000";
    let place = "In purgatory::verify+0x0";
    let whole = explained(&format!("{line}\n"), None, Some(&elf));
    assert!(whole.contains("#PF, writing") && whole.contains(place) && whole.contains("0x7000"));
    for (length, fault, is_placed) in [
        (35, "(#PF).", false),
        (64, "(#PF, writing).", false),
        (79, "(#PF, writing).", true),
    ] {
        let text = explained(&line[..length], None, Some(&elf));
        assert!(text.contains(fault), "{text}");
        assert_eq!(text.contains(place), is_placed, "{text}");
        assert_eq!(
            text.contains("The log ends before it says where"),
            !is_placed,
            "{text}"
        );
        assert!(
            !text.contains("astray") && !text.contains("Address"),
            "{text}"
        );
    }
}

#[test]
fn an_address_is_looked_for_in_the_log_and_in_the_list() {
    let said = |address: &str, regions: &str, segments| {
        let fault = "purgatory: exception 14 #PF, error 0x0, at purgatory_start+0x2105, address";
        explained(&format!("{fault} {address}\n{regions}"), segments, None)
    };
    let region = "  region 1 0x1000000 0x5000\n";
    for (regions, segments) in [(region, None), ("", Some(THREE))] {
        let last = said("0x1004fff", regions, segments);
        assert!(last.contains("0x1004fff is in region 1 "), "{last}");
        let next = said("0x1005000", regions, segments);
        assert!(next.contains("0x1005000 is in no region"), "{next}");
    }
}

#[test]
fn an_error_code_is_said_where_there_is_one() {
    let said = |error: &str| {
        let fault = format!("purgatory: exception 13 #GP, error {error}, at 0x1000\n");
        explained(&fault, None, None)
    };
    assert!(said("0x18").contains("(#GP, error 0x18)."));
    assert!(said("0x0").contains("(#GP)."));
}
