//! `cargo xtask build`: the blob, linked completely and proven position
//! independent before it is wrapped for the loader.

use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use object::{Object, ObjectSection, ObjectSymbol};

use crate::{
    arch::Arch,
    failure::Failure,
    map, output, process, proof,
    provision::{Setup, Task},
    root, target_directory,
    toolchain::{Core, Toolchain},
    wrap,
};

/// Options of `cargo xtask build`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Folder to write the blob into [default: target/purgatory]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
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
const FLAGS: [&str; 10] = [
    "-Crelocation-model=pic",
    // Without it, LLVM reaches memcpy and exported statics through a GOT.
    "-Zrelax-elf-relocations=yes",
    // The unrolled one is 10 KB and does not fit.
    "--cfg=sha2_backend=\"soft\"",
    "--cfg=sha2_backend_soft=\"compact\"",
    // Unrolls its rounds by eight: 2.2 KB instead of 0.7, an eighth faster. Only what
    // is not built for size is unrolled at all.
    "-Cllvm-args=-partial-unrolling-threshold=600",
    "-Clinker-flavor=ld.lld",
    "-Clink-arg=--no-dynamic-linker",
    // One of the two tables of round constants, ours and `sha2`'s.
    "-Clink-arg=--icf=all",
    "-Clink-arg=--ignore-data-address-equality",
    "-Cstrip=none",
];

/// Runs `cargo xtask build`.
pub(crate) fn run(options: &Options, setup: &Setup) -> Result<()> {
    setup.require(Task::Build)?;
    let out = options.out.clone().unwrap_or_else(default_folder);
    let toolchain = setup.toolchain()?;
    let blob = blob(Arch::X86_64, &toolchain, &out)?;
    println!("{}", summary(&blob, &toolchain)?);
    Ok(())
}

/// Where the files go when nobody says otherwise.
pub(crate) fn default_folder() -> PathBuf {
    target_directory().join("purgatory")
}

/// Name of the linked program, beside the file for the kernel.
pub(crate) fn linked_name(arch: Arch) -> String {
    format!("purgatory-{}.elf", arch.name())
}

/// Builds, proves and wraps the blob into `out`.
pub(crate) fn blob(arch: Arch, toolchain: &Toolchain, out: &Path) -> Result<Blob> {
    let work = folder(toolchain, "purgatory").join("proof");
    for folder in [out, &work] {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let _lock = output::lock(&work)?;
    let near = proof::write_script(&work, "near", proof::NEAR)?;
    let far = proof::write_script(&work, "far", proof::FAR)?;
    // Kept: cargo writes it only when it compiles.
    let object = work.join("purgatory.o");
    let independent = compile(
        arch,
        toolchain,
        "purgatory",
        &[&format!("-Clink-arg=-T{}", near.display())],
        Some(&object),
    )?;
    let near_elf = work.join("near.elf");
    let far_elf = work.join("far.elf");
    proof::link(toolchain, "--no-pie", &object, &near, &near_elf)?;
    proof::link(toolchain, "--no-pie", &object, &far, &far_elf)?;
    let linked = fs::read(&near_elf)?;
    let bytes = proof::prove(&fs::read(&independent)?, &linked, &fs::read(&far_elf)?)
        .context("the blob is not position independent, and no loader will relocate it")?;
    // Written only now: a failed build leaves the last good files alone.
    let elf = out.join(linked_name(arch));
    let relocatable = out.join("purgatory.ro");
    let map = map::map(&linked, toolchain)?;
    let wrapped = wrap::wrap(arch, &linked, &bytes)?;
    output::replace(
        &out.join(format!("purgatory-{}.map", arch.name())),
        map.as_bytes(),
    )?;
    output::replace(&relocatable, &wrapped)?;
    output::replace(&elf, &linked)?;
    Ok(Blob { elf, relocatable })
}

/// Where freestanding code is compiled: a folder for each origin of `core` and each
/// program. Each has flags of its own, and cargo would compile everything anew
/// whenever they change.
fn folder(toolchain: &Toolchain, name: &str) -> PathBuf {
    target_directory()
        .join(format!("freestanding-{}", toolchain.core))
        .join(name)
}

/// Compiles one freestanding package and returns the linked program.
pub(crate) fn compile(
    arch: Arch,
    toolchain: &Toolchain,
    package: &str,
    flags: &[&str],
    object: Option<&Path>,
) -> Result<PathBuf> {
    let mut command = freestanding(&toolchain.cargo, "rustc", arch, toolchain, package, flags)?;
    command.args(["--package", package, "--bin", package]);
    if let Some(object) = object {
        // The whole program is optimised with the flags of this last, tiny crate,
        // and "z" would leave out passes that only touch what asks for speed.
        command.args(["--", "-Copt-level=3"]);
        command.arg(format!("--emit=obj={}", object.display()));
    }
    process::output(&mut command).with_context(|| format!("{package} does not build"))?;
    let folder = folder(toolchain, package).join(arch.target());
    Ok(folder.join("blob").join(package))
}

/// Describes a run of cargo, or of a program like it, on freestanding code; `name`
/// is that of the folder it compiles in.
pub(crate) fn freestanding(
    program: &Path,
    verb: &str,
    arch: Arch,
    toolchain: &Toolchain,
    name: &str,
    flags: &[&str],
) -> Result<Command> {
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        if env::var_os(variable).is_some() {
            let what = "it would replace the flags that the blob depends on: unset it";
            return Err(Failure::Usage(format!("{variable} is set; {what}")).into());
        }
    }
    let target = target_directory();
    if target.to_string_lossy().contains(',') {
        return Err(Failure::Usage(format!(
            "there is a comma in {}, where options of rustc and QEMU end: \
             give another folder as CARGO_TARGET_DIR",
            target.display()
        ))
        .into());
    }
    let linker = format!("-Clinker={}", toolchain.lld.display());
    let remap = format!("--remap-path-prefix={}=.", root().display());
    let all: Vec<&str> = FLAGS
        .into_iter()
        .chain([linker.as_str(), remap.as_str()])
        .chain(flags.iter().copied())
        .collect();
    let mut command = Command::new(program);
    command
        .current_dir(root())
        .args([verb, "--quiet", "--locked", "--profile", "blob"])
        .args(["--target", arch.target()])
        .env("CARGO", &toolchain.cargo)
        .env("CARGO_TARGET_DIR", folder(toolchain, name))
        .env("CARGO_ENCODED_RUSTFLAGS", all.join("\x1f"))
        .env("RUSTC", &toolchain.rustc)
        .env("RUSTC_BOOTSTRAP", "1");
    if toolchain.core == Core::Source {
        command.arg("-Zbuild-std=core");
    }
    Ok(command)
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
        span("tables_start", "tables_end")?,
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
    write!(text, "{toolchain}")?;
    Ok(text)
}
