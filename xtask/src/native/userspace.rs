// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs a purgatory in user space: the shipped bytes, loaded as a kernel loads them.
//!
//! Between two kernels nobody can time a check or feed it a million inputs. The
//! check itself needs no privilege, so the very same bytes run here. Only that
//! function is called, never the entry: the entry would take over the machine.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::{env, mem};

use anyhow::{Context, Result, ensure};
use memmap2::MmapMut;
use purgatory::abi::{Backend, Region, Regions};
use purgatory::status::Status;
use rustix::mm::{MprotectFlags, mprotect};

use super::arch;
use blob::load::{self, File, Loaded, Series};

/// A SHA-256 digest as libraries and files have it.
pub(crate) type Digest = [u8; 32];

/// A blob of ours in memory.
pub(crate) struct Ours {
    blob: Placed,
    verify: extern "C" fn(u32) -> u32,
    status: NonNull<Status>,
}

impl Ours {
    /// Loads the blob.
    pub(crate) fn load(file: &[u8]) -> Result<Self> {
        let (mut blob, loaded) = Placed::load(file)?;
        let function = inside(
            &mut blob.memory,
            loaded.symbol_address("purgatory_verify")?,
            1,
        )?;
        // SAFETY: the blob exports this function with this signature (purgatory.h).
        let verify = unsafe {
            mem::transmute::<NonNull<c_void>, extern "C" fn(u32) -> u32>(function.cast())
        };
        // Exactly that size, as the loader wants of symbols that have bytes.
        let size = loaded.symbol_size("purgatory_status")?;
        ensure!(
            size == Some(size_of::<Status>() as u64),
            "its purgatory_status is not {} bytes",
            size_of::<Status>()
        );
        let status = inside(
            &mut blob.memory,
            loaded.symbol_address("purgatory_status")?,
            size_of::<Status>(),
        )?;
        Ok(Self {
            blob,
            verify,
            status: status.cast(),
        })
    }

    /// Returns all of its memory, to be damaged.
    pub(crate) fn memory(&mut self) -> &mut [u8] {
        &mut self.blob.memory
    }

    /// Runs `purgatory_verify` on whatever is in its memory; `Err` is the signal that
    /// ended it.
    ///
    /// # Safety
    /// Damaged tables lead anywhere, damaged code does anything: the process must have
    /// nothing to lose.
    pub(crate) unsafe fn run_damaged(&mut self, backend: Backend) -> Result<u32, i32> {
        arch::caught(self.verify, backend.number())
    }

    /// Describes a message and its digest to the blob, as a loader does.
    pub(crate) fn describe<'a>(
        &'a mut self,
        pieces: &[&'a [u8]],
        expected: &Digest,
    ) -> Result<Check<'a>> {
        self.blob.describe(pieces, expected)?;
        Ok(Check {
            verify: self.verify,
            status: self.status,
            message: PhantomData,
        })
    }
}

/// A blob of ours whose tables describe a message that stays where it is.
pub(crate) struct Check<'a> {
    verify: extern "C" fn(u32) -> u32,
    status: NonNull<Status>,
    message: PhantomData<&'a [u8]>,
}

impl Check<'_> {
    /// Runs `purgatory_verify`: 0 match, 1 refusal.
    pub(crate) fn run(&mut self, backend: Backend) -> u32 {
        assert!(
            arch::runs_here(backend),
            "this CPU lacks {}",
            backend.name()
        );
        (self.verify)(backend.number())
    }

    /// Returns the record that the last run left behind.
    pub(crate) const fn status(&self) -> &Status {
        // SAFETY: the place of `purgatory_status`, of that size, mapped while
        // the blob is borrowed; its fields are cells, of plain data.
        unsafe { self.status.as_ref() }
    }
}

/// A kernel's own purgatory in memory.
pub(crate) struct Stock {
    blob: Placed,
    check: extern "C" fn(),
}

