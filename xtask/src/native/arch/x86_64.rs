// SPDX-License-Identifier: MIT OR Apache-2.0
//! x86-64: which backends it runs, and its limit.

use std::arch::{asm, global_asm, is_x86_feature_detected};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{io, mem, ptr};

use purgatory::abi::Backend;

/// What hides the SHA extensions from OpenSSL: bit 29 of EBX of CPUID leaf 7, the
/// second word of a variable (`OPENSSL_ia32cap(3)`).
pub(crate) const WITHOUT_SHA: Option<(&str, &str)> = Some(("OPENSSL_ia32cap", ":~0x20000000"));

/// Reads what OpenSSL believes of them: `CPUINFO: OPENSSL_ia32cap=0x…:0x…`.
pub(crate) fn has_sha(cpu: &str) -> Option<bool> {
    let words = cpu.split_once("OPENSSL_ia32cap=")?.1;
    let second = words.split([':', ' ']).nth(1)?;
    let second = u64::from_str_radix(second.strip_prefix("0x")?, 16).ok()?;
    Some(second & 1 << 29 != 0)
}

/// Tells whether this CPU runs a backend; the blob itself takes the caller's word.
pub(crate) fn runs_here(backend: Backend) -> bool {
    match backend {
        Backend::Portable | Backend::Sse2 => true,
        Backend::ShaNi => {
            is_x86_feature_detected!("sha")
                && is_x86_feature_detected!("ssse3")
                && is_x86_feature_detected!("sse4.1")
        }
        Backend::Zknh | Backend::Zvknh => false,
    }
}

/// A function that returns 0: `xor eax, eax` and `ret`.
pub(crate) const MATCHES: &[u8] = &[0x31, 0xc0, 0xc3];

/// Returns what takes as long as no SHA code for this CPU can avoid.
pub(crate) fn limit() -> Option<fn(u64)> {
    runs_here(Backend::ShaNi).then_some(chain)
}

/// Runs the chain of a message of `bytes` bytes and its padding: each `sha256rnds2`
/// takes the result of the one before it, 32 of them a block. It hashes nothing; what
/// real code does besides has to hide behind it.
fn chain(bytes: u64) {
    let blocks = (bytes + 9).div_ceil(64);
    // SAFETY: registers only; `limit` has asked the CPU for its SHA extensions.
    unsafe {
        asm!(
            // With what others left in them, a Sapphire Rapids takes 1.2 times as long.
            "pxor xmm0, xmm0",
            "pxor xmm1, xmm1",
            "pxor xmm2, xmm2",
            "2:",
            ".rept 16",
            "sha256rnds2 xmm1, xmm2, xmm0",
            "sha256rnds2 xmm2, xmm1, xmm0",
            ".endr",
            "dec {blocks}",
            "jnz 2b",
            blocks = inout(reg) blocks => _,
            out("xmm0") _,
            out("xmm1") _,
            out("xmm2") _,
            options(nomem, nostack),
        );
    }
}

/// What a damaged blob may end in.
const SIGNALS: [i32; 6] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGTRAP,
    libc::SIGVTALRM,
];

/// How much time of the processor a call may take, and at most twice that.
const PATIENCE: Duration = Duration::from_millis(50);

/// How often a call began or ended, and what that was when the time was last looked at.
static CALLS: AtomicU64 = AtomicU64::new(0);
static SEEN: AtomicU64 = AtomicU64::new(0);
/// The one that was last abandoned.
static LEFT: AtomicU64 = AtomicU64::new(0);

/// The stack pointer of the call that is under way.
#[repr(transparent)]
struct Resume(UnsafeCell<u64>);

// SAFETY: only `campaign_call` writes it, which `caught` says one thread calls.
unsafe impl Sync for Resume {}

static RESUME: Resume = Resume(UnsafeCell::new(0));

global_asm!(
    ".pushsection .text.campaign_call, \"ax\", @progbits",
    "campaign_call:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "sub rsp, 8",
    "mov [rip + {resume}], rsp",
    "mov rax, rdi",
    "mov edi, esi",
    "call rax",
    "mov eax, eax",
    "campaign_landed:",
    "cld",
    "mov rsp, [rip + {resume}]",
    "add rsp, 8",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    ".popsection",
    resume = sym RESUME,
);

unsafe extern "C" {
    fn campaign_call(function: extern "C" fn(u32) -> u32, argument: u32) -> u64;
    static campaign_landed: u8;
}

/// Goes on behind the call, with the number of the signal above 32 bits.
extern "C" fn handle(signal: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let calls = CALLS.load(Ordering::Relaxed);
    let is_same = SEEN.swap(calls, Ordering::Relaxed) == calls;
    if signal == libc::SIGVTALRM && (calls.is_multiple_of(2) || !is_same) {
        return;
    }
    // What faults again, or outside of a call, has our own stack or code on its conscience.
    if calls.is_multiple_of(2) || LEFT.swap(calls, Ordering::Relaxed) == calls {
        // SAFETY: ends the process, whatever state it is in.
        unsafe { libc::abort() };
    }
    // SAFETY: the kernel passes the context of the thread that it interrupted.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let registers = &mut context.uc_mcontext.gregs;
    registers[libc::REG_RIP as usize] = (&raw const campaign_landed).addr() as i64;
    registers[libc::REG_RAX as usize] = i64::from(signal) << 32;
}

/// Makes [`caught`] catch, in this process, which must have one thread.
pub(crate) fn catch_faults() -> io::Result<()> {
    let checked = |result: i32| match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    let stack = libc::stack_t {
        ss_sp: Box::leak(vec![0_u8; 64 << 10].into_boxed_slice())
            .as_mut_ptr()
            .cast(),
        ss_flags: 0,
        ss_size: 64 << 10,
    };
    // SAFETY: the stack stays where it is.
    checked(unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) })?;
    // SAFETY: all zeros is a value of this type.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = handle as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    for signal in SIGNALS {
        // SAFETY: `handle` has the type that SA_SIGINFO asks for, and touches only the context.
        checked(unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) })?;
    }
    let patience = libc::timeval {
        tv_sec: 0,
        tv_usec: PATIENCE.as_micros() as i64,
    };
    let timer = libc::itimerval {
        it_interval: patience,
        it_value: patience,
    };
    // SAFETY: reads the value; what it raises is handled from here on.
    checked(unsafe { libc::setitimer(libc::ITIMER_VIRTUAL, &raw const timer, ptr::null_mut()) })
}

/// Calls a function that may end in a signal or not at all: `Err` is the signal's number.
/// One thread only, after [`catch_faults`].
pub(crate) fn caught(function: extern "C" fn(u32) -> u32, argument: u32) -> Result<u32, i32> {
    CALLS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: what the function does not finish is abandoned: nothing of ours lies above
    // it on the stack, and callee-saved registers are restored.
    let returned = unsafe { campaign_call(function, argument) };
    CALLS.fetch_add(1, Ordering::Relaxed);
    match (returned >> 32) as i32 {
        0 => Ok(returned as u32),
        signal => Err(signal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_openssl_believes() {
        let told = "CPUINFO: OPENSSL_ia32cap=0x7ffaf3ffffebffff:0x29c6fbf";
        assert_eq!(has_sha(told), Some(false));
        let told = "CPUINFO: OPENSSL_ia32cap=0x7f:0x209c01a9 env:0:~0x20000000";
        assert_eq!(has_sha(told), Some(true));
        assert_eq!(has_sha("CPUINFO: N/A"), None);
    }
}
