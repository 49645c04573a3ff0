// SPDX-License-Identifier: MIT OR Apache-2.0
/* A second loader, written from the contract alone: what kernel/kexec_file.c does with a
 * purgatory, and "no" wherever it refuses or would leave what is its own.
 *
 * Reads cases: three words (entry by symbol, address, bytes) and the blob. Writes for
 * each: a word (0 is no), and then entry, memory, bytes, and the bytes.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t u64;

struct section { uint32_t name, type; u64 flags, addr, offset, size; uint32_t link, info; u64 align, entsize; };
struct symbol { uint32_t name; uint8_t info, other; uint16_t shndx; u64 value, size; };
struct rela { u64 offset, info; int64_t addend; };

enum { PAGE = 4096, BUFFER_MAX = 64 << 20, ALLOC = 2, EXEC = 4, SYMTAB = 2, RELA = 4, NOBITS = 8, REL = 9 };

static const uint8_t *blob;
static u64 len, count, place[0xff00];
static struct section sections[0xff00];

static int is_loaded(const struct section *s) { return (s->flags & ALLOC) != 0; }
static int in_file(const struct section *s) { return s->offset <= len && s->size <= len - s->offset; }

/* The string, or nothing unless it can be printed. */
static const char *string(u64 table, uint32_t offset)
{
	if (table >= count || !in_file(&sections[table]) || offset > sections[table].size)
		return NULL;
	const uint8_t *text = blob + sections[table].offset + offset;
	u64 left = sections[table].size - offset;
	for (u64 i = 0; i < left; i++) {
		if (text[i] == 0)
			return (const char *)text;
		if (text[i] < 0x20 || text[i] >= 0x7f)
			return NULL;
	}
	return NULL;
}

static struct symbol symbol_at(const struct section *table, u64 index)
{
	struct symbol symbol = { 0 };
	memcpy(&symbol, blob + table->offset + 24 * index, 24);
	return symbol;
}

/* 1: found, 0: not, -1: no. */
static int find(const char *name, struct symbol *found)
{
	for (u64 i = 0; i < count; i++) {
		if (sections[i].type != SYMTAB || sections[i].link >= count)
			continue;
		if (!in_file(&sections[i]))
			return -1;
		for (u64 j = 0; j < sections[i].size / 24; j++) {
			struct symbol s = symbol_at(&sections[i], j);
			if (s.info >> 4 != 1)
				continue;
			const char *known = string(sections[i].link, s.name);
			if (!known)
				return -1;
			if (strcmp(known, name) == 0) {
				*found = s;
				return s.shndx != 0 && s.shndx < count;
			}
		}
	}
	return 0;
}

static int append(const struct section *s, u64 *size, u64 *align, u64 *at)
{
	if (s->align == 0 || (s->align & (s->align - 1)) != 0)
		return 0;
	u64 start = (*size + s->align - 1) & ~(s->align - 1);
	if (start < *size || start + s->size < start)
		return 0;
	*at = start;
	*size = start + s->size;
	if (*align < s->align)
		*align = s->align;
	return 1;
}

static int relocate(uint8_t *buffer, u64 mem)
{
	for (u64 i = 0; i < count; i++) {
		const struct section *s = &sections[i];
		if (s->type != RELA && s->type != REL)
			continue;
		if (s->info >= count || s->link >= count)
			return 0;
		const struct section *target = &sections[s->info], *table = &sections[s->link];
		if (!is_loaded(target) || table->link >= count)
			continue;
		if (s->type == REL || !in_file(table) || !in_file(s))
			return 0;
		for (u64 j = 0; j < s->size / 24; j++) {
			struct rela r;
			memcpy(&r, blob + s->offset + 24 * j, 24);
			if (r.info >> 32 >= table->size / 24)
				return 0;
			struct symbol symbol = symbol_at(table, r.info >> 32);
			const char *name = string(table->link, symbol.name);
			if (name && !*name && symbol.shndx >= count)
				return 0;
			u64 base = 0;
			if (symbol.shndx == 0 || symbol.shndx == 0xfff2)
				return 0;
			if (symbol.shndx != 0xfff1) {
				if (symbol.shndx >= count || !is_loaded(&sections[symbol.shndx]))
					return 0;
				base = mem + place[symbol.shndx];
			}
			u64 value = base + symbol.value + (u64)r.addend, width = 4;
			switch ((uint32_t)r.info) {
			case 0:
				continue;
			case 1:
				width = 8;
				break;
			case 10:
				if (value != (uint32_t)value)
					return 0;
				break;
			case 11:
				if ((int64_t)value != (int32_t)value)
					return 0;
				break;
			case 2:
			case 4:
				value -= mem + place[s->info] + r.offset;
				break;
			default:
				return 0;
			}
			if (target->type == NOBITS || r.offset > target->size || width > target->size - r.offset)
				return 0;
			memcpy(buffer + place[s->info] + r.offset, &value, width);
		}
	}
	return 1;
}

