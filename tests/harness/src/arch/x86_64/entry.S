# SPDX-License-Identifier: MIT OR Apache-2.0
# The way in (PVH), and the way out (the control page).

# ---------------------------------------------------------------------------
# The PVH note: QEMU enters pvh_start in 32-bit protected mode, paging off,
# ebx = physical address of struct hvm_start_info.
# ---------------------------------------------------------------------------
    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 8, 18                      # name, descriptor, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_start

    .section .text.start, "ax", @progbits
    .code32
    .globl pvh_start
pvh_start:
    cld
    mov esp, offset stack_top
    # hvm_start_info: number of modules at 12, their list at 16; a module's
    # address is its first word. The plan's flags are its second quadword.
    xor edx, edx
    cmp dword ptr [ebx + 12], 0
    je 1f
    mov esi, [ebx + 16]
    mov esi, [esi]
    mov edx, [esi + 8]
1:  mov eax, 0x20                       # CR4.PAE
    mov ecx, offset early_pml4
    test edx, 1                         # FIVE_LEVELS
    jz 2f
    or eax, 0x1000                      # CR4.LA57
    mov ecx, offset early_pml5
2:  test edx, 8                         # MACHINE_CHECKS
    jz 3f
    or eax, 0x40                        # CR4.MCE
3:  mov cr4, eax
    mov cr3, ecx
    mov ecx, 0xc0000080                 # EFER: SCE, LME, NXE
    rdmsr
    or eax, 0x901
    wrmsr
    mov eax, 0x80000033                 # CR0: PG, NE, ET, MP, PE
    mov cr0, eax
    lgdt [boot_gdt_pointer]
    ljmp 0x10, offset long_start
    .code64
long_start:
    mov eax, 0x18
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    mov edi, ebx
    xor ebp, ebp
    call {main}
    ud2

    .section .data.boot, "aw", @progbits
    .balign 8
boot_gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff
boot_gdt_pointer:
    .word 31
    .long boot_gdt

    .balign 4096
early_pml5:
    .quad early_pml4 + 3
    .fill 511, 8, 0
early_pml4:
    .quad early_pdpt + 3
    .fill 511, 8, 0
early_pdpt:
    .quad early_pd + 3, early_pd + 0x1003, early_pd + 0x2003, early_pd + 0x3003
    .fill 508, 8, 0
early_pd:
    .set page, 0
    .rept 2048
    .quad (page << 21) + 0x83
    .set page, page + 1
    .endr

# ---------------------------------------------------------------------------
# stay_in_nmi(): sends itself two NMIs and returns in the handler of the first,
#   without IRET; the second waits. No other vector has a gate.
# ---------------------------------------------------------------------------
    .section .text.nmi, "ax", @progbits
    .globl stay_in_nmi
stay_in_nmi:
    lea rax, [rip + 2f]
    lea rdx, [rip + nmi_idt + 32]
    mov [rdx], ax
    mov word ptr [rdx + 2], 0x10
    mov word ptr [rdx + 4], 0x8e00
    shr rax, 16
    mov [rdx + 6], ax
    shr rax, 16
    mov [rdx + 8], eax
    lidt [rip + nmi_idt_pointer]
    # Interrupt command register: NMI, asserted, to APIC 0 (Intel SDM 3, 11.6.1).
    mov ecx, 0xfee00000
    mov dword ptr [rcx + 0x310], 0
    mov rdx, rsp
    mov dword ptr [rcx + 0x300], 0x4400
1:  hlt
    jmp 1b
2:  mov rsp, rdx
    mov dword ptr [rcx + 0x300], 0x4400
    ret

    .section .data.nmi, "aw", @progbits
    .balign 8
nmi_idt:
    .fill 6, 8, 0
nmi_idt_pointer:
    .word 47
    .quad nmi_idt

    .section .bss.boot, "aw", @nobits
    .balign 16
    .skip 0x8000
stack_top:

# ---------------------------------------------------------------------------
# The control page, laid out as the kernel's: code at its low end, on 7.x the
# tables behind it, the stack at its high end.
#
# leave(entry, debug_idt, direction, segments)
#   on exit   GPRs 0; RSP = end of this page - 8, [RSP] = 0; arrival by RET;
#             GDTR and IDTR of limit 0, or the tables below; RFLAGS 0x46 [+DF]
# ---------------------------------------------------------------------------
    .section .control, "awx", @progbits
    .balign 4096
    .globl control_page
control_page:
leave:
    lea rsp, [rip + control_page + 4096 - 16]
    mov [rsp], rdi
    mov qword ptr [rsp + 8], 0
    lgdt [rip + control_gdt_pointer]
    push 0x10
    lea rax, [rip + 1f]
    push rax
    retfq
1:  mov eax, 0x18
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    test ecx, ecx
    jz 5f
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
5:  test esi, esi
    jnz 2f
    lgdt [rip + nothing]
    lidt [rip + nothing]
    jmp 3f
2:  lidt [rip + control_idt_pointer]
3:  push 0
    popfq
    test edx, edx
    jz 4f
    std
4:  mov eax, 0
    mov ebx, 0
    mov ecx, 0
    mov edx, 0
    mov esi, 0
    mov edi, 0
    mov ebp, 0
    mov r8d, 0
    mov r9d, 0
    mov r10d, 0
    mov r11d, 0
    mov r12d, 0
    mov r13d, 0
    mov r14d, 0
    xor r15d, r15d
    ret

    .globl stray_handler
stray_handler:
    mov dx, {exit_port}
    mov eax, {stray_code}
    out dx, eax
    hlt
    jmp stray_handler

    .balign 16
    .globl control_gdt
control_gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff
    .globl control_idt
control_idt:
    .fill 32, 8, 0
    .globl control_gdt_pointer
control_gdt_pointer:
    .word 31
    .quad control_gdt
    .globl control_idt_pointer
control_idt_pointer:
    .word 0xff
    .quad control_idt
nothing:
    .word 0
    .quad 0
    # Fails to assemble when the upper half is no longer free for the stack.
    .org control_page + 2048
    .skip 2048

# ---------------------------------------------------------------------------
# dirty_sse(), dirty_avx(): vector_pattern(n) into every lane of register n.
# ---------------------------------------------------------------------------
    .section .text.dirty, "ax", @progbits
    .globl dirty_sse
dirty_sse:
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    mov rax, {pattern} + (\n << 32) + \n
    movq xmm\n, rax
    punpcklqdq xmm\n, xmm\n
    .endr
    ret
    .globl dirty_avx
dirty_avx:
    call dirty_sse
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    vinsertf128 ymm\n, ymm\n, xmm\n, 1
    .endr
    ret
