// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device tree that the first kernel handed over (Devicetree specification,
//! chapter 5), as far as a clock and a console of last resort need it.
//!
//! It is memory like any other, perhaps what was damaged: whoever reads it does so
//! under a guard, each step leads on, and nothing in it leads out of its own bounds.

use super::{
    io::{Bus, load, load_byte},
    machine,
};
use crate::{abi::Region, memory, uart::Uart};

/// Larger than any that a machine has.
const LARGEST: u32 = 1 << 24;

/// A property: where its name and its value are.
#[derive(Clone, Copy)]
struct Property {
    name: u64,
    value: u64,
    len: u32,
}

/// Returns how fast the timer runs, in Hz.
pub(super) fn timebase() -> Option<u32> {
    properties()
        .flatten()
        .find(|property| property.is_called(b"timebase-frequency\0"))
        .map(|property| property.number(0))
}

/// Returns the first UART that [`Uart`] can drive, unless it is switched off or lies
/// where memory is in use.
pub(super) fn uart() -> Option<Uart> {
    let mut node = Node::default();
    // A last node that is none ends the one before.
    for token in properties().chain([None]) {
        let Some(property) = token else {
            if let Some(uart) = node.uart() {
                return Some(uart);
            }
            node = Node::default();
            continue;
        };
        if property.is_called(b"compatible\0") {
            node.fits = property.lists(b"ns16550a\0") || property.lists(b"snps,dw-apb-uart\0");
        } else if property.is_called(b"status\0") {
            node.off = !property.lists(b"okay\0");
        } else if property.is_called(b"reg\0") {
            // Address and size, in one or two words each.
            node.base = match property.len {
                8 => property.number(0).into(),
                16 => u64::from(property.number(0)) << 32 | u64::from(property.number(4)),
                _ => 0,
            };
        } else if property.is_called(b"reg-shift\0") {
            node.shift = property.number(0);
        } else if property.is_called(b"reg-io-width\0") {
            node.width = property.number(0);
        }
    }
    None
}

/// What a node says of a UART.
#[derive(Default)]
struct Node {
    fits: bool,
    off: bool,
    base: u64,
    shift: u32,
    width: u32,
}

impl Node {
    fn uart(&self) -> Option<Uart> {
        let bus = match (self.width, self.shift) {
            (4, 2) => Bus::Words,
            (0 | 1, shift @ 0..=2) => Bus::Bytes(1 << shift),
            _ => return None,
        };
        let registers = Region {
            start: self.base,
            len: Uart::SPAN,
        };
        let usable = self.fits && !self.off && self.base != 0 && !memory::is_taken(&registers);
        usable.then_some(Uart {
            bus,
            base: self.base,
        })
    }
}

impl Property {
    fn is_called(&self, name: &[u8]) -> bool {
        reads(self.name, name)
    }

    /// Tells whether one of the strings of its value is this one, which ends with a 0.
    fn lists(&self, string: &[u8]) -> bool {
        let mut begins = true;
        (0..u64::from(self.len)).any(|offset| {
            let place = self.value.wrapping_add(offset);
            let found = begins && reads(place, string);
            begins = load_byte(place) == 0;
            found
        })
    }

    /// Returns a word of its value, 0 where it has none.
    fn number(&self, offset: u32) -> u32 {
        if offset < self.len {
            word(self.value.wrapping_add(offset.into()))
        } else {
            0
        }
    }
}

/// Walks all properties of the tree; between those of two nodes there is a `None`.
fn properties() -> impl Iterator<Item = Option<Property>> {
    const MAGIC: u32 = 0xd00d_feed;
    const BEGIN_NODE: u32 = 1;
    const END_NODE: u32 = 2;
    const PROPERTY: u32 = 3;

    let tree = machine::tree();
    // The header: magic, size, structure, strings …, size of the structure.
    let header = |index: u64| word(tree.wrapping_add(index.wrapping_mul(4)));
    let (mut at, mut end, mut strings, mut size) = (0, 0, 0, 0);
    if tree != 0 && tree.is_multiple_of(8) && header(0) == MAGIC {
        size = header(1).min(LARGEST);
        at = u64::from(header(2).min(size) & !3);
        end = at.wrapping_add(header(9).min(size).into());
        strings = header(3);
    }
    core::iter::from_fn(move || {
        while at < end {
            let here = tree.wrapping_add(at);
            at = at.wrapping_add(4);
            match word(here) {
                BEGIN_NODE | END_NODE => return Some(None),
                PROPERTY => {
                    let len = word(here.wrapping_add(4)).min(size);
                    let name = strings.wrapping_add(word(here.wrapping_add(8)));
                    at = at
                        .wrapping_add(8)
                        .wrapping_add(u64::from(len.wrapping_add(3) & !3));
                    return Some(Some(Property {
                        name: tree.wrapping_add(name.min(size).into()),
                        value: here.wrapping_add(12),
                        len,
                    }));
                }
                // Nothing, or letters of a node's name, which are no such number.
                _ => (),
            }
        }
        None
    })
}

/// Tells whether these bytes are at a place.
fn reads(place: u64, bytes: &[u8]) -> bool {
    (place..)
        .zip(bytes)
        .all(|(place, byte)| load_byte(place) == *byte)
}

/// Reads a word of the tree, which is big-endian.
fn word(place: u64) -> u32 {
    u32::from_be(load(place))
}