static uint8_t *load(u64 by_symbol, u64 mem, u64 *entry, u64 *memsz, u64 *bufsz)
{
	u64 start, want, bss = 0, align = 1, bss_align = 1;
	uint16_t machine, stride, number;
	if (len < 64 || memcmp(blob, "\177ELF\2\1", 6) != 0)
		return NULL;
	memcpy(&machine, blob + 18, 2);
	memcpy(&want, blob + 24, 8);
	memcpy(&start, blob + 40, 8);
	memcpy(&stride, blob + 58, 2);
	memcpy(&number, blob + 60, 2);
	count = number;
	if (machine != 62 || stride != 64 || count == 0 || count >= 0xff00)
		return NULL;
	if (start > len || 64 * count > len - start)
		return NULL;
	memcpy(sections, blob + start, 64 * count);
	*bufsz = 0;
	for (u64 i = 0; i < count; i++) {
		int is_bss = sections[i].type == NOBITS;
		if (is_loaded(&sections[i]) &&
		    !append(&sections[i], is_bss ? &bss : bufsz, is_bss ? &bss_align : &align, &place[i]))
			return NULL;
	}
	u64 end = (*bufsz + bss_align - 1) & ~(bss_align - 1);
	if (end < *bufsz || end == 0 || end > BUFFER_MAX)
		return NULL;
	*bufsz = end;
	*memsz = (end + bss + PAGE - 1) & ~(u64)(PAGE - 1);
	if (end + bss < end || *memsz < end + bss)
		return NULL;
	align = align > bss_align ? align : bss_align;
	align = align > PAGE ? align : PAGE;
	if (mem == 0 || mem % align != 0 || mem + *memsz < mem)
		return NULL;
	uint8_t *buffer = calloc(1, end);
	int is_entered = 0;
	struct symbol symbol = { 0 };
	int found = by_symbol ? find("purgatory_start", &symbol) : 0;
	if (found < 0)
		return NULL;
	for (u64 i = 0; i < count; i++) {
		const struct section *s = &sections[i];
		if (!is_loaded(s))
			continue;
		if (s->type == NOBITS) {
			place[i] += end;
			continue;
		}
		if (!in_file(s))
			return NULL;
		memcpy(buffer + place[i], blob + s->offset, s->size);
		if (is_entered || !(s->flags & EXEC))
			continue;
		if (found && symbol.shndx == i && symbol.value < s->size) {
			*entry = mem + place[i] + symbol.value;
			is_entered = 1;
		} else if (s->addr <= want && want - s->addr < s->size) {
			*entry = mem + place[i] + want - s->addr;
			is_entered = 1;
		}
	}
	return is_entered && relocate(buffer, mem) ? buffer : NULL;
}

int main(void)
{
	u64 words[3];
	while (fread(words, 8, 3, stdin) == 3) {
		len = words[2];
		uint8_t *bytes = malloc(len + 1);
		if (fread(bytes, 1, len, stdin) != len)
			return 1;
		blob = bytes;
		u64 result[4] = { 0 };
		uint8_t *buffer = load(words[0], words[1], &result[1], &result[2], &result[3]);
		result[0] = buffer != NULL;
		fwrite(result, 8, buffer ? 4 : 1, stdout);
		if (buffer)
			fwrite(buffer, 1, result[3], stdout);
		free(buffer);
		free(bytes);
	}
	return 0;
}
