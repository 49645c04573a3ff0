# SPDX-License-Identifier: MIT OR Apache-2.0
# The way in, the way out, and where exceptions arrive on riscv64.
#
# Everything is pc-relative: the loader may put the blob at any page. gp and tp
# belong to the first kernel, and nobody here uses them.

.option push
.option arch, rv64imac_zicsr            # what the target has; files of assembly start without

# ---------------------------------------------------------------------------
# purgatory_start
#   on entry   S-mode, satp = 0; a0 = this hart, a1 = device tree, a2 = here;
#              sp, gp, tp, ra are those of the first kernel, the others 0.
#              kdump comes through stvec: the address is a multiple of 4
#   on exit    never returns; sp = stack_end, zeroed memory zeroed, what was
#              found at {found}, interrupts off,
#              a0 = 0 if text and constants are those that were built
#
# Nobody hashes them but we: a checksum, over all words from here to the one that
# holds it, each step of which can be undone, so that no change of one word is
# lost (`checksum` in abi.rs). What is executed until it is compared cannot check
# itself: the bytes from here to the call of {run}.
# ---------------------------------------------------------------------------
    .section .text.start, "ax", @progbits
    .globl purgatory_start
    .type purgatory_start, @function
    .balign 4
purgatory_start:
    csrrci  t2, sstatus, 2              # SIE
    lla     sp, stack_end
    # The loader may hand over garbage behind the file's bytes: Linux 7.2 and
    # 7.3 do not clear the tail of a CMA segment (kimage_load_cma_segment).
    lla     t0, zeroed_start
    lla     t1, zeroed_end
1:  sd      zero, (t0)
    addi    t0, t0, 8
    bltu    t0, t1, 1b
    lla     t0, {found}
    sd      a0, (t0)
    sd      a1, 8(t0)
    sd      t2, 16(t0)
    csrr    t2, sscratch
    sd      t2, 24(t0)
    csrr    t2, stvec
    sd      t2, 32(t0)
    lla     t0, stack_start
    li      t1, {canary}
    sd      t1, (t0)
    lla     t0, purgatory_start
    lla     t1, {checksum}
    li      t2, {factor}
    li      a0, 0
1:  ld      t3, (t0)
    xor     a0, a0, t3
    slli    t3, a0, {rotation}
    srli    a0, a0, 64 - {rotation}
    or      a0, a0, t3
    mul     a0, a0, t2
    addi    t0, t0, 8
    bltu    t0, t1, 1b
    ld      t3, (t1)
    xor     a0, a0, t3
    li      ra, 0
    li      s0, 0
    call    {run}
    unimp
    .size purgatory_start, . - purgatory_start

# ---------------------------------------------------------------------------
# riscv_jump: starts the next kernel.
#   on entry   {found} is what was found at entry, {entry} filled by the loader
#   on exit    a0, a1, sstatus, sscratch, stvec as found; satp was never touched
# stvec goes last: until then a fault is still caught.
# ---------------------------------------------------------------------------
    .section .text.riscv_jump, "ax", @progbits
    .type riscv_jump, @function
riscv_jump:
    lla     t0, {entry}
    ld      t0, (t0)
    lla     t1, {found}
    ld      a0, (t1)
    ld      a1, 8(t1)
    ld      t2, 16(t1)
    csrw    sstatus, t2
    ld      t2, 24(t1)
    csrw    sscratch, t2
    ld      t2, 32(t1)
    csrw    stvec, t2
    jr      t0
    .size riscv_jump, . - riscv_jump

# ---------------------------------------------------------------------------
# guarded_call(function, argument): guard.rs
#   `function` is called with `argument`; when it faults, riscv_exception resumes
#   behind it on the stack saved here. Calls nest.
#   clobbers what a call clobbers
# ---------------------------------------------------------------------------
    .section .text.guarded_call, "ax", @progbits
    .type guarded_call, @function
guarded_call:
    addi    sp, sp, -112
    sd      ra, (sp)
  .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    sd      s\i, 8 + 8*\i(sp)
  .endr
    lla     t0, {resume}
    ld      t1, (t0)
    sd      t1, 104(sp)
    sd      sp, (t0)
    mv      t0, a0
    mv      a0, a1
    jalr    t0
1:  lla     t0, {resume}
    ld      t1, 104(sp)
    sd      t1, (t0)
    ld      ra, (sp)
  .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    ld      s\i, 8 + 8*\i(sp)
  .endr
    addi    sp, sp, 112
    ret

# ---------------------------------------------------------------------------
# riscv_exception: where stvec leads.
#   A guarded call resumes as if it had returned; what else happens leaves the
#   registers at {frame}, x1 to x31, sepc, sstatus, and calls {exception} with it,
#   on a stack that is empty: what was on it is not returned to. The stack pointer
#   of whoever failed is not relied on.
# SDT (bit 24, Ssdbltrp) is set by an exception where firmware enabled that; the
# next one would be the machine's end.
# ---------------------------------------------------------------------------
    .balign 4
    .globl riscv_exception
    .hidden riscv_exception
riscv_exception:
    csrw    sscratch, sp
    lla     sp, {resume}
    ld      sp, (sp)
    beqz    sp, 2f
    li      t0, 1 << 24
    csrc    sstatus, t0
    j       1b
2:  lla     sp, {frame}
    sd      x1, (sp)
  .irp i, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    sd      x\i, 8*(\i - 1)(sp)
  .endr
    csrr    t0, sscratch
    sd      t0, 8(sp)
    csrr    t0, sepc
    sd      t0, 248(sp)
    csrr    t0, sstatus
    sd      t0, 256(sp)
    li      t0, 1 << 24
    csrc    sstatus, t0
    mv      a0, sp
    lla     sp, stack_end
    call    {exception}
    unimp
    .size guarded_call, . - guarded_call
.option pop
