// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the init and whoever watches its console agree on.
#![no_std]

/// Kernel parameter, and so environment variable, that names the [`step`].
pub const STEP: &str = "purgatory_step";

/// What the init of a boot does.
pub mod step {
    /// Loads the second kernel and starts it.
    pub const KEXEC: &str = "kexec";
    /// Loads the second kernel as a capture kernel and panics.
    pub const CRASH: &str = "crash";
    /// As [`KEXEC`], with the module put in and taken out before.
    pub const UNDO: &str = "undo";
    /// As [`CRASH`], on the second processor.
    pub const CRASH_ELSEWHERE: &str = "crash-elsewhere";
    /// Runs in the second kernel: verifies that it got what was loaded.
    pub const VERIFY: &str = "verify";
    /// Runs in the capture kernel: as [`VERIFY`], and reads the old memory.
    pub const CAPTURE: &str = "capture";
}

/// Kernel parameter: waits for [`GO`] between load and start, and asks the
/// kernel to say where it loaded each segment.
pub const HOLD: &str = "purgatory_hold";

/// Kernel parameter: the SHA-256 of [`PAYLOAD`], in hexadecimal.
pub const DIGEST: &str = "purgatory_digest";

/// Kernel parameter: the one by which the second kernel speaks as early as it can.
pub const EARLY: &str = "purgatory_early";

/// What ends a hold.
pub const GO: &str = "go\n";

/// The second kernel, its initramfs, and the file in it to be verified.
pub const KERNEL: &str = "/kernel";
/// See [`KERNEL`].
pub const INITRD: &str = "/initrd";
/// See [`KERNEL`].
pub const PAYLOAD: &str = "/payload";

/// The kernel module; it is put in before the load where there is one.
pub const MODULE: &str = "/purgatory.ko";
/// Said once it is in, by [`step::UNDO`], which then waits for [`GO`].
pub const INSERTED: &str = "init: the module is in";
/// Said once it is out; then it waits again.
pub const REMOVED: &str = "init: the module is out";

/// Kernel parameter: puts ramoops in with these parameters, says what it kept, and where
/// there was nothing, waits for [`GO`] before the load.
pub const RAMOOPS: &str = "purgatory_ramoops";
/// Modules of the kernel for that, each put in after the one before.
pub const PSTORE: [&str; 2] = ["/reed_solomon.ko", "/ramoops.ko"];
/// Said before where its first record is, by address and size.
pub const ZONE: &str = "init: the first record is ";
/// Said then.
pub const RECORDING: &str = "init: ramoops is in";
/// Said before the name of a file that it kept; what is in it follows.
pub const KEPT: &str = "init: kept ";
/// Said after all of them.
pub const KEPT_ALL: &str = "init: that was kept";

/// Said once the kernel accepted the second kernel.
pub const LOADED: &str = "init: loaded";
/// Said when it did not, followed by the error.
pub const REFUSED: &str = "init: kexec_file_load: ";
/// Said by a second kernel that found everything in place.
pub const VERIFIED: &str = "init: verified";
/// Said before giving up for any other reason.
pub const FAILED: &str = "init: failed: ";
