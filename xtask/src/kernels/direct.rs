// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boots a real Linux through the blob: the host does what `bzImage64_load()`
//! (`arch/x86/kernel/kexec-bzimage64.c`) does, in its order and by its rules.

use std::mem::offset_of;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use blob::load::{self, Loaded, Segment, Series, fill_digest};
use blob::manifest::Manifest;
use blob::number::PAGE;
use purgatory_tests::cases::{Case, INTACT};
use purgatory_tests::plan::Range;
use zerocopy::{FromZeros as _, IntoBytes as _};

use super::header::{BootParams, E820, START, SetupHeader, halves};
use crate::boot::image::Image;
use crate::boot::programs::Programs;
use crate::boot::space::{Space, page_up};
use crate::boot::{bare, stopped};
use crate::host::failure::{read, usage};
use crate::host::output;
use crate::machine::Machine;

/// How often the console is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Lowest address of boot parameters and purgatory: `MIN_BOOTPARAM_ADDR`.
const MIN_LOW: u64 = 0x3000;
/// Lowest address of a kernel: `MIN_KERNEL_LOAD_ADDR`.
const MIN_KERNEL: u64 = 0x10_0000;
/// Lowest address of an initial RAM disk: `MIN_INITRD_LOAD_ADDR`.
const MIN_INITRD: u64 = 0x100_0000;
/// Offset of the 64-bit entry point into the loaded kernel (boot protocol 2.12).
const ENTRY_64: u64 = 0x200;
/// `type_of_loader` of a kexec: 0xd, version 0.
const LOADER_KEXEC: u8 = 0xd0;

/// What is booted: read before anything is built.
pub(crate) struct Linux {
    params: BootParams,
    kernel: Vec<u8>,
    pub(crate) initrd: Vec<u8>,
    pub(crate) command_line: String,
    /// MiB of RAM.
    pub(crate) memory: u64,
    /// Where the purgatory goes, instead of as high as it fits.
    pub(crate) at: Option<u64>,
}

/// Boots Linux until it powers off, or until its console shows `expect`; the console
/// is the user's.
pub(crate) fn boot(
    linux: &Linux,
    expect: Option<&str>,
    programs: &Programs,
    limit: Duration,
) -> Result<()> {
    let (image, status, manifest) = lay_out(linux, programs.machine, &programs.blob)
        .map_err(|error| usage(format!("{error:#}")))?;
    let case = Case {
        memory: linux.memory,
        ..INTACT
    };
    let (qemu, mut ram) = bare("linux", limit, programs, &case)?;
    let qemu = qemu.terminal("console")?;
    output::manifest(qemu.directory(), &manifest)?;
    image.write(&qemu.directory().join("image"))?;
    let mut run = ram.start(qemu)?;
    loop {
        let exit = run.wait_exit_for(LOOK)?;
        let console = run.text("console")?;
        if let Some(text) = expect
            && console.contains(text)
        {
            println!("\nthe console said {text:?}");
            return Ok(());
        }
        if let Some(exit) = exit {
            return match (exit.reason.as_deref(), expect) {
                (_, Some(text)) => {
                    bail!("the guest ended without saying {text:?}\n{}", run.report())
                }
                (Some("guest-shutdown" | "host-signal"), None) => Ok(()),
                (reason, None) => bail!(
                    "QEMU ended with code {:?}, reason {}\n{}",
                    exit.code,
                    reason.unwrap_or("unknown"),
                    run.report()
                ),
            };
        }
        // Once the next kernel speaks, the record is free memory of its own.
        if console.is_empty()
            && let Some(verdict) = stopped(&mut run, &ram, status)?
        {
            bail!(
                "the purgatory refused: {}\n{}",
                verdict.words(),
                run.report()
            );
        }
    }
}

