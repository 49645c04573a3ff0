//! `cargo xtask boot --kernel` on trial, as a user meets it, with a kernel that hangs.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

use crate::host::process::this_program;

/// A name, and what fails if it does not hold of a blob.
type Trial = (&'static str, fn(Option<&Path>) -> Result<()>);

/// All of them.
pub(crate) const ALL: [Trial; 3] = [
    ("boot refuses a machine that is too small", |blob| {
        let says = ["7 MiB of memory are too little", "give at least"];
        boot(blob, &["--memory", "7"], 2, &says)
    }),
    ("boot refuses a place where there is no memory", |blob| {
        let says = ["0x80000000", "give it more with --memory"];
        boot(blob, &["--at", "0x80000000"], 2, &says)
    }),
    (
        "boot ends a kernel that hangs, and shows what it said",
        |blob| {
            let says = ["QEMU still ran after 3 s", "talk.log\nharness: ready\n"];
            boot(blob, &["--timeout", "3"], 1, &says)
        },
    ),
];

/// Boots a kernel that hangs; the command must end with a code and say that.
fn boot(blob: Option<&Path>, options: &[&str], code: i32, says: &[&str]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let kernel = folder.path().join("linux");
    fs::write(&kernel, bzimage())?;
    let mut command = this_program();
    command
        .arg("boot")
        .arg("--kernel")
        .arg(kernel)
        .args(options);
    if let Some(blob) = blob {
        command.arg("--blob").arg(blob);
    }
    let output = command.output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let is_said = says.iter().all(|text| errors.contains(text));
    ensure!(
        output.status.code() == Some(code) && is_said,
        "{}, and it says\n{errors}",
        output.status
    );
    Ok(())
}

/// A bzImage whose 64-bit entry point jumps to itself.
fn bzimage() -> Vec<u8> {
    let mut file = vec![0; 0x800];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x1f1, &[1]); // setup_sects
    put(0x1fe, &[0x55, 0xaa]);
    put(0x201, &[0x66]); // the header ends at 0x268
    put(0x202, b"HdrS");
    put(0x206, &0x20f_u16.to_le_bytes());
    put(0x211, &[1]); // loadflags: high
    put(0x230, &0x20_0000_u32.to_le_bytes()); // kernel_alignment
    put(0x236, &[3]); // xloadflags: a 64-bit entry point, above 4 GiB too
    put(0x238, &255_u32.to_le_bytes()); // cmdline_size
    put(0x600, b"\xeb\xfe");
    file
}
