//! `cargo xtask build`: the blob, linked completely and proven position
//! independent before it is wrapped for the loader.

use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, elf};

use crate::{
    arch::Arch,
    process, root,
    toolchain::{self, Core, Toolchain},
    wrap,
};

/// Options of `cargo xtask build`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Folder to write the blob into
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Insist on where `core` comes from
    #[arg(long, value_enum)]
    core: Option<Core>,
}

/// The finished files.
pub(crate) struct Blob {
    /// The linked program, with all symbols.
    pub(crate) elf: PathBuf,
    /// The file for the kernel.
    pub(crate) relocatable: PathBuf,
}

/// Flags of everything freestanding. They start from nothing: `RUSTFLAGS` would
/// replace them, so it is refused.
const FLAGS: [&str; 7] = [
    "-Crelocation-model=pic",
    // Without it, LLVM reaches memcpy and exported statics through a GOT.
    "-Zrelax-elf-relocations=yes",
    // 0.7 KB; the unrolled one is 10 KB and does not fit.
    "--cfg=sha2_backend=\"soft\"",
    "--cfg=sha2_backend_soft=\"compact\"",
    "-Clinker-flavor=ld.lld",
    "-Clink-arg=--no-dynamic-linker",
    "-Cstrip=none",
];

/// Where the second link of the proof lies: above 4 GiB, odd in every digit.
const FAR_BASE: u64 = 0x1_2345_6000;

/// Runs `cargo xtask build`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let out = options.out.clone().unwrap_or_else(default_folder);
    let toolchain = toolchain::find(Arch::X86_64, options.core)?;
    let blob = blob(Arch::X86_64, &toolchain, &out)?;
    println!("{}", summary(&blob, &toolchain)?);
    Ok(())
}

/// Where the files go when nobody says otherwise.
pub(crate) fn default_folder() -> PathBuf {
    root().join("target/purgatory")
}

/// Name of the linked program, beside the file for the kernel.
pub(crate) fn linked_name(arch: Arch) -> String {
    format!("purgatory-{}.elf", arch.name())
}

/// Builds, proves and wraps the blob into `out`.
pub(crate) fn blob(arch: Arch, toolchain: &Toolchain, out: &Path) -> Result<Blob> {
    let work = folder(toolchain).join("proof");
    for folder in [out, &work] {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let script = fs::read_to_string(root().join("linker/purgatory.ld"))?;
    let near = write_script(&script, &work, "near", 0)?;
    let far = write_script(&script, &work, "far", FAR_BASE)?;
    // Kept: cargo writes it only when it compiles.
    let object = work.join("purgatory.o");
    let independent = compile(
        arch,
        toolchain,
        "purgatory",
        &[&format!("-Clink-arg=-T{}", near.display())],
        Some(&object),
    )?;
    let elf = out.join(linked_name(arch));
    let moved = work.join("far.elf");
    link(toolchain, &object, &near, &elf)?;
    link(toolchain, &object, &far, &moved)?;
    let bytes = prove(
        &fs::read(&independent)?,
        &fs::read(&elf)?,
        &fs::read(&moved)?,
    )
    .context("the blob is not position independent, and no loader will relocate it")?;
    let relocatable = out.join("purgatory.ro");
    fs::write(&relocatable, wrap::wrap(arch, &fs::read(&elf)?, &bytes)?)?;
    Ok(Blob { elf, relocatable })
}

/// Where freestanding code is compiled: a folder for each origin of `core`.
fn folder(toolchain: &Toolchain) -> PathBuf {
    root()
        .join("target")
        .join(format!("freestanding-{}", toolchain.core))
}

/// Compiles one freestanding package and returns the linked program.
pub(crate) fn compile(
    arch: Arch,
    toolchain: &Toolchain,
    package: &str,
    flags: &[&str],
    object: Option<&Path>,
) -> Result<PathBuf> {
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        if env::var_os(name).is_some() {
            bail!("{name} is set; it would replace the flags that the blob depends on: unset it");
        }
    }
    let linker = format!("-Clinker={}", toolchain.lld.display());
    let remap = format!("--remap-path-prefix={}=.", root().display());
    let all: Vec<&str> = FLAGS
        .into_iter()
        .chain([linker.as_str(), remap.as_str()])
        .chain(flags.iter().copied())
        .collect();
    let folder = folder(toolchain);
    let mut command = Command::new(&toolchain.cargo);
    command
        .current_dir(root())
        .args(["rustc", "--quiet", "--locked", "--profile", "blob"])
        .args([
            "--target",
            arch.target(),
            "--package",
            package,
            "--bin",
            package,
        ])
        .env("CARGO_TARGET_DIR", &folder)
        .env("CARGO_ENCODED_RUSTFLAGS", all.join("\x1f"))
        .env("RUSTC", &toolchain.rustc)
        .env("RUSTC_BOOTSTRAP", "1");
    if toolchain.core == Core::Source {
        command.arg("-Zbuild-std=core");
    }
    if let Some(object) = object {
        command.args(["--", &format!("--emit=obj={}", object.display())]);
    }
    process::output(&mut command).with_context(|| format!("{package} does not build"))?;
    Ok(folder.join(arch.target()).join("blob").join(package))
}

/// Writes the linker script with a literal base in front: lld ignores `--defsym`
/// against a default inside the script.
fn write_script(script: &str, out: &Path, name: &str, base: u64) -> Result<PathBuf> {
    let path = out.join(format!("{name}.ld"));
    fs::write(&path, format!("BASE = {base:#x};\n{script}"))?;
    Ok(path)
}

