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
//! | `stack_is_sound()` | whether our stack kept within its bounds |
//! | `jump()` | restores what was found at entry and starts the next kernel |
//! | `stop()` | ends the trip; the machine stays here |
//!
//! The symbol `purgatory_start` and the register image live there as well.

#[cfg(target_arch = "x86_64")]
pub mod x86_64;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub use x86_64::machine::{
    ADDRESS_LIMIT, BACKENDS, compress, cycles, fastest_backend, jump, prepare, stack_is_sound, stop,
};

#[cfg(not(target_os = "none"))]
mod host;
#[cfg(not(target_os = "none"))]
pub use host::{
    ADDRESS_LIMIT, BACKENDS, compress, cycles, fastest_backend, jump, prepare, stack_is_sound, stop,
};

#[cfg(all(target_os = "none", not(target_arch = "x86_64")))]
compile_error!("this architecture has no module under purgatory/src/arch yet");
