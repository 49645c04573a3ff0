/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a loader, a debugger or a dump tool needs to know of a purgatory: the
 * tables that it exports by name, for C89 and later.
 *
 * All addresses are physical, all numbers in the machine's own byte order. The
 * names and sizes of the first three tables belong to Linux; the rest is ours
 * and carries a magic and a version.
 */
#ifndef PURGATORY_H
#define PURGATORY_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* KEXEC_SEGMENT_MAX of uapi/linux/kexec.h. */
#define PURGATORY_REGION_COUNT 16

/* Bytes of a SHA-256 digest. */
#define PURGATORY_DIGEST_SIZE 32

/* One region of memory to hash: struct kexec_sha_region. */
struct purgatory_region {
	uint64_t start;		/* first byte; never 0 in a used entry */
	uint64_t len;		/* bytes; 0: unused, whatever start says */
};

/* Hashed in this order, as one message. Set by the kernel's loader. */
extern struct purgatory_region purgatory_sha_regions[PURGATORY_REGION_COUNT];

/* What the regions must hash to. Set by the kernel's loader. */
extern uint8_t purgatory_sha256_digest[PURGATORY_DIGEST_SIZE];

/*
 * x86_64: the registers that the next kernel starts with, in the order of
 * Linux's struct kexec_entry64_regs (arch/x86/include/asm/kexec.h). The table of
 * kexec-tools has the same name and size and ANOTHER order; no loader can tell.
 */
struct purgatory_entry64_regs {
	uint64_t rax;
	uint64_t rcx;
	uint64_t rdx;
	uint64_t rbx;
	uint64_t rsp;
	uint64_t rbp;
	uint64_t rsi;
	uint64_t rdi;
	uint64_t r8;
	uint64_t r9;
	uint64_t r10;
	uint64_t r11;
	uint64_t r12;
	uint64_t r13;
	uint64_t r14;
	uint64_t r15;
	uint64_t rip;
};

/* Read, changed (rbx, rsp, rsi, rip) and set by the kernel's loader. */
extern struct purgatory_entry64_regs entry64_regs;

/* riscv64: where the next kernel starts. Set by the kernel's loader. */
extern uint64_t riscv_kernel_entry;

#define PURGATORY_CONFIG_MAGIC "PURGCONF"
#define PURGATORY_CONFIG_VERSION 2

/* purgatory_config.consoles, a sum of: */
#define PURGATORY_CONSOLE_PORT 1	/* 8250 UART behind I/O ports */
#define PURGATORY_CONSOLE_MMIO 2	/* 8250 UART in memory, registers 4 bytes apart */
#define PURGATORY_CONSOLE_DEBUG 4	/* debug port 0xE9 of QEMU and Bochs;
					 * riscv64: the firmware (SBI), else
					 * the 8250 of the device tree */
#define PURGATORY_CONSOLE_VGA 8		/* VGA text memory at 0xb8000 */

/* purgatory_config.on_refusal and .on_exception, one of: */
#define PURGATORY_HALT 0	/* stay, for whoever looks */
#define PURGATORY_RESET 1	/* give the machine back, after the delay */

/*
 * What a tool may set in a finished file; kernels leave it alone. Where magic,
 * version or size are others than these, the purgatory ignores all of it.
 */
struct purgatory_config {
	uint8_t magic[8];	/* PURGATORY_CONFIG_MAGIC, no NUL */
	uint32_t version;	/* PURGATORY_CONFIG_VERSION */
	uint32_t size;		/* of this structure, in bytes */
	uint32_t consoles;	/* PURGATORY_CONSOLE_* */
	uint32_t verbosity;	/* 0: speaks only to refuse; 1: also when all is well */
	uint32_t on_refusal;	/* PURGATORY_HALT or PURGATORY_RESET */
	uint32_t refusal_delay;	/* seconds before that reset */
	uint32_t on_exception;	/* PURGATORY_HALT or PURGATORY_RESET */
	uint32_t exception_delay;	/* seconds before that reset */
	uint32_t backend;	/* the only PURGATORY_BACKEND_* to try; 0: all */
	uint32_t patience;	/* seconds, about, to wait for UARTs in a report */
	uint16_t uart_port;	/* first port of PURGATORY_CONSOLE_PORT */
	uint16_t uart_divisor;	/* of the clock of either UART (1.8432 MHz / 16
				 * on a PC: 115,200 baud); 0: as found */
	uint32_t reserved;	/* 0 */
	uint64_t uart_mmio;	/* address of PURGATORY_CONSOLE_MMIO */
};

