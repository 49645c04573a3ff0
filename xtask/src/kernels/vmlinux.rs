//! Takes a bzImage apart and puts another purgatory into its kernel.
//!
//! The compressed payload of a bzImage is the vmlinux that QEMU can start by
//! its PVH note; the kernel's purgatory lies in its read-only data. Nothing
//! else of the kernel is changed, and a purgatory that does not fit the place
//! of the old one is refused.
use std::io::{self, Read as _};
use std::ops::Range;

use anyhow::{Context as _, Result, bail, ensure};
use memchr::memmem;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// The largest window of `zstd --ultra -22`, which the kernel's build uses.
const ZSTD_WINDOW: u64 = 128 << 20;

/// An ELF file: 64 bits, little endian, version 1.
const ELF: &[u8] = b"\x7fELF\x02\x01\x01";

/// How far from the purgatory `kexec_purgatory_size` may lie in kernels that
/// make both with bin2c (5.10): the same object file, padded to 32 bytes.
const SIZE_DISTANCE: usize = 64;

/// Returns the kernel's own version text, as `file` shows it.
pub(crate) fn version(image: &[u8]) -> Result<String> {
    let start = 0x200 + usize::from(u16::from_le_bytes(field(image, 0x20e)?));
    let text = image.get(start..).unwrap_or_default();
    let end = text
        .iter()
        .position(|byte| matches!(byte, 0 | b' '))
        .unwrap_or(0);
    Ok(String::from_utf8_lossy(&text[..end]).into_owned())
}

/// Unpacks the vmlinux of a bzImage (Documentation/arch/x86/boot.rst).
pub(crate) fn unpack(image: &[u8]) -> Result<Vec<u8>> {
    ensure!(
        field(image, 0x202)? == *b"HdrS",
        "no bzImage: no `HdrS` at 0x202"
    );
    let protocol = u16::from_le_bytes(field(image, 0x206)?);
    ensure!(
        protocol >= 0x208,
        "boot protocol {protocol:#x} has no payload field; 0x208 has"
    );
    // 0 means 4 in the field setup_sects.
    let setup = match field(image, 0x1f1)? {
        [0] => 4,
        [sectors] => usize::from(sectors),
    };
    let start = (setup + 1) * 512 + u32::from_le_bytes(field(image, 0x248)?) as usize;
    let length = u32::from_le_bytes(field(image, 0x24c)?) as usize;
    let payload = image
        .get(start..start + length)
        .context("the payload is cut off")?;
    let vmlinux = decompress(payload).context("unpacking the payload")?;
    ensure!(
        vmlinux.starts_with(b"\x7fELF"),
        "the payload is no ELF file"
    );
    Ok(vmlinux)
}

/// Decompresses, and compares with the length that the kernel's build appends.
fn decompress(payload: &[u8]) -> Result<Vec<u8>> {
    let (stream, length) = payload
        .split_last_chunk::<4>()
        .context("the payload is empty")?;
    let mut plain = Vec::with_capacity(u32::from_le_bytes(*length) as usize);
    match payload {
        // gzip's own trailer ends in the length.
        [0x1f, 0x8b, ..] => {
            flate2::read::GzDecoder::new(payload).read_to_end(&mut plain)?;
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            liblzma::read::XzDecoder::new(stream).read_to_end(&mut plain)?;
        }
        [0x02, 0x21, 0x4c, 0x18, ..] => {
            lz4_flex::frame::FrameDecoder::new(stream).read_to_end(&mut plain)?;
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let mut decoder = FrameDecoder::new();
            decoder.set_max_window_size(ZSTD_WINDOW);
            let mut decoder = StreamingDecoder::new_with_decoder(stream, decoder)?;
            io::copy(&mut decoder, &mut plain)?;
        }
        other => bail!(
            "neither gzip, xz, lz4 nor zstd: it begins with {:02x?}",
            &other[..other.len().min(6)]
        ),
    }
    let length = u32::from_le_bytes(*length) as usize;
    ensure!(
        plain.len() == length,
        "{} bytes instead of {length}",
        plain.len()
    );
    Ok(plain)
}

/// Where a kernel keeps its purgatory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// The file itself.
    pub(crate) blob: Range<usize>,
    /// The kernel's `kexec_purgatory_size`, 8 bytes.
    size: usize,
}

impl Slot {
    /// Finds the one relocatable x86-64 ELF file that knows its own size.
    pub(crate) fn find(vmlinux: &[u8]) -> Result<Self> {
        let files = memmem::find_iter(vmlinux, ELF);
        let mut slots = files.filter_map(|start| Self::at(vmlinux, start));
        let slot = slots
            .next()
            .context("no purgatory in this kernel: it was built without CONFIG_KEXEC_FILE")?;
        ensure!(
            slots.next().is_none(),
            "this kernel seems to have two purgatories"
        );
        Ok(slot)
    }

    fn at(vmlinux: &[u8], start: usize) -> Option<Self> {
        let file = &vmlinux[start..];
        // Type REL, machine x86-64.
        if file.get(16..20)? != [1, 0, 62, 0] {
            return None;
        }
        // `ld -r` writes the section headers last.
        let headers = u64::from_le_bytes(field(file, 0x28).ok()?);
        let count = u16::from_le_bytes(field(file, 0x3c).ok()?);
        let length = usize::try_from(headers)
            .ok()?
            .checked_add(usize::from(count) * 64)?;
        let end = start.checked_add(length)?;
        let is_size = |at: &usize| {
            field(vmlinux, *at).is_ok_and(|bytes| u64::from_le_bytes(bytes) == length as u64)
        };
        // kexec-purgatory.S of 6.1 and later: padded to 8 bytes, then the size.
        let after = start + length.next_multiple_of(8);
        let near = start.saturating_sub(SIZE_DISTANCE)..start;
        let size = Some(after)
            .filter(is_size)
            .or_else(|| near.step_by(8).find(is_size))?;
        Some(Self {
            blob: start..end,
            size,
        })
    }