impl Stock {
    /// Loads the purgatory that was taken out of a kernel.
    pub(crate) fn load(file: &[u8]) -> Result<Self> {
        let (mut blob, loaded) = Placed::load(file)?;
        let function = inside(&mut blob.memory, loaded.symbol_address("purgatory")?, 1)?;
        // SAFETY: `void purgatory(void)`, arch/x86/purgatory/purgatory.c.
        let check = unsafe { mem::transmute::<NonNull<c_void>, extern "C" fn()>(function.cast()) };
        Ok(Self { blob, check })
    }

    /// Describes a message and its digest. With a wrong digest the check never
    /// returns: the stock purgatory spins.
    pub(crate) fn describe<'a>(
        &'a mut self,
        pieces: &[&'a [u8]],
        expected: &Digest,
    ) -> Result<impl FnMut() + use<'a>> {
        self.blob.describe(pieces, expected)?;
        let check = self.check;
        Ok(move || check())
    }
}

/// A loaded blob and the tables that its loader fills.
struct Placed {
    memory: MmapMut,
    regions: NonNull<Regions>,
    digest: NonNull<Digest>,
}

impl Placed {
    fn load(file: &[u8]) -> Result<(Self, Loaded<'_>)> {
        let (arch, here) = (File::parse(file)?.arch.name, env::consts::ARCH);
        ensure!(
            arch == here,
            "a blob for {arch}, and this processor is {here}"
        );
        let size = load::size(file)?;
        let mut memory = MmapMut::map_anon(usize::try_from(size)?)?;
        let start = memory.as_mut_ptr().cast();
        let access = MprotectFlags::READ | MprotectFlags::WRITE | MprotectFlags::EXEC;
        // SAFETY: all of a mapping of our own; it stays readable and writable.
        unsafe { mprotect(start, memory.len(), access) }.context(
            "cannot map memory that is writable and executable, as a purgatory's is: \
             does a security policy forbid it (SELinux execmem, PaX MPROTECT)?",
        )?;
        let mut loaded = Loaded::place(file, start.addr() as u64, Series::V7_2)?;
        // Checks their sizes; the addresses stay good for every later message.
        loaded.set_symbol("purgatory_sha_regions", &[0; size_of::<Regions>()])?;
        loaded.set_symbol("purgatory_sha256_digest", &[0; size_of::<Digest>()])?;
        memory[..loaded.buf.len()].copy_from_slice(&loaded.buf);
        let mut place = |name, size| {
            let address = loaded.symbol_address(name)?;
            inside(&mut memory, address, size)
        };
        let regions = place("purgatory_sha_regions", size_of::<Regions>())?.cast();
        let digest = place("purgatory_sha256_digest", size_of::<Digest>())?.cast();
        ensure!(regions.is_aligned(), "purgatory_sha_regions is not aligned");
        let placed = Self {
            memory,
            regions,
            digest,
        };
        Ok((placed, loaded))
    }

    fn describe(&mut self, pieces: &[&[u8]], expected: &Digest) -> Result<()> {
        let mut regions = Regions::default();
        let count = regions.len();
        ensure!(
            pieces.len() <= count,
            "{} pieces: the table has {count} entries",
            pieces.len()
        );
        for (region, piece) in regions.iter_mut().zip(pieces) {
            *region = Region {
                start: piece.as_ptr().expose_provenance() as u64,
                len: piece.len() as u64,
            };
        }
        // SAFETY: inside of our mapping and aligned, by `load`; the blob does
        // not run meanwhile, because a running check borrows it.
        unsafe { self.regions.write_volatile(regions) };
        // SAFETY: as above; bytes need no alignment.
        unsafe { self.digest.write_volatile(*expected) };
        Ok(())
    }
}

/// Points at `size` bytes of a loaded blob, from `address` on.
fn inside(memory: &mut MmapMut, address: u64, size: usize) -> Result<NonNull<u8>> {
    let start = memory.as_mut_ptr();
    let offset = usize::try_from(address)?.checked_sub(start.addr());
    let offset = offset
        .filter(|&offset| offset < memory.len() && size <= memory.len() - offset)
        .with_context(|| format!("{address:#x} is outside of the blob"))?;
    // SAFETY: at most as many bytes on as there are, by the check above.
    NonNull::new(unsafe { start.add(offset) }).context("memory mapped at address 0")
}
