// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is told, what is not, and what only looks as if.

use std::{fs, path::Path};

use super::{C_FILE, C_MACHINE, CONFDATA, Made, PURGATORY, ROOT, Tree};
use crate::tree::property::{Assumption, PROPERTIES, Reason, facts, require};

#[test]
fn says_everything_and_where() {
    let made = Made::new();
    assert_eq!(made.tree().version, "6.12.3-x");
    let answers = PROPERTIES.each_ref().map(|property| {
        let (value, places) = made.ask(property.name).unwrap();
        format!("{}={value} {places}", property.name)
    });
    let symbols = "entry64_regs,stack_end,purgatory_sha_regions,purgatory_sha256_digest";
    let expected = [
        "entry=symbol kernel/kexec_file.c:22",
        &format!(
            "symbols={symbols} arch/x86/kernel/kexec-bzimage64.c:2 :3, kernel/kexec_file.c:14 :15"
        ),
        "segments=16 include/uapi/linux/kexec.h:1",
        "empty-digest=no kernel/kexec_file.c:7",
        "relocations=NONE,PC32,PLT32 arch/x86/kernel/machine_kexec_64.c:9 :12 :13",
        "cma=no kernel/kexec_core.c:1",
        "debug-idt=no arch/x86/kernel/machine_kexec_64.c:4",
        "embed=incbin arch/x86/purgatory/kexec-purgatory.S:2",
        "chk=yes arch/x86/purgatory/Makefile:12",
        "flags=adjusted arch/x86/purgatory/Makefile:7",
        "strings=plain scripts/kconfig/confdata.c:3",
    ];
    assert_eq!(answers, expected);
}

/// A file, what stands in it, what stands there instead, and what a property is then:
/// `VALUE FILE:LINE`, or a part of why it cannot be told.
type Turn = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Result<&'static str, &'static str>,
);

const LOOKUP: &str = "sym = kexec_purgatory_find_symbol(pi, \"purgatory_start\");";
const CORE: &str = "kernel/kexec_core.c";
const IDT: &str = "arch/x86/kernel/relocate_kernel_64.S";

