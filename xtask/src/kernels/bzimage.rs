//! Boots a real Linux through the blob: the host does what `bzImage64_load()`
//! (`arch/x86/kernel/kexec-bzimage64.c`) does, in its order and by its rules.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, bail, ensure};
use linux_loader::bootparam::{boot_e820_entry, boot_params};
use purgatory_tests::Range;
use vm_memory::ByteValued;

use crate::{
    boot::{
        Programs,
        image::{Image, Memory, page_up},
        machine, meaning, stopped,
    },
    host::{
        failure::{self, Failure},
        output,
    },
};
use blob::{
    load::{self, Kernel, Loaded, PAGE, Segment, fill_digest},
    manifest::Manifest,
};

/// What to boot instead of the payload.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// Boot this Linux instead of the built-in test kernel
    #[arg(long, value_name = "BZIMAGE")]
    pub(crate) kernel: Option<PathBuf>,
    /// Its initial RAM disk
    #[arg(long, value_name = "FILE", requires = "kernel")]
    initrd: Option<PathBuf>,
    /// Its command line
    #[arg(
        long,
        value_name = "TEXT",
        requires = "kernel",
        default_value = "console=ttyS0"
    )]
    append: String,
    /// MiB of RAM
    #[arg(
        long,
        value_name = "MIB",
        value_parser = clap::value_parser!(u64).range(1..=1 << 20),
        default_value_t = 1024
    )]
    pub(crate) memory: u64,
    /// Where the purgatory goes, instead of as high as it fits
    #[arg(long, value_name = "ADDRESS", value_parser = load::place)]
    pub(crate) at: Option<u64>,
    /// Pass as soon as the console shows this, instead of when the guest powers off
    #[arg(long, value_name = "TEXT", requires = "kernel")]
    expect: Option<String>,
}

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
/// Where the setup header begins in the file and in `boot_params`.
const SETUP_HEADER: usize = 0x1f1;
/// `type_of_loader` of a kexec: 0xd, version 0.
const LOADER_KEXEC: u8 = 0xd0;

/// A bzImage that a 64-bit kexec takes.
struct BzImage {
    params: boot_params,
    kernel: Vec<u8>,
}

/// What is booted: read before anything is built.
pub(crate) struct Linux {
    kernel: BzImage,
    initrd: Vec<u8>,
}

impl Options {
    /// Reads the files, if there is a kernel to boot.
    pub(crate) fn read(&self) -> Result<Option<Linux>> {
        let Some(path) = &self.kernel else {
            return Ok(None);
        };
        let kernel = parse(&failure::read(path)?)
            .map_err(|what| Failure::Usage(format!("{} {what}", path.display())))?;
        let initrd = self.initrd.as_deref().map(failure::read).transpose()?;
        Ok(Some(Linux {
            kernel,
            initrd: initrd.unwrap_or_default(),
        }))
    }
}

/// Boots Linux; the guest's console is the user's.
pub(crate) fn boot(
    options: &Options,
    linux: Linux,
    programs: &Programs,
    limit: Duration,
) -> Result<()> {
    let Linux { kernel, initrd } = linux;
    let (image, status, manifest) = lay_out(options, kernel, &initrd, &programs.blob)
        .map_err(|error| Failure::Usage(format!("{error:#}")))?;

    let (machine, mut ram) = machine("linux", limit, programs, "pc", options.memory, "max")?;
    let machine = machine.terminal("console")?;
    output::manifest(machine.directory(), &manifest)?;
    image.write(&machine.directory().join("image"))?;
    let mut run = ram.start(machine)?;
    loop {
        let exit = run.wait_exit_for(LOOK)?;
        let console = run.text("console")?;
        if let Some(text) = &options.expect
            && console.contains(text.as_str())
        {
            println!("\nthe console said {text:?}");
            return Ok(());
        }
        if let Some(exit) = exit {
            return match (exit.reason.as_deref(), &options.expect) {
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
                meaning(verdict),
                run.report()
            );
        }
    }
}

