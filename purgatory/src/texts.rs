// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every text that is said, in one table.

/// Gives each text a name.
macro_rules! texts {
    ($($name:ident $text:literal)+) => {
        /// Texts, by their places in [`TEXTS`].
        #[derive(Clone, Copy)]
        #[repr(u8)]
        pub(crate) enum Text { $($name),+ }

        /// What they say; `%` and a letter stand for a number (print.rs).
        pub const TEXTS: &[&str] = &[$($text),+];
    };
}

texts! {
    Refused "purgatory: refused: "
    Mismatch "sha256 mismatch"
    TableWiped "region table wiped"
    BadRegion "region %u cannot be memory: "
    StartsAtZero "it starts at 0"
    Wraps "start + length wraps"
    TooHigh "it ends above any address"
    Ours "it is the purgatory's own"
    EntryAstray "the next kernel's entry 0x%x is in no region"
    ArgumentAstray "the next kernel's argument 0x%x is in no region"
    Damaged "purgatory: refused: its own code is damaged\n"
    Overflowed "purgatory: refused: its own stack overflowed\n"
    Computed "\n  computed %w%w%w%w"
    Expected "\n  expected %w%w%w%w"
    Effort "\n  %s, %u bytes, %u cycles"
    Agrees "; %s agrees"
    Doubted "\n  %s "
    DoubtedFault "ended in an exception"
    DoubtedDigest "computed %w%w%w%w"
    Region "\n  region %u 0x%x 0x%x"
    Fingerprints "\n  sha256"
    Fingerprint " %u "
    Unreadable "unreadable"
    NewLine "\n"

    Exception "purgatory: exception %u %s, error 0x%x, at "
    InPurgatory "purgatory_start+0x%x"
    Elsewhere "0x%x"
    About ", address 0x%x"
    Register "  %s %w"

    Halted "purgatory: halted\n"
    Resetting "purgatory: resetting\n"
    ResettingIn "purgatory: resetting in %u s\n"

    Verifying "purgatory: verifying\n"
    Progress "purgatory: %u MiB verified\n"
    Verified "purgatory: verified %u bytes with %s in "
    Speed "%u ms, %u MB/s"
    Cycles "%u cycles"
    Entering ", entering 0x%x\n"
    Nmis "purgatory: NMIs: %u\n"
    Suspects "purgatory: backends that do not work: 0x%x\n"
    Overruled "purgatory: verified, by portable code only"
    NoRamoops "purgatory: no ramoops\n"
}

/// What they share, for [`print`](crate::print) to pack.
pub(crate) const WORDS: &[&str] = &[
    "purgatory: ",
    "purgatory",
    "region",
    "the next kernel's ",
    "verified",
    "exception",
    "sha256",
    "start",
    "#..",
    "\n  ",
    ", ",
    ": ",
    "%u ",
    "in",
    "re",
    "ed",
    "en",
    "er",
    "s ",
    "t ",
    "e ",
];