    /// Puts `blob` in the place of the kernel's own purgatory.
    pub(crate) fn replace(&self, vmlinux: &mut [u8], blob: &[u8]) -> Result<()> {
        let room = self.blob.len();
        ensure!(
            blob.len() <= room,
            "the blob has {} bytes, the place of this kernel's own purgatory {room}",
            blob.len()
        );
        let place = &mut vmlinux[self.blob.clone()];
        place.fill(0);
        place[..blob.len()].copy_from_slice(blob);
        vmlinux[self.size..self.size + 8].copy_from_slice(&(blob.len() as u64).to_le_bytes());
        Ok(())
    }
}

fn field<const SIZE: usize>(bytes: &[u8], at: usize) -> Result<[u8; SIZE]> {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk());
    field.copied().context("no bzImage: the file is too short")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// A bzImage whose payload is `payload`, with one setup sector.
    fn image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 1024];
        image[0x1f1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
        image[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
        image[0x300..0x306].copy_from_slice(b"6.1 (x");
        image[0x24c..0x250].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        image.extend_from_slice(payload);
        image
    }

    /// A kernel with a purgatory of 70 bytes (a header and no section).
    fn kernel(size_before: bool) -> Vec<u8> {
        let mut kernel = b"\x7fELF a kernel ".repeat(10);
        kernel.resize(160, 0);
        if size_before {
            kernel.extend_from_slice(&70_u64.to_le_bytes());
            kernel.resize(192, 0);
        }
        let start = kernel.len();
        kernel.extend_from_slice(b"\x7fELF\x02\x01\x01");
        kernel.resize(start + 72, 0);
        kernel[start + 16..start + 20].copy_from_slice(&[1, 0, 62, 0]);
        kernel[start + 0x28] = 70;
        if !size_before {
            kernel.extend_from_slice(&70_u64.to_le_bytes());
        }
        kernel.extend_from_slice(&[0xaa; 100]);
        kernel
    }

    fn with_length(mut stream: Vec<u8>, plain: &[u8]) -> Vec<u8> {
        stream.extend_from_slice(&u32::try_from(plain.len()).unwrap().to_le_bytes());
        stream
    }

    #[test]
    fn unpacks_every_compression() -> Result<()> {
        let plain = kernel(false);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain)?;
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&plain)?;
        // The crate reads the legacy frame, but writes the current one only.
        let block = lz4_flex::block::compress(&plain);
        let size = u32::try_from(block.len())?.to_le_bytes();
        let lz4 = [&[0x02, 0x21, 0x4c, 0x18], &size[..], &block].concat();
        let zstd = ruzstd::encoding::compress_to_vec(
            plain.as_slice(),
            ruzstd::encoding::CompressionLevel::Fastest,
        );
        for payload in [
            gzip.finish()?,
            with_length(xz.finish()?, &plain),
            with_length(lz4, &plain),
            with_length(zstd, &plain),
        ] {
            let image = image(&payload);
            assert_eq!(unpack(&image)?, plain);
            assert_eq!(version(&image)?, "6.1");
            let cut = &image[..image.len() - 1];
            assert!(unpack(cut).unwrap_err().to_string().contains("cut off"));
        }
        Ok(())
    }

    #[test]
    fn names_what_is_no_bzimage() {
        assert!(
            unpack(b"short")
                .unwrap_err()
                .to_string()
                .contains("no bzImage")
        );
        assert!(unpack(&[0; 2048]).unwrap_err().to_string().contains("HdrS"));
        let error = format!("{:#}", unpack(&image(b"BZh91AY")).unwrap_err());
        assert!(error.contains("neither gzip"), "{error}");
    }

    #[test]
    fn replaces_the_purgatory_and_its_size_wherever_that_is() -> Result<()> {
        for size_before in [false, true] {
            let original = kernel(size_before);
            let mut patched = original.clone();
            let slot = Slot::find(&patched)?;
            assert_eq!(slot.blob.len(), 70);
            let error = slot
                .replace(&mut patched, &[1; 71])
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("71 bytes") && error.contains("70"),
                "{error}"
            );
            assert_eq!(patched, original);
            slot.replace(&mut patched, &[1; 69])?;
            assert_eq!(&patched[slot.blob.clone()], [&[1; 69][..], &[0]].concat());
            let changed = original
                .iter()
                .zip(&patched)
                .filter(|(a, b)| a != b)
                .count();
            let size = patched[slot.size];
            assert_eq!((size, patched.len()), (69, original.len()));
            assert!(changed <= 71, "{changed} bytes changed");
        }
        Ok(())
    }

    #[test]
    fn a_kernel_without_purgatory_is_named() {
        let mut kernel = kernel(false);
        let slot = Slot::find(&kernel).unwrap();
        kernel[slot.size] += 1;
        let error = Slot::find(&kernel).unwrap_err().to_string();
        assert!(error.contains("CONFIG_KEXEC_FILE"), "{error}");
    }
}
