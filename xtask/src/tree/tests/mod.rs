// SPDX-License-Identifier: MIT OR Apache-2.0
//! Made-up trees, a few lines each, with traps.

mod integrate;
mod property;

use std::{fs, path::Path};

use tempfile::TempDir;

use super::{KCONFIG, PURGATORY, Tree, property::facts};

const C_FILE: &str = "kernel/kexec_file.c";
const C_MACHINE: &str = "arch/x86/kernel/machine_kexec_64.c";
const CONFDATA: &str = "scripts/kconfig/confdata.c";

const ROOT: &str =
    "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 3\nEXTRAVERSION = -x # not 7\nall:\n\t@:\n";

const LOADER: &str = r#"
static int kexec_calculate_store_digests(struct kimage *image)
{
	/* goto skip; */
	if (!regions)
		goto out;
	for (j = i = 0; i < image->nr_segments; i++) {
		if (ima(i))
			continue;
		ret = crypto_shash_update(desc, segment->kbuf, segment->bufsz);
		if (ret) { break; }
	}
	crypto_shash_final(desc, digest);
	kexec_purgatory_get_set_symbol(image, "purgatory_sha_regions", regions, size, 0);
	kexec_purgatory_get_set_symbol(image, "purgatory_sha256_digest", digest, 32, 0);
out:
	return ret;
}
static int kexec_purgatory_setup_sechdrs(struct purgatory_info *pi, struct kexec_buf *kbuf)
{
	kbuf->image->start = pi->ehdr->e_entry;
	sym = kexec_purgatory_find_symbol(pi, "purgatory_start");
	return 0;
}
"#;

const MACHINE: &str = r#"
void machine_kexec(struct kimage *image)
{
	native_idt_invalidate();
}
int arch_kexec_apply_relocations_add(struct purgatory_info *pi)
{
	switch (type) {
	case R_X86_64_NONE:
		break;
	// case R_X86_64_GOTPCREL:
	case R_X86_64_PC32:
	case R_X86_64_PLT32:
		break;
	default:
		pr_err("case R_X86_64_PC64: %d", type);
	}
}
"#;

const BZIMAGE: &str = r#"
	kexec_purgatory_get_set_symbol(image, "entry64_regs", &regs, sizeof(regs), 1);
	stack = kexec_purgatory_get_symbol_addr(image, "stack_end");
	kexec_purgatory_get_set_symbol(image, "entry64_regs", &regs, sizeof(regs), 0);
"#;

const MAKEFILE: &str = "\
purgatory-y := purgatory.o
PURGATORY_OBJS = $(addprefix $(obj)/,$(purgatory-y))
# $(obj)/purgatory.ro: trap
targets += purgatory.ro \\
\tpurgatory.chk
KBUILD_CFLAGS := $(filter-out -flto,$(KBUILD_CFLAGS))
CFLAGS_REMOVE_purgatory.o\t+= -mcmodel=kernel

$(obj)/purgatory.ro: $(PURGATORY_OBJS) FORCE
\t\t$(call if_changed,ld)

$(obj)/purgatory.chk: $(obj)/purgatory.ro FORCE
\t\t$(call if_changed,ld)

$(obj)/kexec-purgatory.o: $(obj)/purgatory.ro $(obj)/purgatory.chk

obj-y += kexec-purgatory.o
";

const INCBIN: &str = "kexec_purgatory:\n\t.incbin\t\"arch/x86/purgatory/purgatory.ro\"\n";

const ENTRIES: &str = "\
config ARCH_SUPPORTS_KEXEC_PURGATORY
\tdef_bool y

config NEXT
\tbool
";

const FILES: [(&str, &str); 12] = [
    ("Makefile", ROOT),
    (KCONFIG, ENTRIES),
    (PURGATORY, MAKEFILE),
    ("arch/x86/purgatory/kexec-purgatory.S", INCBIN),
    ("arch/x86/kernel/machine_kexec_64.c", MACHINE),
    ("arch/x86/kernel/kexec-bzimage64.c", BZIMAGE),
    (
        "arch/x86/kernel/relocate_kernel_64.S",
        "\tlidt\t(%rsp) # kexec_debug_idt\n",
    ),
    ("kernel/kexec_file.c", LOADER),
    (
        "kernel/kexec_core.c",
        "/* kimage_load_cma_segment() { */ int kimage_load_segment() { }\n",
    ),
    (
        "include/uapi/linux/kexec.h",
        "#define KEXEC_SEGMENT_MAX 16\n",
    ),
    (
        "scripts/Makefile.lib",
        "quiet_cmd_copy = COPY $@\n      cmd_copy = cat $< > $@\n",
    ),
    (
        "scripts/kconfig/confdata.c",
        "static void print_symbol_for_autoconf(FILE *fp)\n{\n\tprint(fp, false /* true */);\n}\n",
    ),
];

/// A tree that everything can be told of.
struct Made(TempDir);

impl Made {
    fn new() -> Self {
        let made = Self(tempfile::tempdir().unwrap());
        for (path, text) in FILES {
            made.write(path, text);
        }
        made
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Replaces a part of one of [`FILES`].
    fn edit(&self, path: &str, old: &str, new: &str) {
        let (_, text) = FILES.iter().find(|(name, _)| *name == path).unwrap();
        assert!(text.contains(old), "{path} has no {old:?}");
        self.write(path, &text.replacen(old, new, 1));
    }

    fn tree(&self) -> Tree {
        Tree::open(self.root()).unwrap()
    }

    /// A property's value and where it was told; or why not.
    fn ask(&self, name: &str) -> Result<(String, String), String> {
        let facts = facts(&self.tree(), &[]).unwrap();
        let fact = facts
            .into_iter()
            .find(|fact| fact.property.name == name)
            .unwrap();
        fact.answer
            .map(|(value, reason)| (value, reason.to_string()))
    }
}
