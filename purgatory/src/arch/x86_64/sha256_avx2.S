# SHA-256 with AVX2, for the servers before the SHA extensions.
#
# The rounds are a chain of scalar instructions; the message schedule is not, so
# vectors do it: two blocks at once, one to each half of a ymm register, in the
# gaps that the first block's rounds leave. Its result, W + K for both blocks,
# waits on the stack, and the second block then only runs its rounds. The
# algorithm is FIPS 180-4, 6.2.2; to hide the schedule between the rounds is the
# idea of Intel's "Fast SHA-256 Implementations on Intel Architecture
# Processors" (2012).
#
# No feature but AVX2 and BMI2 (rorx). The CPUs this is for take four
# instructions a cycle, so a round is as few of them as it can be, 24; shorter
# dependency chains cost two to four more. Their order is worth 2 % on Zen 5.

# One round. bc holds b ^ c, ab receives a ^ b: the next round's b ^ c. The new
# a is left in h and the new e in d.
.macro sha256_avx2_round offset, a, b, c, d, e, f, g, h, ab, bc
    rorx    esi, \e, 25
    rorx    edi, \e, 11
    xor     esi, edi
    add     \h, [r14 + \offset]
    rorx    edi, \e, 6
    xor     esi, edi                    # Sigma1(e)
    mov     edi, \f
    xor     edi, \g
    and     edi, \e
    mov     \ab, \a
    xor     edi, \g                     # Ch(e, f, g)
    xor     \ab, \b
    add     \h, edi
    rorx    edi, \a, 13
    add     \h, esi
    add     \d, \h
    and     \bc, \ab
    xor     \bc, \b                     # Maj(a, b, c) = ((a ^ b) & (b ^ c)) ^ b
    rorx    esi, \a, 22
    xor     esi, edi
    add     \h, \bc
    rorx    edi, \a, 2
    xor     esi, edi                    # Sigma0(a)
    add     \h, esi
.endm

# Four rounds on group `index` of W + K. If w0 to w3 are given, the oldest to
# the newest four groups of W, the next group is made meanwhile: it takes w2's
# place, w2 takes w0's, and its W + K goes to the stack four groups on.
.macro sha256_avx2_rounds index, a, b, c, d, e, f, g, h, w0, w1, w2, w3
  .ifnb \w0
    vpalignr ymm4, \w1, \w0, 4          # W[t-15]
    vpalignr ymm5, \w3, \w2, 4          # W[t-7]
    vpsrld  ymm6, ymm4, 7
    vpaddd  ymm8, \w0, ymm5
    vpsrld  ymm5, ymm4, 3
    vpslld  ymm7, ymm4, 14
    vpxor   ymm5, ymm5, ymm6
    vpslld  ymm4, ymm4, 25
  .endif
    sha256_avx2_round 32*\index, \a, \b, \c, \d, \e, \f, \g, \h, ebp, r12d
  .ifnb \w0
    vpsrld  ymm6, ymm6, 11
    vpxor   ymm5, ymm5, ymm7
    vpxor   ymm4, ymm4, ymm6
    vpxor   ymm5, ymm5, ymm4            # sigma0(W[t-15])
    vpshufd ymm4, \w3, 0xfa             # W[t-2] twice, so that a 64-bit shift rotates it
    vpaddd  ymm8, ymm8, ymm5
    vpsrld  ymm5, ymm4, 10
    vpsrlq  ymm6, ymm4, 17
  .endif
    sha256_avx2_round 32*\index + 4, \h, \a, \b, \c, \d, \e, \f, \g, r12d, ebp
  .ifnb \w0
    vpsrlq  ymm4, ymm4, 19
    vpxor   ymm5, ymm5, ymm6
    vpxor   ymm5, ymm5, ymm4            # sigma1(W[t-2])
    vpshufb ymm5, ymm5, ymm9
    vpaddd  ymm8, ymm8, ymm5            # the lower two words, done: W[t-2] of the upper two
    vpshufd ymm4, ymm8, 0x50
    vpsrld  ymm5, ymm4, 10
    vpsrlq  ymm6, ymm4, 17
  .endif
    sha256_avx2_round 32*\index + 8, \g, \h, \a, \b, \c, \d, \e, \f, ebp, r12d
  .ifnb \w0
    vpsrlq  ymm4, ymm4, 19
    vpxor   ymm5, ymm5, ymm6
    vpxor   ymm5, ymm5, ymm4
    vpshufb ymm5, ymm5, ymm10
    vmovdqa \w0, \w2
    vpaddd  \w2, ymm8, ymm5
    vbroadcasti128 ymm4, [r13 + 16*\index]
    vpaddd  ymm4, ymm4, \w2
    vmovdqa [r14 + 32*\index + 128], ymm4
  .endif
    sha256_avx2_round 32*\index + 12, \f, \g, \h, \a, \b, \c, \d, \e, r12d, ebp
.endm

.pushsection .rodata.sha256_compress_avx2, "a", @progbits
.balign 16
.Lsha256_avx2_byteswap:
    .byte   3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12
# Even words to the lower or the upper half, zeros elsewhere.
.Lsha256_avx2_to_lower:
    .byte   0, 1, 2, 3, 8, 9, 10, 11, 128, 128, 128, 128, 128, 128, 128, 128
