// SPDX-License-Identifier: MIT OR Apache-2.0
//! What loaders, tools and the blob agree on, as far as it reckons.

use proptest::{array::uniform8, prelude::*};
use purgatory::{
    abi::{Region, checksum},
    status::Verdict,
};

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

#[test]
fn verdicts_have_numbers_and_words() {
    let mut words: Vec<_> = Verdict::ALL.iter().map(|one| one.words()).collect();
    for verdict in Verdict::ALL {
        assert_eq!(Verdict::from_number(verdict.number()), verdict);
    }
    assert_eq!(Verdict::from_number(u32::MAX), Verdict::None);
    assert!(words.iter().all(|words| words.len() > 3));
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), Verdict::ALL.len());
}

proptest! {
    #[test]
    fn a_changed_word_makes_another_sum(words in uniform8(any::<u64>()), at in 0..8_usize, bit in 0..64) {
        let mut changed = words;
        changed[at] ^= 1_u64 << bit;
        prop_assert_ne!(checksum(words), checksum(changed));
    }
}
