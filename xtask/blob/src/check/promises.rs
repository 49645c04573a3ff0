// SPDX-License-Identifier: MIT OR Apache-2.0
//! The promises, one row each. The number is that of the checklist in the
//! contract: what a blob must do to load and run on every x86-64 kernel from
//! 5.10 to 7.3.

use super::{
    Finding, Subject, instructions, load, own, registers, relocations, sections, stack, symbols,
};

pub(super) struct Promise {
    pub(super) number: &'static str,
    pub(super) title: &'static str,
    pub(super) why: &'static str,
    pub(super) mend: &'static str,
    pub(super) check: fn(&Subject<'_>, &mut Finding),
}

/// Rows as people read them.
macro_rules! promises {
    ($($number:literal $title:literal: $check:path; why $why:literal; mend $mend:literal;)*) => {
        &[$(Promise {
            number: $number,
            title: $title,
            why: $why,
            mend: $mend,
            check: $check,
        }),*]
    };
}

/// What any blob has to keep.
pub(super) const LOADER: &[Promise] = promises! {
    "1" "relocatable ELF64 for a known machine": sections::header;
        why "no kernel looks: it uses whatever is there as section headers";
        mend "give a complete object made by `ld -r`";
    "1" "everything inside the file": sections::bounds;
        why "the kernel follows offsets unchecked, beyond the blob into its own memory";
        mend "write the whole file; compare with `readelf -SW`";
    "2" "alignments are powers of two": sections::alignments;
        why "ALIGN(offset, 0) is 0 in the kernel: sections overlap and overrun its buffer";
        mend "set sh_addralign to 1 or more in whatever writes the file";
    "2" "loaded sections have address 0": sections::addresses;
        why "symbol values and e_entry are taken relative to the section";
        mend "link with `ld -r`, or write 0 to sh_addr";
    "3" "one executable section": sections::one_executable;
        why "all of them are at address 0, so e_entry 0 is inside each; the first is entered";
        mend "no -ffunction-sections, LTO or PGO, or merge .text.* by a linker script";
    "4" "both entry rules reach purgatory_start": sections::entry;
        why "5.10 goes by e_entry, later kernels by the symbol; a miss jumps anywhere";
        mend "make purgatory_start global, in the only executable section, and link with -e";
    "5" "the loader's symbols are global": symbols::defined;
        why "without one of them kexec_file_load returns EINVAL, mostly without a log line";
        mend "define it, not static, not weak, with no version script that hides it";
    "5" "symbols have the exact sizes": symbols::sizes;
        why "the kernel compares st_size with what it writes and refuses any other";
        mend "declare the exact array; align it by the linker script, never by its type";
    "5" "symbols have bytes in loaded sections": symbols::places;
        why "the kernel cannot set a symbol in .bss, and one not loaded corrupts its memory";
        mend "use -fno-zero-initialized-in-bss, or a section attribute that is no .bss";
    "5" "stack_end is aligned to 16 bytes": symbols::stack_alignment;
        why "it becomes the stack pointer of the next kernel";
        mend "align the stack, and make its size a multiple of 16";
    "6" "symbols are inside their sections": symbols::bounds;
        why "the kernel writes st_size bytes at st_value whatever else is there";
        mend "correct .size, or the symbol's place, in the assembler source";
    "6" "symbols are defined once": symbols::unique;
        why "the first global of a name is set, the code may read another";
        mend "keep one definition; the linker refuses two unless told to allow it";
    "7" "no undefined symbols": relocations::undefined;
        why "the kernel resolves nothing, weak or not: it refuses to load";
        mend "link once without -r as well: that names what is missing at build time";
    "8" "relocation sections are RELA": relocations::sections;
        why "REL is refused, RELR and CREL are skipped in silence: the blob runs unrelocated";
        mend "no -z pack-relative-relocs, no --crel; let `ld -r` write the sections";
    "8" "relocation types are the kernel's": relocations::types;
        why "any other ends in `Unknown rela relocation` and ENOEXEC";
        mend "compile with -fpic -mcmodel=small -fvisibility=hidden; no GOT, no TLS";
    "8" "relocation places and symbols exist": relocations::operands;
        why "the kernel writes to r_offset unchecked, and takes any symbol's value";
        mend "let `ld -r` write them, and strip nothing that they use";
    "9" "loads at every address": load::everywhere;
        why "memory for a purgatory is taken from the top: above 4 GiB on most machines";
        mend "no absolute 32-bit address (-mcmodel=kernel, medlow; -fno-pic); the rows above name the rest";
    "10" "does not count on zeroed memory": sections::nobits;
        why "a segment in CMA memory gets no zeros behind its bytes (7.2, 7.3)";
        mend "keep only the stack in NOBITS sections, or clear them before use";
    "11" "every instruction in its place": instructions::in_their_places;
        why "ports and CPUID trap in confidential guests, vector state is the next kernel's";
        mend "remove it, or name the function in instructions.rs of its architecture";
    "16" "loads the registers in the kernel's order": registers::order;
        why "kexec-tools' table has this name and size, too, and another order: no loader can tell";
        mend "read it as rax rcx rdx rbx rsp rbp rsi rdi r8 to r15 rip";
    "19" "no unwind tables, no debug information": sections::ballast;
        why "they are copied into kernel memory and bring relocations that are not taken";
        mend "use -fno-asynchronous-unwind-tables -g0, or `strip --strip-debug`";
};

/// What a purgatory of kexec-tools has to keep.
pub(super) const KEXEC_TOOLS: &[Promise] = promises! {
    "6.1" "relocatable ELF64 for a known machine": sections::header;
        why "kexec ends with `ELF rel parse failed`";
        mend "give a complete object made by `ld -r`, for x86-64";
    "6.1" "everything inside the file": sections::bounds;
        why "offsets of symbols and names are followed unchecked";
        mend "write the whole file; compare with `readelf -SW`";
    "6.1" "alignments are powers of two": sections::alignments;
        why "the place of a section is rounded as if it were; 0 counts as 1";
        mend "correct sh_addralign in whatever writes the file";
    "6.1" "loaded sections have address 0": sections::addresses;
        why "symbol values are taken relative to the section";
        mend "link with `ld -r`, or write 0 to sh_addr";
    "6.1" "e_entry reaches purgatory_start": sections::entry;
        why "the first executable section that holds e_entry is entered; no symbol helps";
        mend "put purgatory_start into the first executable section, and link with -e";
    "6.2" "the loader's symbols are global": symbols::defined;
        why "kexec ends with `Symbol: ... not found`, some only for some kind of kernel";
        mend "define it, not static, not weak: none of them is optional";
    "6.2" "symbols have the exact sizes": symbols::sizes;
        why "kexec compares st_size with what it writes and ends at any other";
        mend "declare the exact array; align it by the linker script, never by its type";
    "6.2" "symbols have bytes in loaded sections": symbols::places;
        why "kexec cannot set a symbol in .bss, and one not loaded is written in vain";
        mend "use -fno-zero-initialized-in-bss, or a section attribute that is no .bss";
    "6.2" "stack_end is aligned to 16 bytes": symbols::stack_alignment;
        why "it becomes the stack pointer of the next kernel";
        mend "align the stack, and make its size a multiple of 16";
    "6.2" "symbols are inside their sections": symbols::bounds;
        why "kexec writes st_size bytes at st_value whatever else is there";
        mend "correct .size, or the symbol's place, in the assembler source";
    "6.2" "symbols are defined once": symbols::unique;
        why "the first global of a name is set, the code may read another";
        mend "keep one definition; the linker refuses two unless told to allow it";
    "6.2" "loads the registers in the tool's order": registers::order;
        why "the kernel's table has this name and size, too, and another order: no loader can tell";
        mend "read it as rax rbx rcx rdx rsi rdi rsp rbp r8 to r15 rip";
    "6.1" "no undefined symbols": relocations::undefined;
        why "kexec takes most of them for address 0 and says nothing";
        mend "link with --no-undefined";
    "6.1" "relocation sections are RELA": relocations::sections;
        why "of REL the addends are lost, RELR and CREL are skipped in silence";
        mend "no -z pack-relative-relocs, no --crel; let `ld -r` write the sections";
    "6.1" "relocation types are kexec's": relocations::types;
        why "any other ends in `Unhandled rela relocation`";
        mend "compile with -mcmodel=large -fno-pic; no GOT, no TLS";
    "6.1" "relocation places and symbols exist": relocations::operands;
        why "kexec writes to r_offset unchecked, and takes any symbol's value";
        mend "let `ld -r` write them, and strip nothing that they use";
    "6.1" "loads at every address": load::everywhere;
        why "memory for a purgatory is taken from the top: above 4 GiB on most machines";
        mend "no absolute 32-bit address (-mcmodel=kernel, -fno-pic); the rows above name the rest";
    "6.3" "no vector instructions": instructions::in_their_places;
        why "no kernel leaves them switched on: the first one is an exception, and a reset";
        mend "compile with -march=x86-64 -mno-sse -mno-mmx -fno-tree-vectorize";
};

/// What our own blob promises on top.
pub(super) const OWN: &[Promise] = promises! {
    "own" "one section of bytes, then the stack": own::one_section;
        why "a second one would move with the loader's layout, unknown to the code";
        mend "merge it in linker/purgatory.ld";
    "own" "no relocations": own::no_relocations;
        why "position independence is proven by there being none";
        mend "find the absolute address: a table of &str, a vtable, a GOT load";
    "own" "starts with its first byte": own::first_byte;
        why "then no entry rule can miss";
        mend "keep the entry section first in linker/purgatory.ld, and link with -e";
    "own" "the stack is where the code looks for it": own::stack_place;
        why "the code was linked with the stack on the page after its section";
        mend "give the NOBITS section alignment 4096, with stack_end inside, above the stack";
    "own" "the stack is deep enough": stack::deep_enough;
        why "what does not fit overwrites what is below it, and the canary tells too late";
        mend "see `check --instructions` for the deepest path, and linker/purgatory.ld for the size";
    "own" "the fault stack is deep enough": stack::deep_enough_for_faults;
        why "what does not fit overwrites the descriptor tables and the record below it";
        mend "see `check --instructions` for the deepest path, and linker/purgatory.ld for the size";
    "own" "exports its own symbols": own::symbols;
        why "configure, status and the speed test find them by name";
        mend "keep them in linker/purgatory.ld, with type and size, the status behind the stack";
    "own" "sums up to its checksum": own::checksum;
        why "the entry code refuses to go on with another sum";
        mend "copy the file again: it is damaged, or no build of this project made it";
    "own" "fits the slot of the stock blob": own::slot;
        why "then it can be written over the stock one in a built kernel image";
        mend "see what grew: nm --size-sort on the linked ELF";
    "own" "same bytes at every address": own::same_bytes;
        why "what was tested at one address is what runs at another";
        mend "remove the relocations";
    "own" "no panic path": own::no_panic;
        why "a panic in a purgatory is a hang nobody can read";
        mend "return an error instead: no index, no unwrap, no division that can fail";
};
