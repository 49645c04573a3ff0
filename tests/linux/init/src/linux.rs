// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps, one per boot.
use std::env;
use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io::{self, BufRead as _, Read as _, stdin};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use linux_init as agreed;
use linux_init::step;
use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, delete_module, finit_module, reboot};
use rustix::termios::tcdrain;
use rustix::thread::{CpuSet, sched_setaffinity};
use sha2::{Digest as _, Sha256};

/// `KEXEC_FILE_ON_CRASH` and `KEXEC_FILE_DEBUG` of include/uapi/linux/kexec.h.
const ON_CRASH: libc::c_ulong = 2;
const DEBUG: libc::c_ulong = 8;

/// `libc` does not name it everywhere: the table that newer architectures share
/// (`include/uapi/asm-generic/unistd.h`), or x86's.
const KEXEC_FILE_LOAD: libc::c_long = match libc::SYS_kexec_load {
    104 => 294,
    _ => 320,
};

/// What the second kernel's command line has besides the step, and what makes its first
/// line its first breath.
const SECOND: &str = "console=ttyS0 panic=-1";

/// Where the kernel shows what was kept over a reset.
const PSTORE: &str = "/sys/fs/pstore";

/// What the kernel prints on its console.
const LEVEL: &str = "/proc/sys/kernel/printk";

/// What the module is told: that its purgatory speaks shows who verified.
const PARAMETERS: &CStr = c"verbose=1";

/// Runs the step of this boot; a success does not return.
pub(crate) fn run() {
    if let Err(error) = run_step() {
        println!("{}{error:#}", agreed::FAILED);
    }
    // A reset: the second kernel's power-off is the only good end.
    let error = reboot(RebootCommand::Restart);
    println!("{}reboot: {error:?}", agreed::FAILED);
}

fn run_step() -> Result<()> {
    for (kind, target) in [("proc", "/proc"), ("sysfs", "/sys")] {
        mount(kind, target, kind, MountFlags::empty(), None).with_context(|| kind)?;
    }
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let step = env::var(agreed::STEP).context(agreed::STEP)?;
    println!("init: {step} in Linux {}", release.trim());
    if let Ok(parameters) = env::var(agreed::RAMOOPS) {
        let has_kept = ramoops(&parameters)?;
        // This is the boot after the reset.
        if has_kept && step != step::VERIFY {
            return reboot(RebootCommand::PowerOff).context("power-off");
        }
    }
    match step.as_str() {
        step::KEXEC => {
            insert()?;
            load(step::VERIFY, 0)?;
            reboot(RebootCommand::Kexec).context("reboot")
        }
        step::UNDO => {
            insert()?;
            hold(agreed::INSERTED)?;
            delete_module(c"purgatory", 0).context("delete_module")?;
            hold(agreed::REMOVED)?;
            load(step::VERIFY, 0)?;
            reboot(RebootCommand::Kexec).context("reboot")
        }
        step::CRASH => crash(),
        step::CRASH_ELSEWHERE => {
            let mut second = CpuSet::new();
            second.set(1);
            sched_setaffinity(None, &second).context("the second processor")?;
            crash()
        }
        step::VERIFY => verify(),
        step::CAPTURE => capture().and_then(|()| verify()),
        other => bail!("unknown step {other}"),
    }
}

/// Puts the module in, where there is one, and has it told where to record.
fn insert() -> Result<()> {
    if Path::new(agreed::MODULE).exists() {
        finit(agreed::MODULE, PARAMETERS)?;
    }
    match env::var_os(agreed::RAMOOPS) {
        Some(_) => hold(agreed::RECORDING),
        None => Ok(()),
    }
}

fn finit(module: &str, parameters: &CStr) -> Result<()> {
    let file = File::open(module).with_context(|| module.to_owned())?;
    finit_module(&file, parameters, 0).with_context(|| module.to_owned())
}

/// Puts ramoops in and prints what it kept; tells whether that was anything.
fn ramoops(parameters: &str) -> Result<bool> {
    let [library, ramoops] = agreed::PSTORE;
    finit(library, c"")?;
    finit(ramoops, &CString::new(parameters)?)?;
    // The kernel's own lines would get in between.
    fs::write(LEVEL, "1").context(LEVEL)?;
    let [address, size] = zone()?;
    println!("{}{address:#x},{size:#x}", agreed::ZONE);
    mount("pstore", PSTORE, "pstore", MountFlags::empty(), None).context(PSTORE)?;
    let mut has_kept = false;
    for file in fs::read_dir(PSTORE)? {
        let file = file?;
        let bytes = fs::read(file.path())?;
        let text = String::from_utf8_lossy(&bytes);
        println!("{}{}\n{text}", agreed::KEPT, file.file_name().display());
        has_kept = true;
    }
    if has_kept {
        println!("{}", agreed::KEPT_ALL);
    }
    tcdrain(io::stdout())?;
    fs::write(LEVEL, "8").context(LEVEL)?;
    Ok(has_kept)
}

