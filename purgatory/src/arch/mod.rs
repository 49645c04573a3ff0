//! The seam: everything that knows what machine it runs on is below this module.
//!
//! An architecture provides these names and no others are visible outside:
//!
//! | name | what it is |
//! |---|---|
//! | `ADDRESS_LIMIT` | no memory lies at or above this physical address |
//! | `BACKENDS` | the hash backends it has code for |
//! | `prepare()` | catches exceptions from now on |
//! | `fastest_backend()` | the best backend this CPU runs, made ready to use |
//! | `compress(backend, state, blocks)` | that backend's compression function |
//! | `cycles()` | a counter of time, 0 where there is none |
//! | `cycles_per_microsecond()` | how fast it runs, if that can be told |
//! | `guarded(action)` | runs `action`; false if an exception ended it |
//! | `open_console()`, `console_byte(byte)` | the configured consoles |
//! | `stack_is_sound()` | whether our stack kept within its bounds |
//! | `jump()` | restores what was found at entry and starts the next kernel |
//! | `halt()`, `reset()`, `wait(seconds)` | what can be done instead |
//!
//! The symbol `purgatory_start` and the register image live there as well.

#[cfg(target_arch = "x86_64")]
pub mod x86_64;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub use x86_64::{
    ADDRESS_LIMIT, BACKENDS, compress, console_byte, cycles, cycles_per_microsecond,
    fastest_backend, guarded, halt, jump, open_console, prepare, reset, stack_is_sound, wait,
};

#[cfg(not(target_os = "none"))]
mod host;
#[cfg(not(target_os = "none"))]
pub use host::{
    ADDRESS_LIMIT, BACKENDS, compress, console_byte, cycles, cycles_per_microsecond,
    fastest_backend, guarded, halt, jump, open_console, prepare, reset, stack_is_sound, wait,
};

#[cfg(all(target_os = "none", not(target_arch = "x86_64")))]
compile_error!("this architecture has no module under purgatory/src/arch yet");