extern struct purgatory_config purgatory_config;

#define PURGATORY_STATUS_MAGIC "PURGSTAT"
#define PURGATORY_STATUS_VERSION 2

/* purgatory_status.phase: */
#define PURGATORY_PHASE_ENTERED 1	/* the entry code ran */
#define PURGATORY_PHASE_VERIFYING 2	/* regions are being hashed */
#define PURGATORY_PHASE_LEAVING 3	/* the image was verified, the jump is next */
#define PURGATORY_PHASE_REFUSED 4	/* the image was refused */
#define PURGATORY_PHASE_FAULTED 5	/* an exception ended the trip */

/* purgatory_status.verdict, 0 before there is one: */
#define PURGATORY_VERDICT_MATCH 1
#define PURGATORY_VERDICT_NOTHING 2	/* empty table, digest of nothing: fine */
#define PURGATORY_VERDICT_MISMATCH 3
#define PURGATORY_VERDICT_TABLE_WIPED 4	/* empty table, but another digest */
#define PURGATORY_VERDICT_BAD_REGION 5	/* a region that cannot be memory */
#define PURGATORY_VERDICT_EXCEPTION 6
#define PURGATORY_VERDICT_STACK 7	/* our own stack ran over */
#define PURGATORY_VERDICT_ASTRAY 8	/* the register image leads out of what was verified */
#define PURGATORY_VERDICT_DAMAGED 9	/* our own code is not what was built */

/* purgatory_status.backend and the argument of purgatory_verify (2 was AVX2): */
#define PURGATORY_BACKEND_PORTABLE 1
#define PURGATORY_BACKEND_SHA_NI 3
#define PURGATORY_BACKEND_SSE2 4
#define PURGATORY_BACKEND_ZKNH 5
#define PURGATORY_BACKEND_ZVKNH 6

/*
 * The record left behind; each field is valid as soon as it is known. Not in the
 * file: memory behind the stack, without the magic until a purgatory runs.
 */
struct purgatory_status {
	uint8_t magic[8];	/* PURGATORY_STATUS_MAGIC, no NUL */
	uint32_t version;	/* PURGATORY_STATUS_VERSION */
	uint32_t size;		/* of this structure, in bytes */
	uint32_t phase;		/* PURGATORY_PHASE_* */
	uint32_t verdict;	/* PURGATORY_VERDICT_* */
	uint32_t backend;	/* PURGATORY_BACKEND_*, 0 before one was chosen */
	uint32_t region;	/* index of the bad region */
	uint32_t suspects;	/* bit N: backend N was caught giving a wrong answer */
	uint32_t doubted;	/* PURGATORY_BACKEND_* whose word was not taken, or 0 */
	uint64_t bytes;		/* hashed so far */
	uint64_t cycles;	/* ticks of the clock spent hashing so far, or 0 */
	uint64_t nmis;		/* non-maskable interrupts seen and returned from */
	uint64_t cause;		/* of the exception that ended the trip: its vector */
	uint64_t code;		/* its error code */
	uint64_t at;		/* where it happened */
	uint64_t address;	/* the address it was about, or 0 */
	uint8_t digest[PURGATORY_DIGEST_SIZE];	/* the one computed */
	uint8_t doubted_digest[PURGATORY_DIGEST_SIZE];	/* by PURGATORY_BACKEND_* doubted */
};

extern struct purgatory_status purgatory_status;

/*
 * Checks purgatory_sha_regions against purgatory_sha256_digest and fills
 * purgatory_status, without one privileged instruction: it runs in user space
 * as well. The register image is not looked at. The caller vouches that the regions are readable and that the CPU has
 * the backend, with its register state switched on. Not reentrant.
 *
 * Returns 0: they match; 1: refused; 2: there is no such backend.
 */
uint32_t purgatory_verify(uint32_t backend);

#ifdef __cplusplus
}
#endif

#endif