const TURNS: &[Turn] = &[
    (
        "entry",
        C_FILE,
        LOOKUP,
        "",
        Ok("e_entry kernel/kexec_file.c:21"),
    ),
    (
        "entry",
        C_FILE,
        LOOKUP,
        "/* kexec_purgatory_find_symbol(pi, \"purgatory_start\") */",
        Ok("e_entry kernel/kexec_file.c:21"),
    ),
    (
        "entry",
        C_FILE,
        LOOKUP,
        "pr_debug(\"kexec_purgatory_find_symbol(pi, purgatory_start)\");",
        Ok("e_entry kernel/kexec_file.c:21"),
    ),
    (
        "entry",
        C_FILE,
        LOOKUP,
        "\n#if 0\nsym = kexec_purgatory_find_symbol(pi, \"purgatory_start\");\n#endif\n",
        Ok("e_entry kernel/kexec_file.c:21"),
    ),
    (
        "entry",
        C_FILE,
        LOOKUP,
        "} int other(void) { sym = kexec_purgatory_find_symbol(pi, \"purgatory_start\");",
        Err("kernel/kexec_file.c:22 looks purgatory_start up where"),
    ),
    (
        "entry",
        C_FILE,
        "kexec_purgatory_setup_sechdrs(",
        "renamed(",
        Err("defines no kexec_purgatory_setup_sechdrs"),
    ),
    (
        "empty-digest",
        C_FILE,
        "if (!regions)\n\t\tgoto out;",
        "if (only_cma(image)) {\n\t\tgoto skip;\n\t}",
        // There is no such label.
        Ok("no kernel/kexec_file.c:8"),
    ),
    (
        "empty-digest",
        C_FILE,
        "goto out;\n\tfor (j = i = 0; i < image->nr_segments; i++) {\n\t\tif (ima(i))\n\t\t\tcontinue;\n\t\tret = crypto_shash_update(desc, segment->kbuf, segment->bufsz);\n\t\tif (ret) { break; }\n\t}\n",
        "goto skip;\n\twhile (next()) {\n\t\tsha256_update(&sctx, segment->kbuf);\n\t}\nskip:\n",
        Ok("yes kernel/kexec_file.c:6"),
    ),
    (
        "empty-digest",
        C_FILE,
        "\tfor (j = i = 0;",
        "\tif (!only_cma(image)) for (j = i = 0;",
        Err("kernel/kexec_file.c:7 makes it depend"),
    ),
    (
        "empty-digest",
        C_FILE,
        "\tfor (j = i = 0; i < image->nr_segments; i++) {",
        "\tif (!only_cma(image)) {",
        Err("kernel/kexec_file.c:7 makes it depend"),
    ),
    (
        "empty-digest",
        C_FILE,
        "crypto_shash_final",
        "finish",
        Err("hashes in another way"),
    ),
    (
        "cma",
        CORE,
        "/* kimage_load_cma_segment() { */",
        "int kimage_load_cma_segment(void) { } int kimage_load_cma_segment(int a) { }",
        Err("kimage_load_cma_segment is defined twice"),
    ),
    (
        "segments",
        "include/uapi/linux/kexec.h",
        "16",
        "16 * 2",
        Err("kexec.h:1 gives KEXEC_SEGMENT_MAX no number"),
    ),
    (
        "segments",
        "include/uapi/linux/kexec.h",
        "16",
        "(8 * 2)",
        Err("gives KEXEC_SEGMENT_MAX no number"),
    ),
    (
        "relocations",
        C_MACHINE,
        "R_X86_64_PC32",
        "R_X86_64_64",
        Ok("NONE,64,PLT32 arch/x86/kernel/machine_kexec_64.c:9 :12 :13"),
    ),
    (
        "cma",
        CORE,
        "/* kimage_load_cma_segment() { */",
        "int kimage_load_cma_segment(void) { }",
        Ok("yes kernel/kexec_core.c:1"),
    ),
    (
        "debug-idt",
        IDT,
        "lidt\t(%rsp) # kexec_debug_idt",
        "lidt\t(%rsp)\n\tleaq\tkexec_debug_idt(%rip), %rsi\n\t// lidt\n\tlidt\t(%rsp)",
        Ok("yes arch/x86/kernel/relocate_kernel_64.S:4"),
    ),
    (
        "debug-idt",
        C_MACHINE,
        "native_idt_invalidate();",
        "",
        Err("machine_kexec_64.c:2 begins a function that leaves"),
    ),
    (
        "embed",
        "arch/x86/purgatory/kexec-purgatory.S",
        "\t.incbin",
        "# .incbin",
        Err("includes no arch/x86/purgatory/purgatory.ro"),
    ),
    (
        "embed",
        PURGATORY,
        "$(obj)/kexec-purgatory.o: $(obj)/purgatory.ro",
        "# $(obj)/kexec-purgatory.o: $(obj)/purgatory.ro",
        Err("kexec-purgatory.S:2 includes purgatory.ro, but"),
    ),
    (
        "embed",
        PURGATORY,
        "$(obj)/kexec-purgatory.o: $(obj)/purgatory.ro",
        "$(obj)/kexec-purgatory.c: $(obj)/purgatory.ro FORCE\n\t$(call if_changed,bin2c)\nx:",
        Ok("bin2c arch/x86/purgatory/Makefile:15"),
    ),
    (
        "chk",
        PURGATORY,
        "$(obj)/purgatory.chk:",
        "# $(obj)/purgatory.chk:",
        Ok("no arch/x86/purgatory/Makefile:9"),
    ),
    (
        "flags",
        PURGATORY,
        "$(filter-out -flto,$(KBUILD_CFLAGS))",
        "-O2 # $(KBUILD_CFLAGS)",
        Ok("own arch/x86/purgatory/Makefile:6"),
    ),
    (
        "flags",
        PURGATORY,
        "CFLAGS_REMOVE_purgatory.o",
        "CFLAGS_purgatory.o",
        Err("assigns neither KBUILD_CFLAGS anew"),
    ),
    (
        "strings",
        CONFDATA,
        "false",
        "true",
        Ok("quoted scripts/kconfig/confdata.c:3"),
    ),
    (
        "strings",
        CONFDATA,
        "print_symbol_for_autoconf(FILE *fp)\n{\n\tprint(fp, false",
        "conf_write_autoconf(FILE *fp)\n{\n\tprint(fp, kconfig_printer_cb",
        Ok("quoted scripts/kconfig/confdata.c:3"),
    ),
    (
        "strings",
        CONFDATA,
        "false",
        "maybe",
        Err("scripts/kconfig/confdata.c:1 begins a function"),
    ),
];

