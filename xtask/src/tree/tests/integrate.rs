// SPDX-License-Identifier: MIT OR Apache-2.0
//! There and back, and everything that is refused.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    time::{Duration, SystemTime},
};

use super::{C_FILE, CONFDATA, KCONFIG, MAKEFILE, Made, PURGATORY};
use crate::{
    fixture::{GREEN, assemble},
    tree::{
        integrate::{Outcome, integrate, revert},
        property::Assumption,
        state::STATE,
    },
};

impl Made {
    fn integrate(&self, blob: &[u8]) -> anyhow::Result<Outcome> {
        integrate(&self.tree(), blob, &[], false)
    }

    /// Everything that is there: paths, times, modes and bytes.
    fn listing(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut folders = vec![self.root().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let data = fs::symlink_metadata(&path).unwrap();
                let bytes = fs::read(&path).unwrap_or_default();
                let (modified, mode) = (data.modified().unwrap(), data.permissions());
                lines.push(format!("{path:?} {modified:?} {mode:?} {bytes:?}"));
                if path.is_dir() {
                    folders.push(path);
                }
            }
        }
        lines.sort();
        lines
    }
}

fn blob() -> Vec<u8> {
    assemble(GREEN)
}

#[test]
fn an_assumption_is_in_what_is_written() {
    let made = Made::new();
    made.edit(C_FILE, "kexec_purgatory_setup_sechdrs(", "renamed(");
    let assumed = ["entry=e_entry", "cma=no"].map(|text| Assumption::parse(text).unwrap());
    let outcome = integrate(&made.tree(), &blob(), &assumed, false).unwrap();
    let Outcome::Changed(patch) = outcome else {
        panic!("{outcome:?}")
    };
    // Only what was not told.
    let line = "+# Assumed of this tree: entry=e_entry.\n";
    assert!(patch.contains(line), "{patch}");
    let state = fs::read_to_string(made.root().join(STATE)).unwrap();
    let recorded = state.contains("\"entry=e_entry\"") && !state.contains("cma");
    assert!(recorded, "{state}");
}

#[test]
fn there_and_back_leaves_no_trace() {
    let made = Made::new();
    // Older than the folder, and with a mode of its own.
    let path = made.root().join(PURGATORY);
    let old = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
    fs::File::open(&path).unwrap().set_modified(old).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let before = made.listing();

    let dry = integrate(&made.tree(), &blob(), &[], true).unwrap();
    assert_eq!(made.listing(), before);
    let changed = made.integrate(&blob()).unwrap();
    assert_eq!(dry, changed);
    let prebuilt = made.root().join("arch/x86/purgatory/prebuilt.ro");
    assert_eq!(fs::read(&prebuilt).unwrap(), blob());
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let makefile = fs::read_to_string(&path).unwrap();
    let rule = "ifdef CONFIG_KEXEC_PURGATORY_PREBUILT\n\
                $(obj)/purgatory.ro: $(CONFIG_KEXEC_PURGATORY_PREBUILT) FORCE\n\
                \t$(call if_changed,copy)\nelse\n\
                $(obj)/purgatory.ro: $(PURGATORY_OBJS) FORCE\n\
                \t\t$(call if_changed,ld)\nendif\n\n$(obj)/purgatory.chk";
    assert!(makefile.contains(rule), "{makefile}");
    let kconfig = fs::read_to_string(made.root().join(KCONFIG)).unwrap();
    let entry = "def_bool y\n\nconfig KEXEC_PURGATORY_PREBUILT\n\tstring ";
    assert!(
        kconfig.contains(entry) && kconfig.ends_with("\n\nconfig NEXT\n\tbool\n"),
        "{kconfig}"
    );

    let twice = made.listing();
    assert_eq!(made.integrate(&blob()).unwrap(), Outcome::Already);
    assert_eq!(made.listing(), twice);
    let shown = revert(&made.tree(), true).unwrap();
    assert_eq!(made.listing(), twice);
    assert_eq!(revert(&made.tree(), false).unwrap(), shown);
    assert_eq!(made.listing(), before);
    assert_eq!(revert(&made.tree(), false).unwrap(), Outcome::Already);
    assert_eq!(made.listing(), before);
}

