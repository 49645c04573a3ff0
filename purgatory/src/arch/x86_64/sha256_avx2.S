# SHA-256 with AVX2, for the servers before the SHA extensions.
#
# The rounds are a chain of scalar instructions; the message schedule is not, so
# vectors do it: two blocks at once, one to each half of a ymm register, while
# the first block's rounds wait for each other. Its result, W + K for both
# blocks, waits on the stack, and the second block then only runs its rounds.
# The algorithm is FIPS 180-4, 6.2.2; to hide the schedule behind the rounds is
# the idea of Intel's "Fast SHA-256 Implementations on Intel Architecture
# Processors" (2012).
#
# No feature but AVX2 and BMI2 (rorx). Small before fast: both blocks share one
# loop, and the CPU, not this file, interleaves it with the schedule. The loop
# has four rounds, after which every word of the state is back in its register;
# two, with moves between them, would save 148 bytes, for 1 % on Zen 5 and a tenth
# of a block's cycles on a Haswell as llvm-mca models it.

# One round. bc holds b ^ c, ab receives a ^ b: the next round's b ^ c. The new
# a is left in d and the new e in h. The order is worth 2 % on Zen 5.
.macro sha256_avx2_round offset, a, b, c, d, e, f, g, h, ab, bc
    rorx    esi, \e, 25
    rorx    edi, \e, 11
    xor     esi, edi
    add     \h, [rsp + 4*rax + 16 - 128 + \offset]
    rorx    edi, \e, 6
    xor     esi, edi                    # Sigma1(e)
    mov     edi, \f
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
    rorx    \d, \a, 13
    rorx    edi, \a, 22
    xor     \d, edi
    rorx    edi, \a, 2
    xor     \d, edi                     # Sigma0(a)
    add     \d, \bc
.endm

.pushsection .rodata.sha256_compress_avx2, "a", @progbits
.balign 16
.Lsha256_avx2_byteswap:
    .byte   3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12
.popsection

# sha256_compress_avx2(rdi: state, rsi: blocks, rdx: count)
#
#   r8d-r11d ebx ecx edx ebp  state     ymm0-3     the last sixteen words of two blocks
#   esi edi    scratch                  ymm4-6     scratch
#   r12d r13d  a ^ b, b ^ c, in turn    ymm7       the next four words of both
#   r14  this block                     ymm8       byte swap
#   rax  place in the schedule          ymm9       zeros
#
# On the stack, from rsp: the state's address; how many blocks come after this
# one; W + K, in each 32 bytes four words of the first block and four of the second.
#
# rax counts a quarter of a byte offset into W + K, 8 for four words. Words are
# made at rax and used 32 before it, so al says what is to be done:
#
#   0 to 31     load the message
#   32 to 127   schedule, then four rounds
#   128 to 159  four rounds
#   160         the block's end
#
# Bit 2 set is the second block: its words lie 16 bytes up, and none are made.
.pushsection .text.sha256_compress_avx2, "ax", @progbits
.globl sha256_compress_avx2
.hidden sha256_compress_avx2
.type sha256_compress_avx2, @function
sha256_compress_avx2:
    test    rdx, rdx
    jnz     .Lsha256_avx2_begin
    ret
.Lsha256_avx2_begin:
    push    rbx
    push    rbp
    push    r12
    push    r13
    push    r14
    sub     rsp, 512
    push    rdx
    push    rdi
    lea     r14, [rsi - 64]
    vbroadcasti128 ymm8, [rip + .Lsha256_avx2_byteswap]
    vpxor   ymm9, ymm9, ymm9
    mov     al, 4                       # as after a pair of blocks
    jmp     .Lsha256_avx2_next_block

.Lsha256_avx2_block_done:
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
.Lsha256_avx2_next_block:
    mov     r8d, [rdi]
    mov     r9d, [rdi + 4]
    mov     r10d, [rdi + 8]
    mov     r11d, [rdi + 12]
    mov     ebx, [rdi + 16]
    mov     ecx, [rdi + 20]
    mov     edx, [rdi + 24]
    mov     ebp, [rdi + 28]
    mov     r12d, r9d
    xor     r12d, r10d
    add     r14, 64
    lea     rdi, [r14 + 64]
    dec     qword ptr [rsp + 8]
    jns     .Lsha256_avx2_more_blocks
    vzeroall                            # the next kernel gets no vector state from here
    add     rsp, 512 + 16
    pop     r14
    pop     r13
    pop     r12
    pop     rbp
    pop     rbx
    ret

