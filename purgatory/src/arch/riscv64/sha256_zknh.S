# SPDX-License-Identifier: MIT OR Apache-2.0
# SHA-256 with the scalar cryptography extension Zknh: four instructions for the
# sigmas, and the registers of RV64 for the rest.
#
# All sixteen words of the schedule and all eight of the state stay in registers,
# 28 of them in all: what is needed once a block lies on the stack. What it computes
# is FIPS 180-4, 6.2.2. Registers hold words in their lower half, and anything in the
# upper: no instruction here looks there, and what is stored is a word.
#
# Blocks are read byte by byte, so they may lie anywhere, and no byte swap is needed
# that another extension brings.

.option push
.option arch, +c, +zknh

# A round on the message word w with constant number `index` of these sixteen; then w
# becomes the word sixteen rounds on. x is b ^ c and becomes a ^ b, the x of the next
# round: maj(a, b, c) = ((a ^ b) & (b ^ c)) ^ b. Those of the last sixteen rounds
# nobody uses: a loop without a case for them is smaller.
.macro sha256_zknh_round index, a, b, c, d, e, f, g, h, x, y, w, w1, w9, w14
    lw          ra, 4*(\index)(a5)
    add         \h, \h, \w
    add         \h, \h, ra
    sha256sum1  ra, \e
    add         \h, \h, ra
    xor         ra, \f, \g              # ch(e, f, g)
    and         ra, ra, \e
    xor         ra, ra, \g
    add         \h, \h, ra
    add         \d, \d, \h
    sha256sum0  ra, \a
    add         \h, \h, ra
    xor         \y, \a, \b
    and         \x, \x, \y
    xor         \x, \x, \b
    add         \h, \h, \x
    sha256sig0  ra, \w1
    add         \w, \w, ra
    sha256sig1  ra, \w14
    add         \w, \w, ra
    add         \w, \w, \w9
.endm

# Eight rounds, after which each word of the state is where it was.
.macro sha256_zknh_rounds index, w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, wa, wb, wc, wd, we, wf
    sha256_zknh_round \index + 0, s0, s1, s2, s3, s4, s5, s6, s7, a6, a7, \w0, \w1, \w9, \we
    sha256_zknh_round \index + 1, s7, s0, s1, s2, s3, s4, s5, s6, a7, a6, \w1, \w2, \wa, \wf
    sha256_zknh_round \index + 2, s6, s7, s0, s1, s2, s3, s4, s5, a6, a7, \w2, \w3, \wb, \w0
    sha256_zknh_round \index + 3, s5, s6, s7, s0, s1, s2, s3, s4, a7, a6, \w3, \w4, \wc, \w1
    sha256_zknh_round \index + 4, s4, s5, s6, s7, s0, s1, s2, s3, a6, a7, \w4, \w5, \wd, \w2
    sha256_zknh_round \index + 5, s3, s4, s5, s6, s7, s0, s1, s2, a7, a6, \w5, \w6, \we, \w3
    sha256_zknh_round \index + 6, s2, s3, s4, s5, s6, s7, s0, s1, a6, a7, \w6, \w7, \wf, \w4
    sha256_zknh_round \index + 7, s1, s2, s3, s4, s5, s6, s7, s0, a7, a6, \w7, \w8, \w0, \w5
.endm

# sha256_compress_zknh(a0: state, a1: blocks, a2: count)
#
#   s0-7                  state words A to H
#   a0-4 t0-6 s8-11       sixteen message words
#   a5                    constants of these rounds
#   a6 a7                 A ^ B, B ^ C
#   ra                    scratch
#   on the stack          saved registers; at 104 the state, this block, blocks left,
#                         the end of the constants
.pushsection .text.sha256_compress_zknh, "ax", @progbits
.globl sha256_compress_zknh
.hidden sha256_compress_zknh
.type sha256_compress_zknh, @function
sha256_compress_zknh:
    beqz        a2, .Lsha256_zknh_return
    addi        sp, sp, -144
    sd          ra, (sp)
  .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    sd          s\i, 8 + 8*\i(sp)
  .endr
    lla         t0, {round_constants} + 256
    sd          a0, 104(sp)
    sd          t0, 128(sp)
    mv          a5, a1
.Lsha256_zknh_block:
    sd          a2, 120(sp)
    .set        sha256_zknh_byte, 0
  .irp word, a0, a1, a2, a3, a4, t0, t1, t2, t3, t4, t5, t6, s8, s9, s10, s11
    lbu         \word, sha256_zknh_byte(a5)
    lbu         s0, sha256_zknh_byte + 1(a5)
    lbu         s1, sha256_zknh_byte + 2(a5)
    lbu         s2, sha256_zknh_byte + 3(a5)
    slli        \word, \word, 24
    slli        s0, s0, 16
    slli        s1, s1, 8
    or          \word, \word, s2
    or          s0, s0, s1
    or          \word, \word, s0
    .set        sha256_zknh_byte, sha256_zknh_byte + 4
  .endr
    addi        a5, a5, 64
    sd          a5, 112(sp)
    ld          ra, 104(sp)
  .irp i, 0, 1, 2, 3, 4, 5, 6, 7
    lw          s\i, 4*\i(ra)
  .endr
    xor         a6, s1, s2
    ld          a5, 128(sp)
    addi        a5, a5, -256
.Lsha256_zknh_sixteen_rounds:
    sha256_zknh_rounds 0, a0, a1, a2, a3, a4, t0, t1, t2, t3, t4, t5, t6, s8, s9, s10, s11
    sha256_zknh_rounds 8, t3, t4, t5, t6, s8, s9, s10, s11, a0, a1, a2, a3, a4, t0, t1, t2
    ld          ra, 128(sp)
    addi        a5, a5, 64
    bne         a5, ra, .Lsha256_zknh_sixteen_rounds
    ld          ra, 104(sp)
  .irp i, 0, 1, 2, 3, 4, 5, 6, 7
    lw          a0, 4*\i(ra)
    add         a0, a0, s\i
    sw          a0, 4*\i(ra)
  .endr
    ld          a5, 112(sp)
    ld          a2, 120(sp)
    addi        a2, a2, -1
    bnez        a2, .Lsha256_zknh_block

    ld          ra, (sp)
  .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    ld          s\i, 8 + 8*\i(sp)
  .endr
    addi        sp, sp, 144
.Lsha256_zknh_return:
    ret
.size sha256_compress_zknh, . - sha256_compress_zknh
.popsection
.option pop
