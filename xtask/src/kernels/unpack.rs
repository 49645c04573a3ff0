// SPDX-License-Identifier: MIT OR Apache-2.0
//! Takes a bzImage apart: the compressed payload is the vmlinux, which QEMU can start
//! by its PVH note. What is not compressed, QEMU starts as it is.

use std::io::{self, Read as _};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::header::SetupHeader;

/// The largest window of `zstd --ultra -22`, which the kernel's build uses.
const ZSTD_WINDOW: u64 = 128 << 20;

/// The header of an image of RISC-V and Arm (`Documentation/arch/riscv/boot-image-header.rst`):
/// where its magic is, and what.
const PLAIN: (usize, &[u8]) = (0x38, b"RSC\x05");

fn is_plain(image: &[u8]) -> bool {
    let (place, magic) = PLAIN;
    image
        .get(place..)
        .is_some_and(|rest| rest.starts_with(magic))
}

/// Returns what QEMU starts of a kernel.
pub(crate) fn program(image: &[u8]) -> Result<Vec<u8>> {
    match is_plain(image) {
        true => Ok(image.to_vec()),
        false => unpack(image),
    }
}

/// Returns the kernel's own version text, as `file` shows it.
pub(crate) fn version(image: &[u8]) -> Result<String> {
    const BANNER: &[u8] = b"Linux version ";
    if is_plain(image) {
        let start = memchr::memmem::find(image, BANNER).context("it has no version")?;
        let rest = &image[start + BANNER.len()..];
        let text = rest.split(|byte| *byte == b' ').next().unwrap_or_default();
        return Ok(String::from_utf8_lossy(text).into_owned());
    }
    let header = SetupHeader::of(image).map_err(|what| anyhow!("it {what}"))?;
    let start = 0x200 + usize::from(header.kernel_version.get());
    let text = image.get(start..).unwrap_or_default();
    let mut words = text.split(|byte| matches!(byte, 0 | b' '));
    Ok(String::from_utf8_lossy(words.next().unwrap_or_default()).into_owned())
}

/// Unpacks the vmlinux of a bzImage.
pub(crate) fn unpack(image: &[u8]) -> Result<Vec<u8>> {
    let header = SetupHeader::of(image).map_err(|what| anyhow!("it {what}"))?;
    let protocol = header.version.get();
    ensure!(
        protocol >= 0x208,
        "boot protocol {protocol:#x} has no payload field; 0x208 has"
    );
    let start = header.kernel_start() + header.payload_offset.get() as usize;
    let length = header.payload_length.get() as usize;
    let payload = image.get(start..start + length);
    let payload = payload.context("the payload is cut off")?;
    let vmlinux = decompress(payload).context("unpacking the payload")?;
    ensure!(
        vmlinux.starts_with(b"\x7fELF"),
        "the payload is no ELF file"
    );
    Ok(vmlinux)
}

/// Returns a module as the kernel takes it: newer packages compress them.
pub(super) fn module(file: Vec<u8>) -> Result<Vec<u8>> {
    if !file.starts_with(b"\xfd7zXZ") {
        return Ok(file);
    }
    let mut plain = Vec::new();
    lzma_rust2::XzReader::new(&*file, false).read_to_end(&mut plain)?;
    Ok(plain)
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
            lzma_rust2::XzReader::new(stream, false).read_to_end(&mut plain)?;
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// A bzImage whose payload is `payload`, with one setup sector.
    fn image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 1024];
        image[0x1f1] = 1;
        image[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
        image[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
        image[0x300..0x306].copy_from_slice(b"6.1 (x");
        image[0x24c..0x250].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        image.extend_from_slice(payload);
        image
    }

    fn with_length(mut stream: Vec<u8>, plain: &[u8]) -> Vec<u8> {
        stream.extend_from_slice(&u32::try_from(plain.len()).unwrap().to_le_bytes());
        stream
    }

    /// One bzImage for each compression.
    fn images() -> Result<(Vec<u8>, Vec<Vec<u8>>)> {
        let plain = b"\x7fELF a kernel ".repeat(10);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain)?;
        let options = lzma_rust2::XzOptions::with_preset(1);
        let mut xz = lzma_rust2::XzWriter::new(Vec::new(), options)?;
        xz.write_all(&plain)?;
        // The crate reads the legacy frame, but writes the current one only.
        let block = lz4_flex::block::compress(&plain);
        let size = u32::try_from(block.len())?.to_le_bytes();
        let lz4 = [&[0x02, 0x21, 0x4c, 0x18], &size[..], &block].concat();
        let zstd = ruzstd::encoding::compress_to_vec(
            plain.as_slice(),
            ruzstd::encoding::CompressionLevel::Fastest,
        );
        let payloads = [
            gzip.finish()?,
            with_length(xz.finish()?, &plain),
            with_length(lz4, &plain),
            with_length(zstd, &plain),
        ];
        Ok((
            plain,
            payloads.iter().map(|payload| image(payload)).collect(),
        ))
    }

    #[test]
    fn no_damage_makes_it_panic() {
        crate::feed::fuzz(&images().unwrap().1, |bytes| {
            let _ = version(bytes);
            let _ = unpack(bytes);
        });
    }

    #[test]
    fn unpacks_every_compression() -> Result<()> {
        let (plain, images) = images()?;
        for image in images {
            assert_eq!(unpack(&image)?, plain);
            assert_eq!(version(&image)?, "6.1");
            let cut = &image[..image.len() - 1];
            assert!(unpack(cut).unwrap_err().to_string().contains("cut off"));
        }
        Ok(())
    }

    #[test]
    fn names_what_is_no_bzimage() {
        for other in [&b"short"[..], &[0; 2048]] {
            let error = unpack(other).unwrap_err().to_string();
            assert!(error.contains("no bzImage"), "{error}");
        }
        let error = format!("{:#}", unpack(&image(b"BZh91AY")).unwrap_err());
        assert!(error.contains("neither gzip"), "{error}");
    }
}