/// Places purgatory, boot parameters, kernel and RAM disk; returns the image, the
/// physical address of `purgatory_status`, and what was loaded.
fn lay_out(
    linux: &Linux,
    machine: &'static Machine,
    blob: &[u8],
) -> Result<(Image, u64, Manifest)> {
    let Linux { kernel, initrd, .. } = linux;
    let mut params = linux.params;
    let header = params.hdr;
    let command_line = linux.command_line.as_bytes();
    let longest = header.cmdline_size.get();
    ensure!(
        command_line.len() <= longest as usize,
        "the command line has {} bytes; this kernel takes {longest}",
        command_line.len(),
    );
    let image = kernel.len() + initrd.len() + (1 << 20);
    let mut space = Space::new(machine, linux.memory, image as u64)?;

    let size = load::size(blob)?;
    let start = match linux.at {
        Some(start) => {
            space.take(Range { start, len: size })?;
            start
        }
        None => space.place(size, PAGE, MIN_LOW)?,
    };
    let mut purgatory = Loaded::place(blob, start, Series::V7_2)?;

    let params_size = size_of::<BootParams>() + command_line.len() + 1;
    let params_at = space.place(params_size as u64, PAGE, MIN_LOW)?;
    let kernel_len = page_up(u64::from(header.init_size.get()).max(kernel.len() as u64));
    let alignment = u64::from(header.kernel_alignment.get()).max(PAGE);
    let kernel_at = space.place(kernel_len, alignment, MIN_KERNEL)?;
    let initrd_at = match initrd.len() as u64 {
        0 => 0,
        len => space.place(len, PAGE, MIN_INITRD)?,
    };

    let command_line_at = params_at + size_of::<BootParams>() as u64;
    params.hdr.type_of_loader = LOADER_KEXEC;
    (params.hdr.cmd_line_ptr, params.ext_cmd_line_ptr) = halves(command_line_at);
    (params.hdr.ramdisk_image, params.ext_ramdisk_image) = halves(initrd_at);
    (params.hdr.ramdisk_size, params.ext_ramdisk_size) = halves(initrd.len() as u64);
    describe_memory(&mut params, &space);
    let mut params_bytes = params.as_bytes().to_vec();
    params_bytes.extend_from_slice(command_line);

    let known = &purgatory.file.arch.registers;
    let mut handoff = purgatory.registers()?.to_vec();
    for (register, value) in [
        // The bootstrap processor.
        ("rbx", 0),
        ("rsp", purgatory.symbol_address("stack_end")?),
        (machine.parameters, params_at),
        (known.entry, kernel_at + ENTRY_64),
    ] {
        handoff[8 * known.index(register)..][..8].copy_from_slice(&u64::to_le_bytes(value));
    }
    purgatory.set_registers(&handoff)?;

    let segments: Vec<Segment<'_>> = [
        (params_at, params_size as u64, params_bytes.as_slice()),
        (kernel_at, kernel_len, kernel.as_slice()),
        (initrd_at, initrd.len() as u64, initrd.as_slice()),
    ]
    .into_iter()
    .filter(|(_, memsz, _)| *memsz > 0)
    .map(|(mem, memsz, buf)| Segment {
        mem,
        memsz: page_up(memsz),
        buf,
    })
    .collect();
    fill_digest(&mut purgatory, &segments)?;
    let mut manifest = Manifest::new(purgatory.get_symbol("purgatory_sha256_digest", 32)?);
    let names = ["boot parameters", "kernel", "initrd"];
    for (index, (segment, name)) in segments.iter().zip(names).enumerate() {
        manifest.add(index, name, segment);
    }

    let mut image = Image::new(&space);
    for segment in &segments {
        let to = Range {
            start: segment.mem,
            len: segment.memsz,
        };
        image.add(to, segment.buf)?;
    }
    image.add(Range { start, len: size }, &purgatory.buf)?;
    image.plan.entry = purgatory.entry;
    let status = purgatory.symbol_address("purgatory_status")?;
    Ok((image, status, manifest))
}

impl Linux {
    /// Reads a kernel, as `bzImage64_probe()` accepts it.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let (params, kernel) =
            probe(&read(path)?).map_err(|what| usage(format!("{} {what}", path.display())))?;
        Ok(Self {
            params,
            kernel,
            initrd: Vec::new(),
            command_line: String::new(),
            memory: INTACT.memory,
            at: None,
        })
    }
}

/// Checks what `bzImage64_probe()` checks; returns parameters and kernel.
fn probe(file: &[u8]) -> Result<(BootParams, Vec<u8>), String> {
    let header = SetupHeader::of(file)?;
    let end = START + offset_of!(SetupHeader, magic) + usize::from(header.length);
    let mut params = BootParams::new_zeroed();
    let bytes = file.get(START..end);
    params
        .as_mut_bytes()
        .get_mut(START..end)
        .ok_or("has a setup header larger than the boot protocol allows")?
        .copy_from_slice(bytes.ok_or("is cut off inside its setup header")?);
    let version = header.version.get();
    if version < 0x20c {
        return Err(format!(
            "speaks boot protocol {}.{:02}; a 64-bit kexec needs 2.12 (Linux 3.8) or newer",
            version >> 8,
            version & 0xff
        ));
    }
    if header.loadflags & 1 == 0 {
        return Err("is no bzImage: it does not load high".to_owned());
    }
    if header.xloadflags.get() & 3 != 3 {
        return Err("has no 64-bit entry point, or cannot be loaded above 4 GiB".to_owned());
    }
    let kernel = file.get(header.kernel_start()..).unwrap_or_default();
    match kernel {
        [] => Err("is cut off before the kernel itself".to_owned()),
        kernel => Ok((params, kernel.to_vec())),
    }
}

/// Writes the memory map: RAM, and what the firmware keeps.
fn describe_memory(params: &mut BootParams, space: &Space) {
    const RAM: u32 = 1;
    const RESERVED: u32 = 2;
    let low_end = space.ram().first().map_or(0, Range::end);
    let kept = space.usable_low_end();
    let mut map = vec![
        (0, 0x9_fc00, RAM),
        (0xf_0000, 0x10_0000, RESERVED),
        (0x10_0000, kept, RAM),
        (kept, low_end, RESERVED),
    ];
    let high = space.ram().iter().skip(1);
    map.extend(high.map(|high| (high.start, high.end(), RAM)));
    for (slot, (start, end, kind)) in params.e820_table.iter_mut().zip(&map) {
        *slot = E820 {
            addr: (*start).into(),
            size: (end - start).into(),
            kind: (*kind).into(),
        };
    }
    params.e820_entries = u8::try_from(map.len()).unwrap_or(u8::MAX);
}
