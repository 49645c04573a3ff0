// SPDX-License-Identifier: MIT OR Apache-2.0
//! What loaders, tools and the blob agree on, as far as it reckons.

use proptest::{array::uniform8, prelude::*};
use purgatory::abi::{Region, checksum};

#[test]
fn regions_overlap_where_they_share_a_byte() {
    let regions = (0..10).flat_map(|start| (1..6).map(move |len| Region { start, len }));
    for one in regions.clone() {
        for other in regions.clone() {
            let ends = [one, other].map(|region| region.start + region.len);
            let shares = one.start.max(other.start) < ends[0].min(ends[1]);
            assert_eq!(one.overlaps(&other), shares, "{one:?} {other:?}");
        }
    }
}

proptest! {
    #[test]
    fn a_changed_word_makes_another_sum(words in uniform8(any::<u64>()), at in 0..8_usize, bit in 0..64) {
        let mut changed = words;
        changed[at] ^= 1_u64 << bit;
        prop_assert_ne!(checksum(words), checksum(changed));
    }
}
