// SPDX-License-Identifier: MIT OR Apache-2.0
//! The decision itself, on host memory: what is accepted, what is refused and
//! why, and what the record says afterwards.

use std::{
    array,
    cell::RefCell,
    sync::{Mutex, MutexGuard, PoisonError},
};

use proptest::{collection::vec, prelude::*, sample::Index};
use purgatory::{
    abi::{
        Backend, Digest, EXPECTED_DIGEST, Handoff, Imported, REGION_COUNT, REGIONS, Region, Regions,
    },
    arch::{ADDRESS_LIMIT, BACKENDS, Usable},
    memory::{Flaw, Image},
    purgatory_verify,
    status::{Phase, STATUS, Status, Verdict},
    verify::{Outcome, Refusal, verify},
};
use sha2::{Digest as _, Sha256};

/// Describes a piece of this process's memory as a loader would.
fn region(bytes: &[u8]) -> Region {
    Region {
        start: bytes.as_ptr().expose_provenance() as u64,
        len: bytes.len() as u64,
    }
}

/// Fills the table from its first entry on, as the kernel does.
fn table<const N: usize>(pieces: [&[u8]; N]) -> Regions {
    const { assert!(N <= REGION_COUNT) };
    let mut regions = Regions::default();
    for (entry, bytes) in regions.iter_mut().zip(pieces) {
        *entry = region(bytes);
    }
    regions
}

fn digest<const N: usize>(pieces: [&[u8]; N]) -> Digest {
    let bytes: [u8; 32] = Sha256::digest(pieces.concat()).into();
    array::from_fn(|word| u64::from_ne_bytes(bytes.as_chunks().0[word]))
}

/// Flips a bit of a digest's bytes.
const fn flip(digest: &mut Digest, bit: usize) {
    let mut bytes = digest[bit / 64].to_ne_bytes();
    bytes[bit / 8 % 8] ^= 1 << (bit % 8);
    digest[bit / 64] = u64::from_ne_bytes(bytes);
}

