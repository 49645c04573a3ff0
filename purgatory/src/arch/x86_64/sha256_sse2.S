# SPDX-License-Identifier: MIT OR Apache-2.0
# SHA-256 with what every x86-64 has.
#
# The rounds are a chain of integer instructions; the message schedule is not, so
# vectors make four words of it at a time, twelve to sixteen rounds ahead of their
# use, in the gaps that the rounds leave. The algorithm is FIPS 180-4, 6.2.2; to
# hide the schedule behind the rounds is the idea of Intel's "Fast SHA-256
# Implementations on Intel Architecture Processors" (2012).
#
# No feature but SSE2: CR4.OSFXSR is all that has to be enabled. SSSE3's shifts
# across two registers gain nothing: the words that lie across two are read from
# memory at an odd offset, or moved in by movss.
#
# Small before fast: four rounds a pass, after which every word of the state is
# back in its register, and the schedule in two lumps, which the CPU interleaves
# with the rounds. In four lumps it is 1 % faster on a Sapphire Rapids; with
# every instruction in its place, for 330 bytes more, 3 %.

# One round. bc holds b ^ c, ab receives a ^ b: the next round's b ^ c. The new a
# is left in d and the new e in h.
#
# Both sums are two chains of rotations, not one: a move more than
# ((x >>> 14 ^ x) >>> 5 ^ x) >>> 6, which modern CPUs get for nothing, and two
# cycles less to wait, worth 5 % on a Sapphire Rapids. The order is worth 2 % there.
.macro sha256_sse2_round offset, a, b, c, d, e, f, g, h, ab, bc
    mov     edi, \e
    mov     esi, \e
    ror     edi, 11
    ror     esi, 6
    xor     esi, edi
    ror     edi, 14
    xor     esi, edi                    # Sigma1(e)
    mov     edi, \f
    add     \h, [rsp + 16 + \offset]
    xor     edi, \g
    and     edi, \e
    mov     \ab, \a
    xor     edi, \g                     # Ch(e, f, g) = ((f ^ g) & e) ^ g
    xor     \ab, \b
    add     \h, edi
    and     \bc, \ab
    add     \h, esi                     # T1
    xor     \bc, \b                     # Maj(a, b, c) = ((a ^ b) & (b ^ c)) ^ b
    add     \bc, \h
    add     \h, \d
    mov     \d, \a
    ror     \d, 2
    mov     edi, \a
    ror     edi, 13
    xor     \d, edi
    ror     edi, 9
    xor     \d, edi                     # Sigma0(a)
    add     \d, \bc
.endm

# sigma1 of the words in the even places of \twice, each of which the place above
# repeats: so a 64-bit shift rotates it. Leaves rubbish in the odd places.
.macro sha256_sse2_sigma1 result, twice
    movdqa  \result, \twice
    psrld   \result, 10
    psrlq   \twice, 17
    pxor    \result, \twice
    psrlq   \twice, 2                   # 19 in all
    pxor    \result, \twice
.endm

# sha256_compress_sse2(rdi: state, rsi: blocks, rdx: count)
#
#   r8d-r11d ebx ecx edx ebp  state     xmm0    the last four words made
#   esi edi    scratch                  xmm1-5  scratch
#   r12d r13d  a ^ b, b ^ c, in turn
#   r14  the next block, less 256
#   r15  constants, less 64
#   rax  place in the schedule
#
# On the stack, from rsp: the state's address; how many blocks come after this
# one; W + K of four rounds; the 64 words of W.
#
# rax counts half a byte offset into W and the constants, 8 for four words, from
# 32 on. Words are used 64 bytes before they are made, and al says what is made:
#
#   32 to 127   words of the schedule
#   128 to 159  the next block's message, which takes the places of this one's;
#               after the last block, that of the last once more
#   160         nothing: the block's end
.pushsection .text.sha256_compress_sse2, "ax", @progbits
.globl sha256_compress_sse2
.hidden sha256_compress_sse2
.type sha256_compress_sse2, @function
sha256_compress_sse2:
    test    rdx, rdx
    jnz     .Lsha256_sse2_begin
    ret
.Lsha256_sse2_begin:
    push    rbx
    push    rbp
    push    r12
    push    r13
    push    r14
    push    r15
    sub     rsp, 280                    # 16 + 256, and rsp is a multiple of 16
    push    rdx
    push    rdi
    lea     r14, [rsi - 256]
    lea     r15, [rip + {round_constants} - 64]
    mov     eax, 128
