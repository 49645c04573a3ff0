//! `cargo xtask`: builds the purgatory, proves its promises, and boots it.
mod channel;
#[cfg_attr(not(test), expect(dead_code, reason = "the linux command is next"))]
mod gdb;
#[expect(dead_code, reason = "the boot and linux commands are next")]
mod qemu;
#[expect(dead_code, reason = "the boot and linux commands are next")]
mod qmp;

const fn main() {}
