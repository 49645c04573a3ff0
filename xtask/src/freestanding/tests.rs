// SPDX-License-Identifier: MIT OR Apache-2.0
//! Both halves of the proof red, each by itself; and what would make it vacuous.

use std::env;
use std::sync::LazyLock;

use blob::proof::{FAR, NEAR, prove};

use super::*;
use crate::fixture;
use crate::host::toolchain;

static TOOLCHAIN: LazyLock<Toolchain> =
    LazyLock::new(|| toolchain::find(Arch::ALL[0], None).unwrap());

/// One object, linked the three ways that the proof compares.
struct Links {
    independent: Vec<u8>,
    near: Vec<u8>,
    far: Vec<u8>,
}

impl Links {
    fn of(object: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [file, to] = ["object.o", "linked"].map(|name| folder.path().join(name));
        fs::write(&file, object).unwrap();
        let linked = |kind, base| {
            let script = write_script(folder.path(), "script", base).unwrap();
            link(&TOOLCHAIN, kind, &file, &script, &to).unwrap();
            fs::read(&to).unwrap()
        };
        Self {
            independent: linked("--pie", NEAR),
            near: linked("--no-pie", NEAR),
            far: linked("--no-pie", FAR),
        }
    }

    /// Assembles what the entry refers to, beside an entry.
    fn assembled(load: &str, rest: &str) -> Self {
        let source = format!(
            ".section .text.start, \"ax\", @progbits
             .global purgatory_start
             purgatory_start: {load}
             ret
             .size purgatory_start, . - purgatory_start
             {rest}"
        );
        Self::of(&fixture::assemble(&source))
    }

    fn independent() -> Self {
        Self::assembled(
            "lea word(%rip), %rax",
            ".section .rodata\nword: .quad 0x1234",
        )
    }

    /// A word that holds its own address.
    fn absolute() -> Self {
        Self::assembled(
            "lea word(%rip), %rax",
            ".section .data.rel.ro, \"aw\"\n.skip 24\nword: .quad word\n.size word, 8",
        )
    }

    /// What people write, as rustc compiles it for the machine of the test.
    fn table_of_texts() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [source, object] = ["table.rs", "table.o"].map(|name| folder.path().join(name));
        let code = r#"
            #![no_std]
            static NAMES: [&str; 2] = ["one", "other"];
            #[unsafe(no_mangle)]
            #[unsafe(link_section = ".text.start")]
            pub extern "C" fn purgatory_start(index: usize) -> usize {
                // Left alone, LLVM makes it a table of distances.
                let names = core::hint::black_box(&NAMES);
                names.get(index).map_or(0, |name| name.len())
            }"#;
        fs::write(&source, code).unwrap();
        let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc
            .args(["--crate-type=lib", "--emit=obj", "--edition=2024", "-O"])
            .args(["-Crelocation-model=pic", "-Cpanic=abort", "-o"])
            .args([&object, &source]);
        process::output(&mut rustc).unwrap();
        Self::of(&fs::read(object).unwrap())
    }

    fn prove(&self) -> Result<Vec<u8>> {
        prove(&self.independent, &self.near, &self.far)
    }
}

#[track_caller]
fn refused(proof: Result<Vec<u8>>, says: &[&str]) {
    let Err(error) = proof else {
        panic!("it was accepted");
    };
    let error = error.to_string();
    for part in says {
        assert!(error.contains(part), "{error}\ndoes not say {part:?}");
    }
}

#[test]
fn accepts_what_never_mentions_its_address() {
    let links = Links::independent();
    let bytes = links.prove().unwrap();
    let word = 0x1234_u64.to_le_bytes();
    assert!(bytes.windows(8).any(|bytes| bytes == word));
    // Alike because nothing in them is an address, not because they are one file.
    assert_ne!(links.near, links.far);
}

