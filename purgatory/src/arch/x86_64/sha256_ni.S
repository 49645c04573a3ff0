# SPDX-License-Identifier: MIT OR Apache-2.0
# SHA-256 with the SHA extensions.
#
# The two halves of the state live in xmm1 and xmm2 from the first block to the
# last, and each sha256rnds2 waits for the one before it: 32 of them a block,
# and the additions at its end, are the time a block takes. All other work has
# to hide behind them, so the message schedule runs twelve rounds ahead of its
# use. What it computes is FIPS 180-4, 6.2.2; how the instructions divide it is
# Intel SDM volume 2, SHA256MSG1, SHA256MSG2 and SHA256RNDS2.
#
# No feature but SHA, SSSE3 and SSE4.1, and legacy encodings only: CR4.OSFXSR is
# all that has to be enabled.

# Four rounds on the message words in w0, which become the words sixteen rounds on.
.macro sha256_ni_rounds index, w0, w1, w2, w3
    movdqa  xmm0, [rax + 16*\index]
    paddd   xmm0, \w0
    sha256rnds2 xmm2, xmm1, xmm0
    pshufd  xmm0, xmm0, 0x0e            # the upper two of the four words
    movdqa  xmm7, \w3
    palignr xmm7, \w2, 4                # W[t-7]
    sha256msg1 \w0, \w1                 # W[t-16] + sigma0(W[t-15])
    paddd   \w0, xmm7
    sha256msg2 \w0, \w3                 # + sigma1(W[t-2])
    sha256rnds2 xmm1, xmm2, xmm0
.endm

.pushsection .rodata.sha256_compress_shani, "a", @progbits
.balign 16
.Lsha256_ni_byteswap:
    .byte   3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12
.popsection

# sha256_compress_shani(rdi: state, rsi: blocks, rdx: count)
#
#   rax  constants of these rounds      xmm0       W + K, as sha256rnds2 wants it
#   rcx  constants of the last sixteen  xmm1       state words F E B A, low to high
#   rdx  blocks left                    xmm2       state words H G D C
#   rsi  this block                     xmm3-6     sixteen message words
#   r8   the end of the constants       xmm7       scratch
#                                       xmm8       byte swap
#                                       xmm9-10    the state before this block
.pushsection .text.sha256_compress_shani, "ax", @progbits
.globl sha256_compress_shani
.hidden sha256_compress_shani
.type sha256_compress_shani, @function
.balign 32
sha256_compress_shani:
    test    rdx, rdx
    jz      .Lsha256_ni_return
    lea     rcx, [rip + {round_constants} + 192]
    lea     r8, [rcx + 64]
    movdqa  xmm8, [rip + .Lsha256_ni_byteswap]
    movdqu  xmm1, [rdi]                 # A B C D
    movdqu  xmm2, [rdi + 16]            # E F G H
    pshufd  xmm1, xmm1, 0xb1            # B A D C
    pshufd  xmm2, xmm2, 0x1b            # H G F E
    movdqa  xmm7, xmm1
    palignr xmm1, xmm2, 8               # F E B A
    pblendw xmm2, xmm7, 0xf0            # H G D C

.balign 32
.Lsha256_ni_block:
    # Eight blocks ahead covers a trip to memory, and takes over where hardware
    # prefetchers stop: at the page's end. Past the last block it loads nothing
    # that matters, and a prefetch never faults.
    prefetcht0 [rsi + 512]
    movdqa  xmm9, xmm1
    movdqa  xmm10, xmm2
    movdqu  xmm3, [rsi]
    pshufb  xmm3, xmm8
    movdqu  xmm4, [rsi + 16]
    pshufb  xmm4, xmm8
    movdqu  xmm5, [rsi + 32]
    pshufb  xmm5, xmm8
    movdqu  xmm6, [rsi + 48]
    pshufb  xmm6, xmm8
    lea     rax, [rcx - 192]
.Lsha256_ni_sixteen_rounds:
    sha256_ni_rounds 0, xmm3, xmm4, xmm5, xmm6
    sha256_ni_rounds 1, xmm4, xmm5, xmm6, xmm3
    sha256_ni_rounds 2, xmm5, xmm6, xmm3, xmm4
    sha256_ni_rounds 3, xmm6, xmm3, xmm4, xmm5
    add     rax, 64
    cmp     rax, rcx
    jne     .Lsha256_ni_sixteen_rounds
    # The last sixteen make no words. To make some that nobody uses would save 41
    # bytes, and takes 7 % on a Sapphire Rapids.
.Lsha256_ni_four_rounds:
    movdqa  xmm0, [rax]
    paddd   xmm0, xmm3
    sha256rnds2 xmm2, xmm1, xmm0
    pshufd  xmm0, xmm0, 0x0e            # the upper two of the four words
    movdqa  xmm3, xmm4
    movdqa  xmm4, xmm5
    movdqa  xmm5, xmm6
    sha256rnds2 xmm1, xmm2, xmm0
    add     rax, 16
    cmp     rax, r8
    jne     .Lsha256_ni_four_rounds
    paddd   xmm1, xmm9
    paddd   xmm2, xmm10
    add     rsi, 64
    dec     rdx
    jnz     .Lsha256_ni_block

    pshufd  xmm1, xmm1, 0x1b            # A B E F
    pshufd  xmm2, xmm2, 0xb1            # G H C D
    movdqa  xmm7, xmm1
    pblendw xmm1, xmm2, 0xf0            # A B C D
    palignr xmm2, xmm7, 8               # E F G H
    movdqu  [rdi], xmm1
    movdqu  [rdi + 16], xmm2
    jmp     {clear}
.Lsha256_ni_return:
    ret
.size sha256_compress_shani, . - sha256_compress_shani
.popsection