/// Places purgatory, boot parameters, kernel and RAM disk; returns the image, the
/// physical address of `purgatory_status`, and what was loaded.
fn lay_out(
    options: &Options,
    kernel: BzImage,
    initrd: &[u8],
    blob: &[u8],
) -> Result<(Image, u64, Manifest)> {
    let BzImage { mut params, kernel } = kernel;
    let header = params.hdr;
    let command_line = options.append.as_bytes();
    ensure!(
        command_line.len() <= header.cmdline_size as usize,
        "the command line has {} bytes; this kernel takes {}",
        command_line.len(),
        { header.cmdline_size },
    );
    let image = kernel.len() + initrd.len() + (1 << 20);
    let mut memory = Memory::new(options.memory, image as u64)?;

    let size = Loaded::place(blob, 0x10_0000, Kernel::V7_2)?.memsz;
    let start = match options.at {
        Some(start) => {
            memory.take(Range { start, len: size })?;
            start
        }
        None => memory.place(size, PAGE, MIN_LOW)?,
    };
    let mut purgatory = Loaded::place(blob, start, Kernel::V7_2)?;

    let params_size = size_of::<boot_params>() + command_line.len() + 1;
    let params_at = memory.place(params_size as u64, PAGE, MIN_LOW)?;
    let kernel_len = page_up(u64::from(header.init_size).max(kernel.len() as u64));
    let alignment = u64::from(header.kernel_alignment).max(PAGE);
    let kernel_at = memory.place(kernel_len, alignment, MIN_KERNEL)?;
    let initrd_at = match initrd.len() as u64 {
        0 => 0,
        len => memory.place(len, PAGE, MIN_INITRD)?,
    };

    let command_line_at = params_at + size_of::<boot_params>() as u64;
    params.hdr.type_of_loader = LOADER_KEXEC;
    (params.hdr.cmd_line_ptr, params.ext_cmd_line_ptr) = halves(command_line_at);
    (params.hdr.ramdisk_image, params.ext_ramdisk_image) = halves(initrd_at);
    (params.hdr.ramdisk_size, params.ext_ramdisk_size) = halves(initrd.len() as u64);
    describe_memory(&mut params, &memory);
    let mut params_bytes = params.as_slice().to_vec();
    params_bytes.extend_from_slice(command_line);

    let registers = [
        (24, 0), // rbx: the bootstrap processor
        (32, purgatory.symbol_address("stack_end")?),
        (48, params_at),             // rsi
        (128, kernel_at + ENTRY_64), // rip
    ];
    let mut handoff = purgatory.get_symbol("entry64_regs", 136)?.to_vec();
    for (offset, value) in registers {
        handoff[offset..offset + 8].copy_from_slice(&u64::to_le_bytes(value));
    }
    purgatory.set_symbol("entry64_regs", &handoff)?;

    let segments: Vec<Segment<'_>> = [
        (params_at, params_size as u64, params_bytes.as_slice()),
        (kernel_at, kernel_len, kernel.as_slice()),
        (initrd_at, initrd.len() as u64, initrd),
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
        manifest.add(index, name, segment.mem, segment.memsz, segment.buf);
    }

    let mut image = Image::new(&memory);
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

/// Checks what `bzImage64_probe()` checks.
fn parse(file: &[u8]) -> Result<BzImage, String> {
    let magic = file.get(0x202..0x206);
    if file.get(0x1fe..0x200) != Some(&[0x55, 0xaa]) || magic != Some(b"HdrS") {
        return Err("is no bzImage (a `vmlinuz`, not a `vmlinux`)".to_owned());
    }
    let end = 0x202 + usize::from(file[0x201]);
    let mut params = boot_params::default();
    let header = file
        .get(SETUP_HEADER..end)
        .ok_or("is cut off inside its setup header")?;
    params
        .as_mut_slice()
        .get_mut(SETUP_HEADER..end)
        .ok_or("has a setup header larger than the boot protocol allows")?
        .copy_from_slice(header);
    let header = params.hdr;
    let (version, flags, xflags) = (header.version, header.loadflags, header.xloadflags);
    if version < 0x20c {
        return Err(format!(
            "speaks boot protocol {}.{:02}; a 64-bit kexec needs 2.12 (Linux 3.8) or newer",
            version >> 8,
            version & 0xff
        ));
    }
    if flags & 1 == 0 {
        return Err("is no bzImage: it does not load high".to_owned());
    }
    if xflags & 3 != 3 {
        return Err("has no 64-bit entry point, or cannot be loaded above 4 GiB".to_owned());
    }
    let sectors = match header.setup_sects {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let kernel = file
        .get((sectors + 1) * 512..)
        .filter(|kernel| !kernel.is_empty());
    let kernel = kernel
        .ok_or("is cut off before the kernel itself")?
        .to_vec();
    Ok(BzImage { params, kernel })
}

/// Writes the memory map: RAM, and what the firmware keeps.
fn describe_memory(params: &mut boot_params, memory: &Memory) {
    const RAM: u32 = 1;
    const RESERVED: u32 = 2;
    let low_end = memory.ram().first().map_or(0, Range::end);
    let kept = memory.usable_low_end();
    let mut map = vec![
        (0, 0x9_fc00, RAM),
        (0xf_0000, 0x10_0000, RESERVED),
        (0x10_0000, kept, RAM),
        (kept, low_end, RESERVED),
    ];
    map.extend(
        memory
            .ram()
            .iter()
            .skip(1)
            .map(|high| (high.start, high.end(), RAM)),
    );
    for (slot, (start, end, kind)) in params.e820_table.iter_mut().zip(&map) {
        *slot = boot_e820_entry {
            addr: *start,
            size: end - start,
            r#type: *kind,
        };
    }
    params.e820_entries = u8::try_from(map.len()).unwrap_or(u8::MAX);
}

const fn halves(value: u64) -> (u32, u32) {
    (value as u32, (value >> 32) as u32)
}
