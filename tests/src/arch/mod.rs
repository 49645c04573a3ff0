//! What only the guests of one architecture know.

#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod x86_64;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub use x86_64::{exit_with, memory, say};

#[cfg(all(target_os = "none", not(target_arch = "x86_64")))]
compile_error!("this architecture has no module under tests/src/arch yet");
