# SPDX-License-Identifier: MIT OR Apache-2.0
# The way in, the way out, and the exception stubs of x86_64.
#
# Everything is rip-relative: the loader may put the blob at any page.

# ---------------------------------------------------------------------------
# purgatory_start
#   on entry   long mode, CPL 0, flat segments, IF = 0; RSP points into a page
#              that is not ours; all other registers are 0 and unused
#   on exit    never returns; RSP = stack_end, zeroed memory zeroed, the
#              descriptor-table register image of the IDT found at {saved_idt},
#              RDI = 0 if text and constants are those that were built
#
# Nobody hashes them but we: a checksum, over all words from here to the one that
# holds it, each step of which can be undone, so that no change of one word is
# lost (`checksum` in abi.rs). What is executed until {run} has looked at it, with
# the tables that a report takes, cannot check itself.
# ---------------------------------------------------------------------------
    .section .text.start, "ax", @progbits
    .globl purgatory_start
    .type purgatory_start, @function
purgatory_start:
    cld
    cli
    lea rsp, [rip + stack_end]
    # The loader may hand over garbage behind the file's bytes: Linux 7.2 and
    # 7.3 do not clear the tail of a CMA segment (kimage_load_cma_segment).
    lea rdi, [rip + zeroed_start]
    lea rcx, [rip + zeroed_end]
    sub rcx, rdi
    shr ecx, 3
    xor eax, eax
    rep stosq
    lea rdi, [rip + stack_start]
    mov rax, {canary}
    mov [rdi], rax
    sidt [rip + {saved_idt}]
    lea rsi, [rip + purgatory_start]
    lea rcx, [rip + {checksum}]
    sub rcx, rsi
    shr ecx, 3
    xor edi, edi
1:  lodsq
    xor rdi, rax
    rol rdi, {rotation}
    imul rdi, rdi, {factor}
    dec ecx
    jnz 1b
    xor rdi, [rsi]
    xor ebp, ebp
    call {run}
    ud2
    .size purgatory_start, . - purgatory_start

# ---------------------------------------------------------------------------
# 32 exception stubs, 4 bytes each, and their common tail.
#   On the stack when {exception} is called, what `Frame` describes: 15
#   registers, vector, error code (0 where the CPU pushes none), then the CPU's
#   own frame. The CPU aligns RSP to 16 before its 5 words; 17 more keep it so.
# Right behind the entry, so that all of them lie in one page (tables.rs).
# Vectors with an error code: AMD64 manual volume 2, table 8-1.
# ---------------------------------------------------------------------------
    .balign 16
x86_exception_stubs:
    .set vector, 0
    .rept 32
    push vector
    .if (0x60227d00 >> vector) & 1
    jmp x86_exception
    .else
    jmp x86_exception_without_error
    .endif
    .set vector, vector + 1
    .endr
    .org x86_exception_stubs + 128      # an error where a jump became a long one
x86_exception_without_error:
    push [rsp]                  # the vector again, below the error code
    and qword ptr [rsp + 8], 0
x86_exception:
    cld
    push r15
    push r14
    push r13
    push r12
    push r11
    push r10
    push r9
    push r8
    push rbp
    push rdi
    push rsi
    push rdx
    push rcx
    push rbx
    push rax
    mov rdi, rsp
    call {exception}
    pop rax
    pop rbx
    pop rcx
    pop rdx
    pop rsi
    pop rdi
    pop rbp
    pop r8
    pop r9
    pop r10
    pop r11
    pop r12
    pop r13
    pop r14
    pop r15
    add rsp, 16
    iretq

# ---------------------------------------------------------------------------
# x86_jump: starts the next kernel.
#   on entry   the descriptor-table register image at {saved_idt} is the one
#              found at entry, {handoff} holds 16 registers and rip
#   on exit    all 16 registers loaded, IDTR as found, IF = DF = 0
# The IDT goes last: until then a fault is still caught.
# ---------------------------------------------------------------------------
    .section .text.x86_jump, "ax", @progbits
    .type x86_jump, @function
x86_jump:
    lea r15, [rip + {handoff}]
    mov rax, [r15]
    mov rcx, [r15 + 8]
    mov rdx, [r15 + 16]
    mov rbx, [r15 + 24]
    mov rsp, [r15 + 32]
    mov rbp, [r15 + 40]
    mov rsi, [r15 + 48]
    mov rdi, [r15 + 56]
    mov r8,  [r15 + 64]
    mov r9,  [r15 + 72]
    mov r10, [r15 + 80]
    mov r11, [r15 + 88]
    mov r12, [r15 + 96]
    mov r13, [r15 + 104]
    mov r14, [r15 + 112]
    mov r15, [r15 + 120]
    lidt [rip + {saved_idt}]
    jmp [rip + {handoff} + 128]
    .size x86_jump, . - x86_jump

# ---------------------------------------------------------------------------
# guarded_call(function, argument): guard.rs
#   SysV. `function` is called with `argument`; when it faults, the handler
#   resumes at x86_guarded_fault on the stack saved here. Calls nest.
#   clobbers what a call clobbers
# ---------------------------------------------------------------------------
    .section .text.guarded_call, "ax", @progbits
    .type guarded_call, @function
guarded_call:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    push [rip + {resume}]
    mov [rip + {resume}], rsp
    mov rax, rdi
    mov rdi, rsi
    call rax
x86_guarded_fault:
    pop [rip + {resume}]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret
    .size guarded_call, . - guarded_call