#[test]
fn both_halves_name_a_static_table_of_texts() {
    let links = Links::table_of_texts();
    refused(
        links.prove(),
        &["table::NAMES+0x0: ", "table::NAMES+0x10: "],
    );
    let Links { independent, .. } = Links::independent();
    let Links { near, far, .. } = links;
    let moved = prove(&independent, &near, &far);
    refused(moved, &["table::NAMES+0x1: ", "table::NAMES+0x11: "]);
}

#[test]
fn first_half_names_a_word_that_holds_an_address() {
    refused(
        Links::absolute().prove(),
        &["\n  word+0x0: the address of word+0x0\n", "store offsets"],
    );
}

/// rustc's way to reach memcpy and exported statics, unless told otherwise.
#[test]
fn first_half_names_what_is_reached_through_the_got() {
    let links = Links::assembled(
        "pushq word@GOTPCREL(%rip)",
        ".section .data.rel.ro, \"aw\"\n.global word\nword: .quad 1\n.size word, 8",
    );
    refused(links.prove(), &["\n  the GOT: the address of word+0x0\n"]);
}

#[test]
fn first_half_counts_slots_that_hold_no_address() {
    let links = Links::assembled("pushq word@GOTPCREL(%rip)", ".weak word");
    refused(
        links.prove(),
        &["\n  the GOT: slots that no loader fills: 1\n"],
    );
}

/// Its page would be one of code, and be written.
#[test]
fn refuses_to_link_a_static_that_starts_with_a_value() {
    let source = ".section .text.start, \"ax\", @progbits
        .global purgatory_start
        purgatory_start: incl word(%rip)
        .data
        word: .long 1
        ";
    let folder = tempfile::tempdir().unwrap();
    let object = folder.path().join("object.o");
    fs::write(&object, fixture::assemble(source)).unwrap();
    let script = write_script(folder.path(), "script", NEAR).unwrap();
    let linked = folder.path().join("linked");
    let error = link(&TOOLCHAIN, "--no-pie", &object, &script, &linked).unwrap_err();
    let error = format!("{error:#}");
    assert!(
        error.contains("a static is neither constant nor zero"),
        "{error}"
    );
}

#[test]
fn second_half_names_the_bytes_that_follow_the_base() {
    let Links { near, far, .. } = Links::absolute();
    let Links { independent, .. } = Links::independent();
    let proof = prove(&independent, &near, &far);
    refused(
        proof,
        &["\n  word+0x1: changes with the base\n", "store offsets"],
    );
}

#[test]
fn refuses_links_of_different_lengths() {
    let Links {
        independent, near, ..
    } = Links::independent();
    let Links { far, .. } = Links::absolute();
    refused(
        prove(&independent, &near, &far),
        &["bytes at 0x0, but", "at 0x123456000"],
    );
}

#[test]
fn refuses_to_compare_a_link_with_itself() {
    let Links {
        independent, near, ..
    } = Links::absolute();
    // With nothing to relocate, only the base can tell.
    let clean = Links::independent().independent;
    refused(prove(&clean, &near, &near), &["both links landed at 0x0"]);
    refused(prove(&independent, &near, &near), &["word+0x0"]);
}

#[test]
fn refuses_a_first_link_that_is_no_pie_and_others_that_are() {
    let Links {
        independent,
        near,
        far,
    } = Links::absolute();
    let clean = Links::independent().independent;
    refused(prove(&near, &near, &far), &["Dynamic, not Executable"]);
    refused(
        prove(&clean, &independent, &far),
        &["Executable, not Dynamic"],
    );
    refused(
        prove(&clean, &near, &independent),
        &["Executable, not Dynamic"],
    );
}

#[test]
fn refuses_another_loaded_section() {
    let links = Links::assembled(
        "lea word(%rip), %rax",
        ".section .strange, \"aw\", @progbits\nword: .quad 0x1234",
    );
    refused(links.prove(), &["section .strange is loaded too"]);
}