.Lsha256_sse2_first_block:
    call    .Lsha256_sse2_load
    add     eax, 8
    cmp     al, 160
    jne     .Lsha256_sse2_first_block

.Lsha256_sse2_block:
    mov     r8d, [rdi]
    mov     r9d, [rdi + 4]
    mov     r10d, [rdi + 8]
    mov     r11d, [rdi + 12]
    mov     ebx, [rdi + 16]
    mov     ecx, [rdi + 20]
    mov     edx, [rdi + 24]
    mov     ebp, [rdi + 28]
    lea     rsi, [r14 + 64]
    dec     qword ptr [rsp + 8]
    js      .Lsha256_sse2_end
    cmovnz  r14, rsi
    mov     r12d, r9d
    xor     r12d, r10d
    push    32
    pop     rax

.Lsha256_sse2_schedule:
    movaps  xmm1, [rsp + 2*rax]         # W[t-8]
    movss   xmm1, xmm0
    pshufd  xmm1, xmm1, 0x39            # W[t-7]
    paddd   xmm1, [rsp + 2*rax - 32]    # W[t-16]
    movups  xmm2, [rsp + 2*rax - 28]    # W[t-15]
    movdqa  xmm3, xmm2
    psrld   xmm3, 3
    movdqa  xmm4, xmm2
    psrld   xmm4, 7
    pxor    xmm3, xmm4
    psrld   xmm4, 11
    pxor    xmm3, xmm4
    pslld   xmm2, 14
    pxor    xmm3, xmm2
    pslld   xmm2, 11
    pxor    xmm3, xmm2                  # sigma0(W[t-15])
    paddd   xmm1, xmm3
    pshufd  xmm2, xmm0, 0xfa            # W[t-2], of the lower two words
.Lsha256_sse2_four_rounds:
    movaps  xmm5, [rsp + 2*rax - 32]
    paddd   xmm5, [r15 + 2*rax]
    movaps  [rsp + 16], xmm5
    sha256_sse2_round 0, r8d, r9d, r10d, r11d, ebx, ecx, edx, ebp, r13d, r12d
    sha256_sse2_round 4, r11d, r8d, r9d, r10d, ebp, ebx, ecx, edx, r12d, r13d
    test    al, al
    js      .Lsha256_sse2_two_rounds
    sha256_sse2_sigma1 xmm3, xmm2
    pshufd  xmm3, xmm3, 0x08
    paddd   xmm3, xmm1                  # the lower two words, done
    pshufd  xmm2, xmm3, 0x50            # W[t-2], of the upper two
    sha256_sse2_sigma1 xmm4, xmm2
    pshufd  xmm0, xmm4, 0x80
    paddd   xmm0, xmm1                  # the upper two, done
    movsd   xmm0, xmm3
    movaps  [rsp + 2*rax + 32], xmm0
.Lsha256_sse2_two_rounds:
    sha256_sse2_round 8, r10d, r11d, r8d, r9d, edx, ebp, ebx, ecx, r13d, r12d
    sha256_sse2_round 12, r9d, r10d, r11d, r8d, ecx, edx, ebp, ebx, r12d, r13d
    add     eax, 8
    test    al, al
    jns     .Lsha256_sse2_schedule
    cmp     al, 160
    je      .Lsha256_sse2_block_done
    call    .Lsha256_sse2_load
    jmp     .Lsha256_sse2_four_rounds

.Lsha256_sse2_block_done:
    pop     rdi
    push    rdi
    add     [rdi], r8d
    add     [rdi + 4], r9d
    add     [rdi + 8], r10d
    add     [rdi + 12], r11d
    add     [rdi + 16], ebx
    add     [rdi + 20], ecx
    add     [rdi + 24], edx
    add     [rdi + 28], ebp
    jmp     .Lsha256_sse2_block

.Lsha256_sse2_end:
    add     rsp, 16 + 280
    pop     r15
    pop     r14
    pop     r13
    pop     r12
    pop     rbp
    pop     rbx
    jmp     {clear}

# Puts the next four words of the next block where those of this one were.
.Lsha256_sse2_load:
    movups  xmm0, [r14 + 2*rax]
    movdqa  xmm1, xmm0                  # first the bytes of each half are swapped,
    psrlw   xmm1, 8
    psllw   xmm0, 8
    por     xmm0, xmm1
    pshuflw xmm0, xmm0, 0xb1            # then the halves of each word
    pshufhw xmm0, xmm0, 0xb1
    movaps  [rsp + 8 + 2*rax - 224], xmm0
    ret
.size sha256_compress_sse2, . - sha256_compress_sse2
.popsection