/// Returns address and size of the first record, as an administrator would find them.
fn zone() -> Result<[u64; 2]> {
    let read = |name: &str| {
        let path = format!("/sys/module/ramoops/parameters/{name}");
        let text = fs::read_to_string(&path).with_context(|| path.clone())?;
        text.trim().parse::<u64>().context(path)
    };
    Ok([read("mem_address")?, read("record_size")?])
}

/// Says a word and waits until it may go on.
fn hold(word: &str) -> Result<()> {
    println!("{word}");
    let mut typed = String::new();
    stdin().lock().read_line(&mut typed)?;
    ensure!(
        typed == agreed::GO,
        "waited for {:?}, got {typed:?}",
        agreed::GO
    );
    Ok(())
}

fn crash() -> Result<()> {
    insert()?;
    load(step::CAPTURE, ON_CRASH)?;
    fs::write("/proc/sysrq-trigger", "c").context("sysrq")
}

/// Loads the second kernel, whose init will run `step`.
fn load(step: &str, flags: libc::c_ulong) -> Result<()> {
    let kernel = File::open(agreed::KERNEL).context(agreed::KERNEL)?;
    let initrd = File::open(agreed::INITRD).context(agreed::INITRD)?;
    let digest = env::var(agreed::DIGEST).context(agreed::DIGEST)?;
    let held = env::var_os(agreed::HOLD).is_some();
    let early = env::var(agreed::EARLY).context(agreed::EARLY)?;
    let mut line = format!(
        "{SECOND} {early} {}={step} {}={digest}",
        agreed::STEP,
        agreed::DIGEST
    );
    if env::var_os(agreed::RAMOOPS).is_some() {
        let [address, size] = zone()?;
        line += &format!(
            " memmap={:#x}${address:#x} {}=\"mem_address={address:#x} mem_size={:#x} \
             record_size={size:#x}\"",
            4 * size,
            agreed::RAMOOPS,
            4 * size
        );
    }
    let line = CString::new(line)?;
    let mut result = kexec_file_load(
        &kernel,
        &initrd,
        &line,
        flags | if held { DEBUG } else { 0 },
    );
    // Kernels before 6.8 do not know the flag: they use dynamic debug.
    if held
        && result
            .as_ref()
            .is_err_and(|error| error.raw_os_error() == Some(libc::EINVAL))
    {
        result = kexec_file_load(&kernel, &initrd, &line, flags);
    }
    if let Err(error) = result {
        println!("{}{error}", agreed::REFUSED);
        bail!("the kernel refused the second kernel");
    }
    if held {
        return hold(agreed::LOADED);
    }
    println!("{}", agreed::LOADED);
    Ok(())
}

fn kexec_file_load(
    kernel: &File,
    initrd: &File,
    line: &CString,
    flags: libc::c_ulong,
) -> io::Result<()> {
    let line = line.as_bytes_with_nul();
    // SAFETY: the kernel reads `line.len()` bytes at `line`, which outlives the
    // call, and checks both descriptors itself.
    let result = unsafe {
        libc::syscall(
            KEXEC_FILE_LOAD,
            kernel.as_raw_fd(),
            initrd.as_raw_fd(),
            line.len(),
            line.as_ptr(),
            flags,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Proves that this is a capture kernel: the old kernel's memory is readable.
fn capture() -> Result<()> {
    let mut header = [0; 4];
    let mut file = File::open("/proc/vmcore").context("/proc/vmcore")?;
    file.read_exact(&mut header).context("/proc/vmcore")?;
    ensure!(
        header == *b"\x7fELF",
        "/proc/vmcore begins with {header:02x?}"
    );
    println!(
        "init: /proc/vmcore has {} MiB",
        file.metadata()?.len() >> 20
    );
    Ok(())
}

/// Compares the payload with the digest that the first kernel passed on.
fn verify() -> Result<()> {
    let expected = env::var(agreed::DIGEST).context(agreed::DIGEST)?;
    let started = Instant::now();
    let payload = fs::read(agreed::PAYLOAD).context(agreed::PAYLOAD)?;
    let digest = base16ct::lower::encode_string(&Sha256::digest(&payload));
    ensure!(
        digest == expected,
        "{} is {digest}, loaded was {expected}",
        agreed::PAYLOAD
    );
    let uptime = fs::read_to_string("/proc/uptime")?;
    let uptime = uptime.split(' ').next().unwrap_or_default();
    println!(
        "{}: {} MiB equal in {:.1} s, up {uptime} s",
        agreed::VERIFIED,
        payload.len() >> 20,
        started.elapsed().as_secs_f64()
    );
    reboot(RebootCommand::PowerOff).context("power-off")
}