.Lsha256_avx2_to_upper:
    .byte   128, 128, 128, 128, 128, 128, 128, 128, 0, 1, 2, 3, 8, 9, 10, 11
.popsection

# sha256_compress_avx2(rdi: state, rsi: blocks, rdx: count)
#
#   eax ebx ecx edx r8d-r11d  state     ymm0-3     sixteen message words of two blocks
#   esi edi   scratch                   ymm4-8     scratch
#   ebp r12d  a ^ b, b ^ c, in turn     ymm9-10    shuffles to the lower and to the upper words
#   r13  constants of the next W        ymm11      byte swap
#   r14  W + K of these rounds
#   r15  this block
#
# On the stack, from rsp: W + K as sixteen groups of four words of the first
# block and four of the second; the caller's rsp; the state's address; the end
# of the blocks.
.pushsection .text.sha256_compress_avx2, "ax", @progbits
.globl sha256_compress_avx2
.hidden sha256_compress_avx2
.type sha256_compress_avx2, @function
.balign 64
sha256_compress_avx2:
    test    rdx, rdx
    jz      .Lsha256_avx2_return
    push    rbx
    push    rbp
    push    r12
    push    r13
    push    r14
    push    r15
    mov     rax, rsp
    and     rsp, -32
    sub     rsp, 544
    mov     [rsp + 512], rax
    mov     [rsp + 520], rdi
    shl     rdx, 6
    add     rdx, rsi
    mov     [rsp + 528], rdx
    mov     r15, rsi
    vbroadcasti128 ymm9, [rip + .Lsha256_avx2_to_lower]
    vbroadcasti128 ymm10, [rip + .Lsha256_avx2_to_upper]
    vbroadcasti128 ymm11, [rip + .Lsha256_avx2_byteswap]
    mov     eax, [rdi]
    mov     ebx, [rdi + 4]
    mov     ecx, [rdi + 8]
    mov     edx, [rdi + 12]
    mov     r8d, [rdi + 16]
    mov     r9d, [rdi + 20]
    mov     r10d, [rdi + 24]
    mov     r11d, [rdi + 28]

.Lsha256_avx2_pair:
    lea     rsi, [r15 + 64]
    cmp     rsi, [rsp + 528]
    cmove   rsi, r15                    # an odd last block is its own partner
    lea     r13, [rip + {round_constants}]
    mov     r14, rsp
  .irp i, 0, 1, 2, 3
    vmovdqu xmm\i, [r15 + 16*\i]
    vinserti128 ymm\i, ymm\i, [rsi + 16*\i], 1
    vpshufb ymm\i, ymm\i, ymm11
    vbroadcasti128 ymm4, [r13 + 16*\i]
    vpaddd  ymm4, ymm4, ymm\i
    vmovdqa [r14 + 32*\i], ymm4
  .endr
    add     r13, 64
    mov     r12d, ebx
    xor     r12d, ecx
.balign 32
.Lsha256_avx2_scheduling_rounds:
    sha256_avx2_rounds 0, eax, ebx, ecx, edx, r8d, r9d, r10d, r11d, ymm0, ymm1, ymm2, ymm3
    sha256_avx2_rounds 1, r8d, r9d, r10d, r11d, eax, ebx, ecx, edx, ymm1, ymm0, ymm3, ymm2
    add     r13, 32
    add     r14, 64
    lea     rsi, [rsp + 384]
    cmp     r14, rsi
    jne     .Lsha256_avx2_scheduling_rounds
.balign 32
.Lsha256_avx2_plain_rounds:
    sha256_avx2_rounds 0, eax, ebx, ecx, edx, r8d, r9d, r10d, r11d
    sha256_avx2_rounds 1, r8d, r9d, r10d, r11d, eax, ebx, ecx, edx
    add     r14, 64
    lea     rsi, [rsp + 512]
    cmp     r14, rsi
    jb      .Lsha256_avx2_plain_rounds

    mov     r13, [rsp + 520]
    add     eax, [r13]
    mov     [r13], eax
    add     ebx, [r13 + 4]
    mov     [r13 + 4], ebx
    add     ecx, [r13 + 8]
    mov     [r13 + 8], ecx
    add     edx, [r13 + 12]
    mov     [r13 + 12], edx
    add     r8d, [r13 + 16]
    mov     [r13 + 16], r8d
    add     r9d, [r13 + 20]
    mov     [r13 + 20], r9d
    add     r10d, [r13 + 24]
    mov     [r13 + 24], r10d
    add     r11d, [r13 + 28]
    mov     [r13 + 28], r11d
    add     r15, 64
    cmp     r15, [rsp + 528]
    je      .Lsha256_avx2_end
    cmp     r14, rsi                    # the second block's words end 16 bytes later
    jne     .Lsha256_avx2_pair
    lea     r14, [rsp + 16]
    mov     r12d, ebx
    xor     r12d, ecx
    jmp     .Lsha256_avx2_plain_rounds

.Lsha256_avx2_end:
    vzeroall                            # the next kernel gets no vector state from here
    mov     rsp, [rsp + 512]
    pop     r15
    pop     r14
    pop     r13
    pop     r12
    pop     rbp
    pop     rbx
.Lsha256_avx2_return:
    ret
.size sha256_compress_avx2, . - sha256_compress_avx2
.popsection
