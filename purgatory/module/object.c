// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Finds symbols in a purgatory, ours or the kernel's.
 *
 * The kernel's loader checks nothing of the file that it reads. So this does: a
 * file that is cut off anywhere, or is anything else, has no symbols.
 */
#include <linux/elf.h>
#include <linux/init.h>
#include <linux/string.h>

#include "blob.h"

static bool __init fits(u64 size, u64 offset, u64 length)
{
	return offset <= size && length <= size - offset;
}

/* Returns the section headers of an x86-64 object file that is whole. */
static const Elf64_Shdr * __init sections_of(const void *file, size_t size)
{
	static const u8 ident[] = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT };
	const Elf64_Ehdr *header = file;
	const Elf64_Shdr *sections;
	int i;

	if (!fits(size, 0, sizeof(*header)) || memcmp(header->e_ident, ident, sizeof(ident)) ||
	    header->e_type != ET_REL || header->e_machine != EM_X86_64 ||
	    header->e_shentsize != sizeof(*sections) ||
	    !fits(size, header->e_shoff, header->e_shnum * sizeof(*sections)))
		return NULL;
	sections = file + header->e_shoff;
	for (i = 0; i < header->e_shnum; i++) {
		if (sections[i].sh_type != SHT_NOBITS &&
		    !fits(size, sections[i].sh_offset, sections[i].sh_size))
			return NULL;
	}
	return sections;
}

/* Returns where a global symbol's bytes are in the file, at least @length. */
void * __init find_symbol(const void *file, size_t size, const char *name, size_t length)
{
	const Elf64_Shdr *sections = sections_of(file, size);
	u16 count = sections ? ((const Elf64_Ehdr *)file)->e_shnum : 0;
	const Elf64_Shdr *table, *names, *home;
	const Elf64_Sym *symbol, *end;

	for (table = sections; table < sections + count; table++) {
		if (table->sh_type != SHT_SYMTAB || table->sh_link >= count)
			continue;
		names = &sections[table->sh_link];
		symbol = file + table->sh_offset;
		for (end = symbol + table->sh_size / sizeof(*symbol); symbol < end; symbol++) {
			if (ELF64_ST_BIND(symbol->st_info) != STB_GLOBAL ||
			    symbol->st_shndx >= count || names->sh_type != SHT_STRTAB ||
			    !fits(names->sh_size, symbol->st_name, strlen(name) + 1) ||
			    strcmp(file + names->sh_offset + symbol->st_name, name))
				continue;
			home = &sections[symbol->st_shndx];
			if (home->sh_type != SHT_NOBITS &&
			    fits(home->sh_size, symbol->st_value, length))
				return (void *)file + home->sh_offset + symbol->st_value;
		}
	}
	return NULL;
}