fn link(toolchain: &Toolchain, object: &Path, script: &Path, to: &Path) -> Result<()> {
    let mut command = Command::new(&toolchain.lld);
    command
        .args(["-flavor", "gnu", "--no-pie", "--gc-sections", "-T"])
        .arg(script)
        .arg(object)
        .arg("-o")
        .arg(to);
    process::output(&mut command).map(drop)
}

/// Proves position independence and returns the bytes of the section.
///
/// Each half alone can be vacuous. (a) Linked as a PIE, nothing is left for a
/// loader to relocate; absolute words hide in the addends there, and the bytes
/// look alike at every base. (b) Linked at two bases, the bytes are the same.
fn prove(independent: &[u8], near: &[u8], far: &[u8]) -> Result<Vec<u8>> {
    let independent = object::File::parse(independent)?;
    let near = object::File::parse(near)?;
    let far = object::File::parse(far)?;
    let mut faults = String::new();
    for name in [".rela.dyn", ".got"] {
        let Some(section) = independent.section_by_name(name) else {
            continue;
        };
        for word in section.data()?.chunks(if name == ".got" { 8 } else { 24 }) {
            let at = word
                .get(..8)
                .and_then(|bytes| bytes.try_into().ok())
                .map_or(0, u64::from_le_bytes);
            let place = if name == ".got" {
                "a slot of the GOT".to_owned()
            } else {
                format!("an absolute word in {}", symbol_at(&independent, at))
            };
            writeln!(faults, "  {place} ({name})")?;
        }
    }
    let (base, bytes) = contents(&near)?;
    let (far_base, far_bytes) = contents(&far)?;
    if base == far_base {
        bail!("both links landed at {base:#x}, so comparing them proves nothing: lld ignored BASE");
    }
    if bytes.len() != far_bytes.len() {
        writeln!(
            faults,
            "  {} bytes at {base:#x}, but {} at {far_base:#x}",
            bytes.len(),
            far_bytes.len()
        )?;
    }
    let mut last = None;
    for (offset, (here, there)) in (0..).zip(bytes.iter().zip(&far_bytes)) {
        if here != there {
            let symbol = symbol_at(&near, base + offset);
            if last.as_ref() != Some(&symbol) {
                writeln!(faults, "  an address in {symbol}")?;
                last = Some(symbol);
            }
        }
    }
    if faults.is_empty() {
        return Ok(bytes);
    }
    bail!(
        "these places hold an address:\n{faults}\
         the usual cause is a static that holds references (`static T: [&str; N]`, a table of\n\
         functions, a `dyn` vtable from `core::fmt`): store offsets, or match on an index"
    )
}

/// The only section that is loaded, and where it was linked.
fn contents(file: &object::File<'_>) -> Result<(u64, Vec<u8>)> {
    for section in file.sections() {
        let name = section.name()?;
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else {
            continue;
        };
        let allocated = sh_flags.contains(elf::SHF_ALLOC);
        if allocated && section.size() > 0 && ![".purgatory", ".stack"].contains(&name) {
            bail!("section {name} is loaded too; name it in linker/purgatory.ld");
        }
    }
    let section = file
        .section_by_name(".purgatory")
        .context("the link left no .purgatory section")?;
    Ok((section.address(), section.data()?.to_vec()))
}

/// Names the symbol that holds `address`.
fn symbol_at(file: &object::File<'_>, address: u64) -> String {
    file.symbols()
        .filter(|symbol| symbol.is_definition() && symbol.address() <= address)
        .max_by_key(ObjectSymbol::address)
        .map_or_else(
            || format!("{address:#x}"),
            |symbol| {
                format!(
                    "{}+{:#x}",
                    symbol.name().unwrap_or("?"),
                    address - symbol.address()
                )
            },
        )
}

/// Says on one screen what was built.
fn summary(blob: &Blob, toolchain: &Toolchain) -> Result<String> {
    let data = fs::read(&blob.elf)?;
    let elf = object::File::parse(&*data)?;
    let at = |name: &str| {
        elf.symbol_by_name(name)
            .map(|symbol| symbol.address())
            .with_context(|| format!("the linker script defines no {name}"))
    };
    let stack = elf.section_by_name(".stack").context("no .stack section")?;
    let span = |from: &str, to: &str| anyhow::Ok(at(to)? - at(from)?);
    let mut text = String::new();
    writeln!(text, "{}", blob.elf.display())?;
    writeln!(text, "{}", blob.relocatable.display())?;
    writeln!(
        text,
        "  file {} bytes; text {}, tables {}, constants {}, stack and scratch {}",
        fs::metadata(&blob.relocatable)?.len(),
        span("purgatory_start", "text_end")?,
        span("written_start", "written_end")?,
        span("rodata_start", "rodata_end")?,
        stack.size(),
    )?;
    for symbol in wrap::SYMBOLS {
        let found = elf
            .symbol_by_name(symbol)
            .with_context(|| format!("no symbol {symbol}"))?;
        writeln!(
            text,
            "  {:#07x} {:5} {symbol}",
            found.address(),
            found.size()
        )?;
    }
    writeln!(
        text,
        "  {} ({})",
        toolchain.version,
        toolchain.rustc.display()
    )?;
    writeln!(
        text,
        "  core: {}, because {}",
        toolchain.core, toolchain.why
    )?;
    write!(
        text,
        "  {} ({})",
        toolchain.lld_version,
        toolchain.lld.display()
    )?;
    Ok(text)
}
