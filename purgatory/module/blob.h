/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What the parts of the module share: the blob in it, and the blob's settings. */
#ifndef BLOB_H
#define BLOB_H

#include <linux/build_bug.h>
#include <linux/types.h>

/* The file purgatory.ro, in .init.data; the settings are written into it. */
extern u8 blob[], blob_end[];

/* purgatory_config of the blob's own header, purgatory.h. */
struct purgatory_config {
	u8 magic[8];
	u32 version;
	u32 size;
	u32 consoles;
	u32 verbosity;
	u32 on_refusal;
	u32 refusal_delay;
	u32 on_exception;
	u32 exception_delay;
	u32 backend;
	u32 patience;
	u16 uart_port;
	u16 uart_divisor;
	u32 ramoops_size;
	u64 uart_mmio;
	u64 ramoops;
};

#define CONFIG_MAGIC "PURGCONF"
#define CONFIG_VERSION 3
static_assert(sizeof(struct purgatory_config) == 72);

static inline size_t blob_size(void)
{
	return blob_end - blob;
}

void *find_symbol(const void *file, size_t size, const char *name, size_t length);
int configure(void);

/* The parameter console=, once configured: what is in force. */
extern char console[64];

#endif
