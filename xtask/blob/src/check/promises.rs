//! The promises, one row each. The number is that of the checklist in the
//! contract: what a blob must do to load and run on every x86-64 kernel from
//! 5.10 to 7.3.

use super::{Finding, Subject, instructions, load, own, relocations, sections, symbols};

pub(super) struct Promise {
    pub(super) number: &'static str,
    pub(super) title: &'static str,
    pub(super) why: &'static str,
    pub(super) mend: &'static str,
    pub(super) check: fn(&Subject<'_>, &mut Finding),
}

/// What any blob has to keep.
pub(super) const LOADER: &[Promise] = &[
    Promise {
        number: "1",
        title: "relocatable ELF64 for x86-64",
        why: "no kernel looks: it uses whatever is there as section headers",
        mend: "give a complete object made by `ld -r`, for x86-64",
        check: sections::header,
    },
    Promise {
        number: "1",
        title: "everything inside the file",
        why: "the kernel follows offsets unchecked, beyond the blob into its own memory",
        mend: "write the whole file; compare with `readelf -SW`",
        check: sections::bounds,
    },
    Promise {
        number: "2",
        title: "alignments are powers of two",
        why: "ALIGN(offset, 0) is 0 in the kernel: sections overlap and overrun its buffer",
        mend: "set sh_addralign to 1 or more in whatever writes the file",
        check: sections::alignments,
    },
    Promise {
        number: "2",
        title: "loaded sections have address 0",
        why: "symbol values and e_entry are taken relative to the section",
        mend: "link with `ld -r`, or write 0 to sh_addr",
        check: sections::addresses,
    },
    Promise {
        number: "3",
        title: "one executable section",
        why: "all of them are at address 0, so e_entry 0 is inside each; the first is entered",
        mend: "no -ffunction-sections, LTO or PGO, or merge .text.* by a linker script",
        check: sections::one_executable,
    },
    Promise {
        number: "4",
        title: "both entry rules reach purgatory_start",
        why: "5.10 goes by e_entry, later kernels by the symbol; a miss jumps anywhere",
        mend: "make purgatory_start global, in the only executable section, and link with -e",
        check: sections::entry,
    },
    Promise {
        number: "5",
        title: "the loader's symbols are global",
        why: "without one of them kexec_file_load returns EINVAL, mostly without a log line",
        mend: "define it, not static, not weak, with no version script that hides it",
        check: symbols::defined,
    },
    Promise {
        number: "5",
        title: "symbols have the exact sizes",
        why: "the kernel compares st_size with what it writes and refuses any other",
        mend: "declare the exact array; align it by the linker script, never by its type",
        check: symbols::sizes,
    },
    Promise {
        number: "5",
        title: "symbols have bytes in loaded sections",
        why: "the kernel cannot set a symbol in .bss, and one not loaded corrupts its memory",
        mend: "use -fno-zero-initialized-in-bss, or a section attribute that is no .bss",
        check: symbols::places,
    },
    Promise {
        number: "5",
        title: "stack_end is aligned to 16 bytes",
        why: "it becomes the stack pointer of the next kernel",
        mend: "align the stack, and make its size a multiple of 16",
        check: symbols::stack_alignment,
    },
    Promise {
        number: "6",
        title: "symbols are inside their sections",
        why: "the kernel writes st_size bytes at st_value whatever else is there",
        mend: "correct .size, or the symbol's place, in the assembler source",
        check: symbols::bounds,
    },
    Promise {
        number: "6",
        title: "symbols are defined once",
        why: "the first global of a name is set, the code may read another",
        mend: "keep one definition; the linker refuses two unless told to allow it",
        check: symbols::unique,
    },
    Promise {
        number: "7",
        title: "no undefined symbols",
        why: "the kernel resolves nothing, weak or not: it refuses to load",
        mend: "link once without -r as well: that names what is missing at build time",
        check: relocations::undefined,
    },
    Promise {
        number: "8",
        title: "relocation sections are RELA",
        why: "REL is refused, RELR and CREL are skipped in silence: the blob runs unrelocated",
        mend: "no -z pack-relative-relocs, no --crel; let `ld -r` write the sections",
        check: relocations::sections,
    },
    Promise {
        number: "8",
        title: "relocation types are the kernel's",
        why: "any other ends in `Unknown rela relocation` and ENOEXEC",
        mend: "compile with -fpic -mcmodel=small -fvisibility=hidden; no GOT, no TLS",
        check: relocations::types,
    },
    Promise {
        number: "8",
        title: "relocation places and symbols exist",
        why: "the kernel writes to r_offset unchecked, and takes any symbol's value",
        mend: "let `ld -r` write them, and strip nothing that they use",
        check: relocations::operands,
    },
    Promise {
        number: "9",
        title: "loads at every address",
        why: "memory for a purgatory is taken from the top: above 4 GiB on most machines",
        mend: "no absolute 32-bit address (-mcmodel=kernel, -fno-pic); the rows above name the rest",
        check: load::everywhere,
    },
    Promise {
        number: "10",
        title: "does not count on zeroed memory",
        why: "a segment in CMA memory gets no zeros behind its bytes (7.2, 7.3)",
        mend: "keep only the stack in NOBITS sections, or clear them before use",
        check: sections::nobits,
    },
    Promise {
        number: "11",
        title: "every instruction in its place",
        why: "ports and CPUID trap in confidential guests, vector state is the next kernel's",
        mend: "remove it, or name the function in xtask/blob/src/arch/x86_64/instructions.rs",
        check: instructions::in_their_places,
    },
    Promise {
        number: "19",
        title: "no unwind tables, no debug information",
        why: "they are copied into kernel memory and bring relocations that are not taken",
        mend: "use -fno-asynchronous-unwind-tables -g0, or `strip --strip-debug`",
        check: sections::ballast,
    },
];

/// What our own blob promises on top.
pub(super) const OWN: &[Promise] = &[
    Promise {
        number: "own",
        title: "one section of bytes, then the stack",
        why: "a second one would move with the loader's layout, unknown to the code",
        mend: "merge it in linker/purgatory.ld",
        check: own::one_section,
    },
    Promise {
        number: "own",
        title: "no relocations",
        why: "position independence is proven by there being none",
        mend: "find the absolute address: a table of &str, a vtable, a GOT load",
        check: own::no_relocations,
    },
    Promise {
        number: "own",
        title: "starts with its first byte",
        why: "then no entry rule can miss",
        mend: "keep the entry section first in linker/purgatory.ld, and link with -e",
        check: own::first_byte,
    },
    Promise {
        number: "own",
        title: "the stack is where the code looks for it",
        why: "the code was linked with the stack on the page after its section",
        mend: "give the NOBITS section alignment 4096, with stack_end inside, above the stack",
        check: own::stack_place,
    },
    Promise {
        number: "own",
        title: "exports its own symbols",
        why: "configure, status and the speed test find them by name",
        mend: "keep them in linker/purgatory.ld, with type and size, the status behind the stack",
        check: own::symbols,
    },
    Promise {
        number: "own",
        title: "sums up to its checksum",
        why: "the entry code refuses to go on with another sum",
        mend: "make the file by `cargo xtask build`; if it was, it is damaged: copy it again",
        check: own::checksum,
    },
    Promise {
        number: "own",
        title: "fits the slot of the stock blob",
        why: "then it can be written over the stock one in a built kernel image",
        mend: "see what grew: nm --size-sort on the linked ELF",
        check: own::slot,
    },
    Promise {
        number: "own",
        title: "same bytes at every address",
        why: "what was tested at one address is what runs at another",
        mend: "remove the relocations",
        check: own::same_bytes,
    },
    Promise {
        number: "own",
        title: "no panic path",
        why: "a panic in a purgatory is a hang nobody can read",
        mend: "return an error instead: no index, no unwrap, no division that can fail",
        check: own::no_panic,
    },
];
