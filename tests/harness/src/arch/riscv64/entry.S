# SPDX-License-Identifier: MIT OR Apache-2.0
# The way in, from the firmware, and the two ways out.

# a0 = this hart, a1 = device tree; S-mode without translation.
    .section .text.start, "ax", @progbits
    .globl harness_start
harness_start:
    lla     sp, stack_top
    call    {main}
    unimp

    .section .bss.boot, "aw", @nobits
    .balign 16
    .skip 0x8000
stack_top:

# ---------------------------------------------------------------------------
# leave_at(entry, a0, a1), crash_to(entry, a0, a1)
#   on exit   a0, a1 as given, a2 = entry; sp, gp, tp, ra are anything; the
#             others 0. A crash arrives as an exception, through stvec
# ---------------------------------------------------------------------------
    .section .text.leave, "ax", @progbits
    .globl leave_at
leave_at:
    li      t0, 0
    j       1f
    .globl crash_to
crash_to:
    csrw    stvec, a0
    li      t0, 1
1:  mv      t1, a0
    mv      a0, a1
    mv      a1, a2
    mv      a2, t1
    li      sp, 0x5eed5eed5eed5eed
    mv      gp, sp
    mv      tp, sp
    mv      ra, sp
  .irp i, 3, 4, 5, 6, 7
    li      a\i, 0
  .endr
  .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    li      s\i, 0
  .endr
  .irp i, 1, 2, 3, 4, 5, 6
    li      t\i, 0
  .endr
    fence.i
    bnez    t0, 2f
    jr      a2
2:  li      t0, 0
    # One that the firmware leaves to us.
    ebreak

# Ends QEMU.
    .balign 4
    .globl stray_handler
stray_handler:
    li      t0, {exit}
    li      t1, {stray}
    sw      t1, (t0)
    j       stray_handler

# ---------------------------------------------------------------------------
# dirty_vectors(): vector_pattern(n) into the low lanes of register n.
# ---------------------------------------------------------------------------
    .section .text.dirty, "ax", @progbits
    .globl dirty_vectors
dirty_vectors:
    .option push
    .option arch, +v
    vsetivli zero, 2, e64, m1, ta, ma
    li      t0, {pattern}
    li      t1, 0x100000001
  .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    vmv.v.x v\n, t0
    add     t0, t0, t1
  .endr
    .option pop
    ret
