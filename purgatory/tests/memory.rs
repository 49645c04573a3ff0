// SPDX-License-Identifier: MIT OR Apache-2.0
//! The blob's own memcpy, memmove, memset, memcmp and bcmp against the obvious:
//! every alignment, every length up to a few cache lines, every overlap.
#![cfg(any(target_arch = "riscv64", target_arch = "x86_64"))]

#[cfg(target_arch = "riscv64")]
use purgatory::arch::riscv64::mem;
#[cfg(target_arch = "x86_64")]
use purgatory::arch::x86_64::mem;

const ALIGNMENTS: usize = 16;
const LENGTHS: usize = 131;
/// Where targets lie: a multiple of every alignment, with as much room before
/// them as any function could wrongly take.
const BASE: usize = 144;
/// Room for every length at every alignment, and as much around it.
const ROOM: usize = 3 * (LENGTHS + ALIGNMENTS);

/// Memory whose bytes differ from their neighbours; `salt` tells two apart.
#[repr(C, align(64))]
#[derive(Clone, PartialEq)]
struct Memory([u8; ROOM]);

impl Memory {
    fn new(salt: u8) -> Self {
        Self(std::array::from_fn(|i| {
            (i as u8).wrapping_mul(31) ^ (i >> 8) as u8 ^ salt
        }))
    }

    /// Says what differs from `expected`, at an address relative to `target`.
    #[track_caller]
    fn must_be(&self, expected: &Self, target: usize, what: impl FnOnce() -> String) {
        if self != expected {
            let at = (self.0.iter().zip(&expected.0)).position(|(is, should)| is != should);
            let offset = at.unwrap_or_default() as isize - target as isize;
            panic!("{}: byte {offset} of the target is wrong", what());
        }
    }
}

/// Every pair of alignments, in memory that starts at a multiple of 64.
fn alignments() -> impl Iterator<Item = (usize, usize)> {
    (0..ALIGNMENTS).flat_map(|one| (0..ALIGNMENTS).map(move |other| (one, other)))
}

#[test]
fn copies_exactly_the_bytes_asked_for() {
    for function in [mem::memcpy, mem::memmove] {
        let [from, before] = [0, 0x55].map(Memory::new);
        for (to_at, from_at) in alignments() {
            for length in 0..LENGTHS {
                let [mut to, mut expected] = [before.clone(), before.clone()];
                let to_at = BASE + to_at;
                expected.0[to_at..][..length].copy_from_slice(&from.0[from_at..][..length]);
                let target = to.0[to_at..].as_mut_ptr();
                // SAFETY: both ranges lie in their arrays, which are two.
                let returned = unsafe { function(target, from.0[from_at..].as_ptr(), length) };
                assert_eq!(returned, target);
                to.must_be(&expected, to_at, || {
                    format!("{length} bytes from alignment {from_at} to {to_at}")
                });
            }
        }
    }
}

