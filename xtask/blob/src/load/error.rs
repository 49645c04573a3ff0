// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a load ends that does not succeed.

use std::fmt;

/// Why a blob cannot be loaded, or must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// The kernel refuses and logs this line.
    Refused {
        /// What it logs.
        log: String,
        /// What that is about.
        meaning: String,
    },
    /// The kernel refuses with no more than an error number.
    Silent {
        /// The number's name.
        errno: &'static str,
        /// Why.
        reason: String,
    },
    /// kexec-tools ends with these words.
    Died(String),
    /// The kernel does not notice: it reads, writes or jumps where it must not.
    Unchecked(String),
    /// The caller asked for a placement that the kernel would not choose.
    Misplaced(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { log, meaning } => {
                write!(formatter, "{log} (kernel log; {meaning})")
            }
            Self::Silent { errno, reason } => {
                write!(formatter, "{reason} ({errno}, and no kernel log)")
            }
            Self::Died(words) => write!(formatter, "{words} (and kexec ends)"),
            Self::Unchecked(reason) => write!(formatter, "{reason} (no loader checks this)"),
            Self::Misplaced(reason) => formatter.write_str(reason),
        }
    }
}

impl std::error::Error for LoadError {}