#[test]
fn quotes_are_taken_off_where_there_are_some() {
    let made = Made::new();
    made.edit(CONFDATA, "false", "true");
    made.integrate(&blob()).unwrap();
    let makefile = fs::read_to_string(made.root().join(PURGATORY)).unwrap();
    let rule = "purgatory-prebuilt := $(CONFIG_KEXEC_PURGATORY_PREBUILT:\"%\"=%)\n\
                ifneq ($(purgatory-prebuilt),)\n\
                $(obj)/purgatory.ro: $(purgatory-prebuilt) FORCE\n";
    assert!(makefile.contains(rule), "{makefile}");
}

/// A file, what stands in it, what stands there instead, and the refusal.
const REFUSED: &[(&str, &str, &str, &str)] = &[
    (
        KCONFIG,
        "config NEXT",
        "config ARCH_HAS_KEXEC_PURGATORY",
        "arch/x86/Kconfig:4 says a second time",
    ),
    (
        KCONFIG,
        "ARCH_SUPPORTS_",
        "",
        "arch/x86/Kconfig defines neither of ARCH_SUPPORTS",
    ),
    (
        KCONFIG,
        "config NEXT",
        "config KEXEC_PURGATORY_PREBUILT",
        "arch/x86/Kconfig:4 defines KEXEC_PURGATORY_PREBUILT already",
    ),
    (
        PURGATORY,
        "purgatory-y",
        "# CONFIG_KEXEC_PURGATORY_PREBUILT\n",
        "Makefile:1 names KEXEC_PURGATORY_PREBUILT already",
    ),
    (
        PURGATORY,
        "obj-y",
        "$(obj)/purgatory.ro: x\nobj-y",
        "Makefile:17 is a second rule for $(obj)/purgatory.ro",
    ),
    (
        PURGATORY,
        "$(obj)/purgatory.ro: $",
        "x: $",
        "Makefile has no rule for $(obj)/purgatory.ro",
    ),
    (
        PURGATORY,
        "$(obj)/purgatory.ro: $",
        "$(obj)/x $(obj)/purgatory.ro: $",
        "Makefile:9 is no rule for purgatory.ro alone",
    ),
    (
        PURGATORY,
        "$(PURGATORY_OBJS) FORCE",
        "$(PURGATORY_OBJS)",
        "Makefile:9 is no rule for purgatory.ro alone",
    ),
    (
        PURGATORY,
        "if_changed,ld)\n",
        "if_changed,ld)\n\t@:\n",
        "Makefile:9 does not make purgatory.ro by one command",
    ),
    (
        PURGATORY,
        "if_changed,ld)",
        "if_changed,link)",
        "Makefile:10 does not link purgatory.ro",
    ),
    (
        PURGATORY,
        "targets += purgatory.ro",
        "targets += # purgatory.ro",
        "Makefile:9 makes purgatory.ro, which `targets`",
    ),
    (
        PURGATORY,
        "purgatory-y := purgatory.o",
        "ifdef A",
        "Makefile: line 1 begins a condition that never ends",
    ),
    (
        "scripts/Makefile.lib",
        "cmd_copy = cat",
        "# cmd_copy = cat",
        "defines no cmd_copy",
    ),
    (
        "include/uapi/linux/kexec.h",
        "16",
        "32",
        "writes 32 rows to purgatory_sha_regions, the blob has room for 16",
    ),
    (
        "arch/x86/kernel/kexec-bzimage64.c",
        "stack_end",
        "stack_begin",
        "wants the symbol stack_begin",
    ),
];

#[test]
fn refuses_what_it_does_not_know_and_touches_nothing() {
    for (file, old, new, refusal) in REFUSED {
        let made = Made::new();
        made.edit(file, old, new);
        let before = made.listing();
        let error = format!("{:#}", made.integrate(&blob()).unwrap_err());
        assert!(error.contains(refusal), "{error}");
        assert_eq!(made.listing(), before, "{refusal}");
    }
    let made = Made::new();
    let conditional = MAKEFILE
        .replace(
            "$(obj)/purgatory.ro: $(P",
            "ifdef A\n$(obj)/purgatory.ro: $(P",
        )
        .replace(
            "ld)\n\n$(obj)/purgatory.chk",
            "ld)\nendif\n\n$(obj)/purgatory.chk",
        );
    made.write(PURGATORY, &conditional);
    let error = made.integrate(&blob()).unwrap_err().to_string();
    assert!(
        error.contains("Makefile:10 makes purgatory.ro on some condition only"),
        "{error}"
    );
}