#[test]
fn moves_between_ranges_that_overlap() {
    let before = Memory::new(0);
    for alignment in 0..ALIGNMENTS {
        let from_at = BASE + alignment;
        for to_at in from_at - LENGTHS..=from_at + LENGTHS {
            for length in 0..LENGTHS {
                let [mut memory, mut expected] = [before.clone(), before.clone()];
                expected.0.copy_within(from_at..from_at + length, to_at);
                let start = memory.0.as_mut_ptr();
                let target = start.wrapping_add(to_at);
                // SAFETY: both ranges lie in the array that `start` points to.
                let returned = unsafe { mem::memmove(target, start.wrapping_add(from_at), length) };
                assert_eq!(returned, target);
                memory.must_be(&expected, to_at, || {
                    format!("{length} bytes from {from_at} to {to_at}")
                });
            }
        }
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn leaves_the_direction_flag_clear() {
    let mut memory = Memory::new(0);
    let start = memory.0.as_mut_ptr();
    let flags: u64;
    // SAFETY: both ranges lie in the array, and overlap such that it copies downwards.
    unsafe { mem::memmove(start.wrapping_add(1), start, 100) };
    // SAFETY: pushes a word and pops it again.
    unsafe { std::arch::asm!("pushfq", "pop {}", out(reg) flags) };
    assert_eq!(flags & (1 << 10), 0);
}

#[test]
fn fills_exactly_the_bytes_asked_for() {
    let before = Memory::new(0);
    for alignment in 0..ALIGNMENTS {
        for length in 0..LENGTHS {
            // Only the low byte counts (C11 7.24.6.1).
            for value in [0, 1, 0x80, 0xff, -1, 0x1234_56a5] {
                let [mut memory, mut expected] = [before.clone(), before.clone()];
                let at = BASE + alignment;
                expected.0[at..][..length].fill(value as u8);
                let target = memory.0[at..].as_mut_ptr();
                // SAFETY: the range lies in the array.
                let returned = unsafe { mem::memset(target, value, length) };
                assert_eq!(returned, target);
                memory.must_be(&expected, at, || format!("{length} bytes of {value:#x}"));
            }
        }
    }
}

/// Compares through `memcmp`, and through `bcmp`, which need not tell the sign.
fn compare(one: &[u8], other: &[u8]) -> std::cmp::Ordering {
    assert_eq!(one.len(), other.len());
    // SAFETY: both are slices of that length.
    let sign = unsafe { mem::memcmp(one.as_ptr(), other.as_ptr(), one.len()) };
    // SAFETY: the same.
    let differs = unsafe { mem::bcmp(one.as_ptr(), other.as_ptr(), one.len()) };
    assert_eq!(sign == 0, differs == 0, "memcmp {sign}, bcmp {differs}");
    sign.cmp(&0)
}

#[test]
fn compares_up_to_the_first_difference() {
    let before = [0, 0x55].map(Memory::new);
    for (one_at, other_at) in alignments() {
        for length in 0..LENGTHS {
            let [mut one, mut other] = before.clone();
            other.0[other_at..][..length].copy_from_slice(&one.0[one_at..][..length]);
            let ranges = (one_at..one_at + length, other_at..other_at + length);
            let what = format!("{length} bytes at alignments {one_at} and {other_at}");
            // The bytes before and behind differ, and must not count.
            let equal = compare(&one.0[ranges.0.clone()], &other.0[ranges.1.clone()]);
            assert!(equal.is_eq(), "{what}");
            let positions = [0, length / 2, length.saturating_sub(1)];
            for position in positions.into_iter().filter(|position| *position < length) {
                // Bytes are unsigned; what follows the first difference is ignored.
                for (low, high) in [(0, 1), (0, 0xff), (0x7f, 0x80), (0x80, 0x81)] {
                    one.0[one_at + position..][..2].copy_from_slice(&[low, high]);
                    other.0[other_at + position..][..2].copy_from_slice(&[high, low]);
                    let (one, other) = (&one.0[ranges.0.clone()], &other.0[ranges.1.clone()]);
                    assert!(compare(one, other).is_lt(), "{what}, byte {position}");
                    assert!(compare(other, one).is_gt(), "{what}, byte {position}");
                }
                one.0[one_at + position..][..2].fill(0xff);
                other.0[other_at + position..][..2].fill(0xff);
            }
        }
    }
}

#[test]
fn compares_every_byte() {
    let one = Memory::new(0);
    for position in 0..LENGTHS {
        for bit in 0..8 {
            let mut other = one.clone();
            other.0[position] ^= 1 << bit;
            let expected = one.0[position].cmp(&other.0[position]);
            let (one, other) = (&one.0[..LENGTHS], &other.0[..LENGTHS]);
            assert_eq!(
                compare(one, other),
                expected,
                "bit {bit} of byte {position}"
            );
        }
    }
}