.Lsha256_avx2_more_blocks:
    cmovz   rdi, r14                    # an odd last block is its own partner
    test    al, 4
    mov     al, 32 + 4
    jz      .Lsha256_avx2_four_rounds

    xor     eax, eax
.Lsha256_avx2_load:
    vmovdqu xmm7, [r14 + 2*rax]
    vinserti128 ymm7, ymm7, [rdi + 2*rax], 1
    vpshufb ymm7, ymm7, ymm8
    call    .Lsha256_avx2_keep
    add     al, 8
    cmp     al, 32
    jne     .Lsha256_avx2_load

.Lsha256_avx2_schedule:
    vpalignr ymm4, ymm1, ymm0, 4        # W[t-15]
    vpalignr ymm5, ymm3, ymm2, 4        # W[t-7]
    vpaddd  ymm7, ymm0, ymm5
    vpsrld  ymm5, ymm4, 3
    vpsrld  ymm6, ymm4, 7
    vpxor   ymm5, ymm5, ymm6
    vpsrld  ymm6, ymm6, 11
    vpxor   ymm5, ymm5, ymm6
    vpslld  ymm6, ymm4, 14
    vpxor   ymm5, ymm5, ymm6
    vpslld  ymm6, ymm6, 11
    vpxor   ymm5, ymm5, ymm6            # sigma0(W[t-15])
    vpaddd  ymm7, ymm7, ymm5
    vpunpckhdq ymm4, ymm3, ymm3         # W[t-2] twice, so that a 64-bit shift rotates it
    vpsrld  ymm5, ymm4, 10
    vpsrlq  ymm6, ymm4, 17
    vpsrlq  ymm4, ymm4, 19
    vpxor   ymm5, ymm5, ymm6
    vpxor   ymm5, ymm5, ymm4            # sigma1(W[t-2]) in the even words
    vshufps ymm5, ymm5, ymm9, 0x08
    vpaddd  ymm7, ymm7, ymm5            # the lower two words, done: W[t-2] of the upper two
    vpunpckldq ymm4, ymm7, ymm7
    vpsrld  ymm5, ymm4, 10
    vpsrlq  ymm6, ymm4, 17
    vpsrlq  ymm4, ymm4, 19
    vpxor   ymm5, ymm5, ymm6
    vpxor   ymm5, ymm5, ymm4
    vshufps ymm5, ymm9, ymm5, 0x80
    vpaddd  ymm7, ymm7, ymm5
    call    .Lsha256_avx2_keep
.Lsha256_avx2_four_rounds:
    sha256_avx2_round 0, r8d, r9d, r10d, r11d, ebx, ecx, edx, ebp, r13d, r12d
    sha256_avx2_round 4, r11d, r8d, r9d, r10d, ebp, ebx, ecx, edx, r12d, r13d
    sha256_avx2_round 8, r10d, r11d, r8d, r9d, edx, ebp, ebx, ecx, r13d, r12d
    sha256_avx2_round 12, r9d, r10d, r11d, r8d, ecx, edx, ebp, ebx, r12d, r13d
    add     al, 8
    test    al, 128 + 4
    jz      .Lsha256_avx2_schedule
    cmp     al, 160
    jb      .Lsha256_avx2_four_rounds
    jmp     .Lsha256_avx2_block_done

# Puts ymm7 behind the last sixteen words, and its W + K on the stack.
.Lsha256_avx2_keep:
    vmovdqa ymm0, ymm1
    vmovdqa ymm1, ymm2
    vmovdqa ymm2, ymm3
    vmovdqa ymm3, ymm7
    lea     rsi, [rip + {round_constants}]
    vbroadcasti128 ymm4, [rsi + 2*rax]
    vpaddd  ymm4, ymm4, ymm7
    vmovdqu [rsp + 4*rax + 8 + 16], ymm4
    ret
.size sha256_compress_avx2, . - sha256_compress_avx2
.popsection
