/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Prints every layout and constant of purgatory.h, for layout.rs to compare. */

#include <purgatory.h>

#include <stddef.h>
#include <stdio.h>

#define SIZE(type) \
	printf(#type " %lu\n", (unsigned long)sizeof(struct type))
#define FIELD(type, field) \
	printf(#type "." #field " %lu %lu\n", \
	       (unsigned long)offsetof(struct type, field), \
	       (unsigned long)sizeof(((struct type *)0)->field))
#define TABLE(name) \
	printf(#name " %lu\n", (unsigned long)sizeof(name))
#define NUMBER(constant) \
	printf(#constant " %lu\n", (unsigned long)(constant))
#define TEXT(constant) \
	printf(#constant " %s\n", constant)

int main(void)
{
	SIZE(purgatory_region);
	FIELD(purgatory_region, start);
	FIELD(purgatory_region, len);

	SIZE(purgatory_entry64_regs);
	FIELD(purgatory_entry64_regs, rax);
	FIELD(purgatory_entry64_regs, rcx);
	FIELD(purgatory_entry64_regs, rdx);
	FIELD(purgatory_entry64_regs, rbx);
	FIELD(purgatory_entry64_regs, rsp);
	FIELD(purgatory_entry64_regs, rbp);
	FIELD(purgatory_entry64_regs, rsi);
	FIELD(purgatory_entry64_regs, rdi);
	FIELD(purgatory_entry64_regs, r8);
	FIELD(purgatory_entry64_regs, r9);
	FIELD(purgatory_entry64_regs, r10);
	FIELD(purgatory_entry64_regs, r11);
	FIELD(purgatory_entry64_regs, r12);
	FIELD(purgatory_entry64_regs, r13);
	FIELD(purgatory_entry64_regs, r14);
	FIELD(purgatory_entry64_regs, r15);
	FIELD(purgatory_entry64_regs, rip);

	SIZE(purgatory_config);
	FIELD(purgatory_config, magic);
	FIELD(purgatory_config, version);
	FIELD(purgatory_config, size);
	FIELD(purgatory_config, consoles);
	FIELD(purgatory_config, verbosity);
	FIELD(purgatory_config, on_refusal);
	FIELD(purgatory_config, refusal_delay);
	FIELD(purgatory_config, on_exception);
	FIELD(purgatory_config, exception_delay);
	FIELD(purgatory_config, backend);
	FIELD(purgatory_config, patience);
	FIELD(purgatory_config, uart_port);
	FIELD(purgatory_config, uart_divisor);
	FIELD(purgatory_config, reserved);
	FIELD(purgatory_config, uart_mmio);

	SIZE(purgatory_status);
	FIELD(purgatory_status, magic);
	FIELD(purgatory_status, version);
	FIELD(purgatory_status, size);
	FIELD(purgatory_status, phase);
	FIELD(purgatory_status, verdict);
	FIELD(purgatory_status, backend);
	FIELD(purgatory_status, region);
	FIELD(purgatory_status, suspects);
	FIELD(purgatory_status, doubted);
	FIELD(purgatory_status, bytes);
	FIELD(purgatory_status, cycles);
	FIELD(purgatory_status, nmis);
	FIELD(purgatory_status, cause);
	FIELD(purgatory_status, code);
	FIELD(purgatory_status, at);
	FIELD(purgatory_status, address);
	FIELD(purgatory_status, digest);
	FIELD(purgatory_status, doubted_digest);

	TABLE(purgatory_sha_regions);
	TABLE(purgatory_sha256_digest);
	TABLE(entry64_regs);
	TABLE(riscv_kernel_entry);
	TABLE(purgatory_config);
	TABLE(purgatory_status);

	NUMBER(PURGATORY_REGION_COUNT);
	NUMBER(PURGATORY_DIGEST_SIZE);
	TEXT(PURGATORY_CONFIG_MAGIC);
	TEXT(PURGATORY_STATUS_MAGIC);
	NUMBER(PURGATORY_CONFIG_VERSION);
	NUMBER(PURGATORY_STATUS_VERSION);
	NUMBER(PURGATORY_CONSOLE_PORT);
	NUMBER(PURGATORY_CONSOLE_MMIO);
	NUMBER(PURGATORY_CONSOLE_DEBUG);
	NUMBER(PURGATORY_CONSOLE_VGA);
	NUMBER(PURGATORY_HALT);
	NUMBER(PURGATORY_RESET);
	NUMBER(PURGATORY_PHASE_ENTERED);
	NUMBER(PURGATORY_PHASE_VERIFYING);
	NUMBER(PURGATORY_PHASE_LEAVING);
	NUMBER(PURGATORY_PHASE_REFUSED);
	NUMBER(PURGATORY_PHASE_FAULTED);
	NUMBER(PURGATORY_VERDICT_MATCH);
	NUMBER(PURGATORY_VERDICT_NOTHING);
	NUMBER(PURGATORY_VERDICT_MISMATCH);
	NUMBER(PURGATORY_VERDICT_TABLE_WIPED);
	NUMBER(PURGATORY_VERDICT_BAD_REGION);
	NUMBER(PURGATORY_VERDICT_EXCEPTION);
	NUMBER(PURGATORY_VERDICT_STACK);
	NUMBER(PURGATORY_BACKEND_PORTABLE);
	NUMBER(PURGATORY_VERDICT_ASTRAY);
	NUMBER(PURGATORY_VERDICT_DAMAGED);
	NUMBER(PURGATORY_BACKEND_SHA_NI);
	NUMBER(PURGATORY_BACKEND_SSE2);
	NUMBER(PURGATORY_BACKEND_ZKNH);
	NUMBER(PURGATORY_BACKEND_ZVKNH);
	return 0;
}