#[test]
fn a_property_is_read_where_it_is_decided() {
    for (name, file, old, new, expected) in TURNS {
        let made = Made::new();
        made.edit(file, old, new);
        let told = made
            .ask(name)
            .map(|(value, places)| format!("{value} {places}"));
        match (&told, expected) {
            (Ok(told), Ok(expected)) => assert_eq!(told, expected, "{name}: {new}"),
            (Err(why), Err(expected)) => assert!(why.contains(expected), "{name}: {why}"),
            _ => panic!("{name}: {new}: {told:?}, expected {expected:?}"),
        }
    }
}

#[test]
fn an_assumption_answers_what_is_not_told_and_nothing_else() {
    let parse = |text: &str| Assumption::parse(text).unwrap();
    for (text, error) in [
        ("entry", "give NAME=VALUE; the names are entry, symbols,"),
        (
            "entyr=symbol",
            "no property \"entyr\"; the names are entry,",
        ),
        ("entry=sym", "entry is symbol or e_entry, not \"sym\""),
        ("segments=x", "segments is a number"),
        ("relocations=PC32,,64", "relocations is names with commas"),
    ] {
        let found = Assumption::parse(text).unwrap_err();
        assert!(found.contains(error), "{found}");
    }
    let made = Made::new();
    made.edit(C_FILE, "kexec_purgatory_setup_sechdrs(", "renamed(");
    let tree = made.tree();
    let open = require(&facts(&tree, &[]).unwrap())
        .unwrap_err()
        .to_string();
    assert!(
        open.contains("if you know: --assume entry=VALUE (symbol or e_entry)"),
        "{open}"
    );

    let assumed = [parse("entry=e_entry"), parse("cma=no")];
    let known = facts(&tree, &assumed).unwrap();
    require(&known).unwrap();
    let answer = |name: &str| {
        let fact = known
            .iter()
            .find(|fact| fact.property.name == name)
            .unwrap();
        fact.answer.as_ref().unwrap()
    };
    assert_eq!(answer("entry"), &("e_entry".to_owned(), Reason::Assumed));
    let twice = [parse("entry=e_entry"), parse("entry=symbol")];
    let error = facts(&tree, &twice).unwrap_err();
    assert!(error.contains("entry=symbol is the second"), "{error}");
    assert!(matches!(&answer("cma").1, Reason::Places(_)));
    let error = facts(&tree, &[parse("cma=yes")]).unwrap_err();
    assert!(
        error.contains("--assume cma=yes contradicts kernel/kexec_core.c:1"),
        "{error}"
    );
}

#[test]
fn names_a_folder_that_is_no_tree() {
    let empty = tempfile::tempdir().unwrap();
    let error = |root: &Path| Tree::open(root).unwrap_err().to_string();
    assert!(error(empty.path()).contains("is no kernel tree: no "));
    let made = Made::new();
    made.write("Makefile", "# VERSION = 6\ninclude ../linux/Makefile\n");
    assert!(error(made.root()).contains("assigns no VERSION and PATCHLEVEL"));
    made.write("Makefile", ROOT);
    fs::remove_file(made.root().join(C_FILE)).unwrap();
    assert!(error(made.root()).contains("holds Linux 6.12.3-x, but no kernel/kexec_file.c"));
}