thread_local! {
    /// What the last check of this thread told of its progress.
    static TOLD: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Checks a table whose plausible regions are memory of this process.
fn check(regions: Regions, expected: &Digest) -> Outcome {
    check_handoff(regions, expected, None)
}

fn check_handoff(regions: Regions, expected: &Digest, handoff: Option<Handoff>) -> Outcome {
    TOLD.take();
    let table = regions.map(Imported::new);
    // SAFETY: the callers' tables describe memory that lives until they have the
    // answer; regions that are none are refused before they are read.
    let image = unsafe { Image::new(&table) };
    verify(&image, expected, handoff, Usable::PORTABLE, |bytes| {
        TOLD.with_borrow_mut(|told| told.push(bytes));
    })
}

/// What of an outcome can be written down: nobody but `verify` makes a [`Verified`].
///
/// [`Verified`]: purgatory::verify::Verified
type Ended = (Result<(), Refusal>, u64, Digest);

const fn ended(verdict: Result<(), Refusal>, bytes: u64, computed: Digest) -> Ended {
    (verdict, bytes, computed)
}

fn seen(outcome: Outcome) -> Ended {
    (outcome.verdict.map(drop), outcome.bytes, outcome.computed)
}

fn accepted(regions: Regions, expected: &Digest) -> bool {
    check(regions, expected).verdict.is_ok()
}

/// Bytes without a pattern that a moved or swapped region could repeat.
fn memory<const N: usize>() -> [u8; N] {
    array::from_fn(|i| (i as u8).wrapping_mul(7) ^ (i >> 8) as u8)
}

/// Cuts memory into a long, a short and a tiny region.
fn pieces(memory: &[u8; 200]) -> [&[u8]; 3] {
    [&memory[..135], &memory[135..199], &memory[199..]]
}

#[test]
fn accepts_the_image_that_was_loaded() {
    let memory = memory();
    let digest = digest(pieces(&memory));
    assert_eq!(
        seen(check(table(pieces(&memory)), &digest)),
        ended(Ok(()), 200, digest)
    );
}

#[test]
fn refuses_one_flipped_bit_anywhere() {
    let mut memory = memory();
    let expected = digest(pieces(&memory));
    for bit in 0..memory.len() * 8 {
        memory[bit / 8] ^= 1 << (bit % 8);
        let computed = digest(pieces(&memory));
        let found = seen(check(table(pieces(&memory)), &expected));
        assert_eq!(found, ended(Err(Refusal::Mismatch), 200, computed));
        memory[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(accepted(table(pieces(&memory)), &expected));
}

#[test]
fn compares_every_bit_of_the_digest() {
    let memory = memory();
    let computed = digest(pieces(&memory));
    for bit in 0..256 {
        // Alone, and with that bit of the next word, which must not make up for it.
        for bits in [&[bit][..], &[bit, (bit + 64) % 256]] {
            let mut expected = computed;
            for bit in bits {
                flip(&mut expected, *bit);
            }
            let found = seen(check(table(pieces(&memory)), &expected));
            assert_eq!(found, ended(Err(Refusal::Mismatch), 200, computed));
        }
    }
}

#[test]
fn hashes_in_table_order_not_in_address_order() {
    let memory = memory();
    let [one, two, three] = pieces(&memory);
    let expected = digest([three, one, two]);
    assert!(accepted(table([three, one, two]), &expected));
    assert!(!accepted(table([one, two, three]), &expected));
}

#[test]
fn refuses_a_region_that_cannot_be_memory() {
    use Flaw::{StartsAtZero, TooHigh, Wraps};
    let good = memory::<200>();
    let cases = [
        (0, 1, StartsAtZero),
        (0, u64::MAX, StartsAtZero),
        (1, u64::MAX, Wraps),
        (u64::MAX, 1, Wraps),
        (u64::MAX - 4095, 4096, Wraps),
        (0x1000, u64::MAX - 0xfff, Wraps),
        (ADDRESS_LIMIT, 1, TooHigh),
        (ADDRESS_LIMIT - 4096, 4097, TooHigh),
        (1, ADDRESS_LIMIT, TooHigh),
    ];
    for (start, len, flaw) in cases {
        for index in 0..REGION_COUNT as u32 {
            let mut regions = [region(&good); REGION_COUNT];
            regions[index as usize] = Region { start, len };
            assert_eq!(
                seen(check(regions, &[0; 4])),
                ended(Err(Refusal::BadRegion { index, flaw }), 0, [0; 4]),
                "{start:#x} {len:#x}"
            );
            assert_eq!(TOLD.take(), [], "hashed before the whole table was seen");
        }
    }
}

/// The entry behind it ends the check, so that nothing is read there.
#[test]
fn a_region_may_end_where_addresses_do() {
    let mut regions = Regions::default();
    regions[0] = Region {
        start: ADDRESS_LIMIT - 4096,
        len: 4096,
    };
    regions[1] = Region { start: 0, len: 1 };
    let (index, flaw) = (1, Flaw::StartsAtZero);
    let refusal = Refusal::BadRegion { index, flaw };
    assert_eq!(check(regions, &[0; 4]).verdict, Err(refusal));
}

#[test]
fn never_looks_at_the_start_of_an_empty_entry() {
    let memory = memory();
    let [one, two, three] = pieces(&memory);
    let expected = digest([one, two, three]);
    for start in [0, 1, ADDRESS_LIMIT, u64::MAX] {
        let empty = Region { start, len: 0 };
        let mut regions = [empty; REGION_COUNT];
        for (entry, bytes) in [(2, one), (7, two), (15, three)] {
            regions[entry] = region(bytes);
        }
        assert!(accepted(regions, &expected), "{start:#x}");
    }
}

#[test]
fn an_empty_table_needs_the_digest_of_nothing() {
    let nothing = digest([]);
    let verified = ended(Ok(()), 0, nothing);
    assert_eq!(seen(check(Regions::default(), &nothing)), verified);
    let zero = digest([&[0]]);
    for other in [[0; 4], zero] {
        let refused = ended(Err(Refusal::TableWiped), 0, nothing);
        assert_eq!(seen(check(Regions::default(), &other)), refused);
    }
    // A single byte is something.
    let refused = ended(Err(Refusal::Mismatch), 1, zero);
    assert_eq!(seen(check(table([&[0]]), &nothing)), refused);
}

#[test]
fn hashes_regions_that_overlap_as_often_as_they_are_named() {
    let memory = memory::<200>();
    let pieces = [&memory[..120], &memory[60..], &memory[..], &memory[..120]];
    assert!(accepted(table(pieces), &digest(pieces)));
}

#[test]
fn tells_its_progress_up_to_the_last_byte() {
    let memory = vec![0x5a; (3 << 20) + 17];
    let pieces = [&memory[..100], &memory, &memory[..1 << 20]];
    assert!(accepted(table(pieces), &digest(pieces)));
    let told = TOLD.take();
    let mut before = 0;
    for bytes in &told {
        let step = bytes.checked_sub(before);
        assert!(
            step.is_some_and(|step| (1..=1 << 20).contains(&step)),
            "{told:?}"
        );
        before = *bytes;
    }
    assert_eq!(before, pieces.map(<[u8]>::len).iter().sum::<usize>() as u64);
    assert_eq!(told.len(), 1 + 4 + 1, "{told:?}");
}

proptest! {
    #[test]
    fn hashes_any_sixteen_regions_as_one_message(
        memory in vec(any::<u8>(), 1..5000),
        bounds in any::<[(Index, Index); REGION_COUNT]>(),
        flipped in any::<Option<(Index, u8)>>(),
    ) {
        let pieces = bounds.map(|(one, other)| {
            let [one, other] = [one, other].map(|index| index.index(memory.len() + 1));
            &memory[one.min(other)..one.max(other)]
        });
        let computed = digest(pieces);
        let mut expected = computed;
        if let Some((byte, bit)) = flipped {
            flip(&mut expected, byte.index(32) * 8 + usize::from(bit % 8));
        }
        let bytes = pieces.map(<[u8]>::len).iter().sum::<usize>() as u64;
        let found = seen(check(table(pieces), &expected));
        let verdict = match flipped {
            None => Ok(()),
            Some(_) if bytes == 0 => Err(Refusal::TableWiped),
            Some(_) => Err(Refusal::Mismatch),
        };
        let promised = ended(verdict, bytes, computed);
        prop_assert_eq!(found, promised);
    }
}

/// What the exported function returned and left in the record.
#[derive(Debug, PartialEq)]
struct Record {
    returned: u32,
    phase: u32,
    verdict: u32,
    backend: u32,
    bytes: u64,
}

/// Has the exported tables and the record to itself: they are one for the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static TABLES: Mutex<()> = Mutex::new(());
    TABLES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls the exported function as a loader would: through the exported tables.
fn call(regions: Regions, expected: Digest, backend: u32) -> (Record, u32, Digest) {
    let _alone = alone();
    // SAFETY: nothing else uses the table meanwhile; it is a cell.
    unsafe {
        (&raw const REGIONS)
            .cast_mut()
            .cast::<Regions>()
            .write_volatile(regions)
    };
    // SAFETY: as above.
    unsafe {
        (&raw const EXPECTED_DIGEST)
            .cast_mut()
            .cast::<Digest>()
            .write_volatile(expected)
    };
    // SAFETY: every CPU has the portable backend, and no other is asked for; the
    // callers' tables describe memory of this process.
    let returned = unsafe { purgatory_verify(backend) };
    let record = Record {
        returned,
        phase: STATUS.phase.read(),
        verdict: STATUS.verdict.read(),
        backend: STATUS.backend.read(),
        bytes: STATUS.bytes.read(),
    };
    assert_eq!(STATUS.magic.read().to_ne_bytes(), Status::MAGIC);
    assert_eq!(STATUS.version.read(), Status::VERSION);
    assert_eq!(STATUS.size.read() as usize, size_of::<Status>());
    (record, STATUS.region.read(), STATUS.digest.read())
}

#[test]
fn the_record_tells_how_a_check_ended() {
    let memory = memory();
    let regions = table(pieces(&memory));
    let right = digest(pieces(&memory));
    let nothing = digest([]);
    let mut wrong = right;
    flip(&mut wrong, 255);
    let mut bad = regions;
    bad[1].start = 0;
    let backend = Backend::Portable.number();
    let ended = |returned, phase: Phase, verdict: Verdict, bytes| Record {
        returned,
        phase: phase.number(),
        verdict: verdict.number(),
        backend,
        bytes,
    };
    let empty = Regions::default();
    let cases = [
        (
            regions,
            right,
            ended(0, Phase::Verifying, Verdict::Match, 200),
            right,
        ),
        (
            empty,
            nothing,
            ended(0, Phase::Verifying, Verdict::Nothing, 0),
            nothing,
        ),
        (
            regions,
            wrong,
            ended(1, Phase::Refused, Verdict::Mismatch, 200),
            right,
        ),
        (
            empty,
            right,
            ended(1, Phase::Refused, Verdict::TableWiped, 0),
            nothing,
        ),
    ];
    for (regions, expected, promised, computed) in cases {
        let (found, _, digest) = call(regions, expected, backend);
        assert_eq!((found, digest), (promised, computed));
    }
    let (found, index, digest) = call(bad, right, backend);
    assert_eq!(
        (found, index),
        (ended(1, Phase::Refused, Verdict::BadRegion, 0), 1)
    );
    assert_eq!(digest, [0; 4], "of a check that never hashed");
}

#[test]
fn a_number_that_is_no_backend_checks_nothing() {
    let memory = memory();
    for number in [0, 2, 7, u32::MAX] {
        let (found, ..) = call(table(pieces(&memory)), digest(pieces(&memory)), number);
        assert_eq!(found.returned, 2, "backend {number}");
    }
    for backend in BACKENDS {
        assert_eq!(Backend::from_number(backend.number()), Some(*backend));
    }
}

#[test]
fn backends_have_names() {
    let names = Backend::ALL.map(Backend::name);
    assert_eq!(names, ["portable", "sha-ni", "sse2", "zknh", "zvknh"]);
}

/// Nobody else looks at the register image.
#[test]
fn the_handoff_leads_into_a_region_that_was_hashed() {
    let memory = memory();
    let regions = table(pieces(&memory));
    let expected = digest(pieces(&memory));
    let [first, _, last] = pieces(&memory).map(region);
    let verdict = |entry, argument| {
        let handoff = Some(Handoff { entry, argument });
        check_handoff(regions, &expected, handoff).verdict.map(drop)
    };
    let end = last.start + last.len;
    for inside in [first.start, first.start + first.len - 1, end - 1] {
        assert_eq!(verdict(inside, inside), Ok(()));
        assert_eq!(verdict(inside, 0), Ok(()), "no argument");
    }
    for outside in [first.start - 1, end, u64::MAX, 1] {
        let entry = Err(Refusal::EntryAstray(outside));
        assert_eq!(verdict(outside, first.start), entry);
        let argument = Err(Refusal::ArgumentAstray(outside));
        assert_eq!(verdict(first.start, outside), argument);
    }
    assert_eq!(verdict(0, 0), Err(Refusal::EntryAstray(0)));
    // What hashes to something else is that, wherever the handoff leads.
    let handoff = Some(Handoff {
        entry: 1,
        argument: 1,
    });
    let wrong = check_handoff(regions, &[0; 4], handoff).verdict;
    assert_eq!(wrong, Err(Refusal::Mismatch));
    // And where nothing was hashed, there is nothing to lead into.
    let empty = check_handoff(Regions::default(), &digest([]), handoff);
    assert!(empty.verdict.is_ok());
}
