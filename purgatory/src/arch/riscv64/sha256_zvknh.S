# SPDX-License-Identifier: MIT OR Apache-2.0
# SHA-256 with the vector cryptography extensions: Zvknha or Zvknhb for the rounds
# and the schedule, Zvkb to swap bytes.
#
# Four words to a register, so any VLEN from 128 on will do. What it computes is FIPS
# 180-4, 6.2.2; how the instructions divide it is "RISC-V Cryptography Extensions
# Volume II", vsha2ms.vv and vsha2c[hl].vv.
#
# sstatus.VS is all that has to be switched on. State and constants are read as words
# at their alignment, blocks byte by byte, so those may lie anywhere.

.option push
.option arch, +c, +zve32x, +zvkb, +zvknha

# Four rounds on the message words in w0, which become the words sixteen rounds on.
# Those of the last sixteen rounds nobody uses: a loop without a case for them is
# smaller.
.macro sha256_zvknh_rounds w0, w1, w2, w3
    vle32.v     v10, (t2)
    addi        t2, t2, 16
    vadd.vv     v10, v10, \w0
    vsha2cl.vv  v3, v2, v10             # the lower two of the four words
    vsha2ch.vv  v2, v3, v10
    vmerge.vvm  v10, \w2, \w1, v0       # W[t-12], W[t-7] W[t-6] W[t-5]
    vsha2ms.vv  \w0, v10, \w3
.endm

# sha256_compress_zvknh(a0: state, a1: blocks, a2: count)
#
#   t0  constants                       v0      mask: the first of four words
#   t1  end of the constants            v1      where the words of a half lie
#   t2  constants of these rounds       v2, v3  state words F E B A, H G D C
#   t3  the second half of the state    v4, v5  the state before this block
#                                       v6-9    sixteen message words
#                                       v10     scratch
.pushsection .text.sha256_compress_zvknh, "ax", @progbits
.globl sha256_compress_zvknh
.hidden sha256_compress_zvknh
.type sha256_compress_zvknh, @function
sha256_compress_zvknh:
    beqz        a2, .Lsha256_zvknh_return
    lla         t0, {round_constants}
    addi        t1, t0, 256
    addi        t3, a0, 8
    vsetivli    zero, 4, e32, m1, ta, ma
    vmv.v.i     v0, 1
    li          t2, 0x00041014          # 20, 16, 4, 0: bytes from the first word
    vmv.v.x     v1, t2
    vluxei8.v   v2, (a0), v1
    vluxei8.v   v3, (t3), v1
.Lsha256_zvknh_block:
    vmv.v.v     v4, v2
    vmv.v.v     v5, v3
    vsetivli    zero, 16, e8, m1, ta, ma
  .irp i, 6, 7, 8, 9
    vle8.v      v\i, (a1)
    addi        a1, a1, 16
  .endr
    vsetivli    zero, 4, e32, m1, ta, ma
  .irp i, 6, 7, 8, 9
    vrev8.v     v\i, v\i
  .endr
    mv          t2, t0
.Lsha256_zvknh_sixteen_rounds:
    sha256_zvknh_rounds v6, v7, v8, v9
    sha256_zvknh_rounds v7, v8, v9, v6
    sha256_zvknh_rounds v8, v9, v6, v7
    sha256_zvknh_rounds v9, v6, v7, v8
    bne         t2, t1, .Lsha256_zvknh_sixteen_rounds
    vadd.vv     v2, v2, v4
    vadd.vv     v3, v3, v5
    addi        a2, a2, -1
    bnez        a2, .Lsha256_zvknh_block

    vsuxei8.v   v2, (a0), v1
    vsuxei8.v   v3, (t3), v1
    # The next kernel gets no vector state from here.
  .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
    vmv.v.i     v\i, 0
  .endr
.Lsha256_zvknh_return:
    ret
.size sha256_compress_zvknh, . - sha256_compress_zvknh
.popsection
.option pop