#[test]
fn a_file_in_the_way_is_not_overwritten() {
    let made = Made::new();
    made.write("arch/x86/purgatory/prebuilt.ro", "mine");
    let before = made.listing();
    let error = made.integrate(&blob()).unwrap_err().to_string();
    assert!(
        error.contains("prebuilt.ro is there already, and not by"),
        "{error}"
    );
    assert_eq!(made.listing(), before);

    let made = Made::new();
    let [there, link] = ["elsewhere", KCONFIG].map(|path| made.root().join(path));
    fs::rename(&link, &there).unwrap();
    symlink(&there, &link).unwrap();
    let before = made.listing();
    let error = made.integrate(&blob()).unwrap_err().to_string();
    assert!(error.contains("Kconfig is no file of its own"), "{error}");
    assert_eq!(made.listing(), before);
}

#[test]
fn never_touches_what_was_changed_since() {
    let made = Made::new();
    made.integrate(&blob()).unwrap();
    let path = made.root().join(PURGATORY);
    let ours = fs::read_to_string(&path).unwrap();
    made.write(PURGATORY, &format!("{ours}# mine\n"));
    let before = made.listing();
    for dry in [false, true] {
        let error = revert(&made.tree(), dry).unwrap_err().to_string();
        assert!(
            error.contains("purgatory/Makefile was changed since, and nothing is reverted"),
            "{error}"
        );
    }
    assert_eq!(made.listing(), before);
    let error = made.integrate(&blob()).unwrap_err().to_string();
    assert!(
        error.contains("Makefile is not as `cargo xtask integrate` left it"),
        "{error}"
    );

    // Put back as it was before, by whatever means: that is as good.
    made.write(PURGATORY, MAKEFILE);
    revert(&made.tree(), false).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), MAKEFILE);
    assert!(!made.root().join(STATE).exists());
}

#[test]
fn another_blob_has_to_wait() {
    let made = Made::new();
    made.integrate(&blob()).unwrap();
    let before = made.listing();
    let mut other = blob();
    other.push(0);
    let error = made.integrate(&other).unwrap_err().to_string();
    assert!(
        error.contains("has another blob already") && error.contains("--revert first"),
        "{error}"
    );
    assert_eq!(made.listing(), before);
}

#[test]
fn a_lost_or_broken_state_is_named() {
    let made = Made::new();
    made.integrate(&blob()).unwrap();
    let path = made.root().join(STATE);
    let state = fs::read_to_string(&path).unwrap();
    for (text, error) in [
        ("{}", "does not say what was changed"),
        (
            &*state.replace("\"format\": 1", "\"format\": 2"),
            "has format 2, this program knows 1",
        ),
        (
            &*state.replace("arch/x86/Kconfig", "../Kconfig"),
            "../Kconfig is no file of ours",
        ),
        (
            &*state.replace("endif", "fi"),
            "restore it from where it came",
        ),
    ] {
        fs::write(&path, text).unwrap();
        let before = made.listing();
        let found = format!("{:#}", revert(&made.tree(), false).unwrap_err());
        assert!(found.contains(error), "{found}");
        assert_eq!(made.listing(), before);
    }
    fs::remove_file(&path).unwrap();
    let error = revert(&made.tree(), false).unwrap_err().to_string();
    assert!(
        error.contains("Kconfig:4 defines KEXEC_PURGATORY_PREBUILT, but there is no "),
        "{error}"
    );
}

#[test]
fn an_interrupted_change_can_be_taken_back() {
    let made = Made::new();
    let before = made.listing();
    made.integrate(&blob()).unwrap();
    // As if nothing but the state and the first file had been written.
    made.write(PURGATORY, MAKEFILE);
    let error = made.integrate(&blob()).unwrap_err().to_string();
    assert!(
        error.contains("take the rest back with --revert"),
        "{error}"
    );
    revert(&made.tree(), false).unwrap();
    assert_eq!(made.listing(), before);
}
