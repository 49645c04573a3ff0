//! Records in words, in a dump and in a running machine.

use std::{
    io::{Seek as _, Write as _},
    mem::offset_of,
};

use blob::status::SIZE;

use super::*;
use crate::vm::qemu::Machine;
use blob::record::set_field;

fn record(fields: &[(usize, &[u8])]) -> Record {
    let mut record = [0; SIZE];
    set_field(&mut record, offset_of!(Status, magic), &Status::MAGIC);
    set_field(&mut record, offset_of!(Status, version), &[1]);
    set_field(&mut record, offset_of!(Status, size), &[120]);
    for (offset, bytes) in fields {
        set_field(&mut record, *offset, bytes);
    }
    record
}

fn mismatch() -> Record {
    record(&[
        (offset_of!(Status, phase), &[4]),
        (offset_of!(Status, verdict), &[3]),
        (offset_of!(Status, backend), &[2]),
        (offset_of!(Status, bytes), &1_339_392_u64.to_le_bytes()),
        (offset_of!(Status, cycles), &[0, 1]),
        (offset_of!(Status, nmis), &[2]),
        (offset_of!(Status, digest), &[0xab; 32]),
    ])
}

#[test]
fn says_a_record_in_words() {
    let words = Words(&mismatch()).to_string();
    assert_eq!(
        words,
        format!(
            "\n  phase      refused\n  verdict    sha256 mismatch\n  backend    avx2\
             \n  hashed     1339392 bytes in 256 cycles\n  digest     {}\n  NMIs       2",
            "ab".repeat(32)
        )
    );
    let fault = record(&[
        (offset_of!(Status, phase), &[5]),
        (offset_of!(Status, verdict), &[6]),
        (offset_of!(Status, vector), &[14]),
        (offset_of!(Status, error), &[2]),
        (offset_of!(Status, rip), &[0x34, 0x12]),
        (offset_of!(Status, cr2), &[0, 0, 0, 0, 0x70]),
    ]);
    let words = Words(&fault).to_string();
    let end = "\n  exception  14 #PF (page fault), error 0x2\n  rip        0x1234\n  cr2        0x7000000000";
    assert!(words.ends_with(end), "{words}");
    let region = record(&[
        (offset_of!(Status, phase), &[4]),
        (offset_of!(Status, verdict), &[5]),
        (offset_of!(Status, region), &[7]),
    ]);
    assert!(Words(&region).to_string().contains("bad region: region 7"));
    let entered = record(&[(offset_of!(Status, phase), &[1])]);
    assert_eq!(
        Words(&entered).to_string(),
        "\n  phase      entered\n  verdict    none\n  backend    none yet\
         \n  hashed     0 bytes in 0 cycles\n  NMIs       0"
    );
    let newer = record(&[(offset_of!(Status, version), &[2])]);
    assert_eq!(
        Words(&newer).to_string(),
        ": not one that this tool reads (version 2, 120 bytes)"
    );
}

#[test]
fn says_every_phase_and_verdict() {
    let says = |offset, number, words: &str| {
        let words = format!("{words}\n");
        let phase = offset_of!(Status, phase);
        let text = Words(&record(&[(phase, &[1]), (offset, &[number])])).to_string();
        assert!(text.contains(&words), "{words}{text}");
    };
    let phases = [
        "entered",
        "verifying",
        "verified, on its way to the next kernel",
        "refused",
        "ended by an exception",
        "unknown",
    ];
    for (number, words) in (1..).zip(phases) {
        says(
            offset_of!(Status, phase),
            number,
            &format!("\n  phase      {words}"),
        );
    }
    let verdicts = [
        "none",
        "match",
        "nothing to check",
        "sha256 mismatch",
        "region table wiped",
        "bad region: region 0",
        "exception",
        "stack overflow",
        "none",
    ];
    for (number, words) in (0..).zip(verdicts) {
        says(
            offset_of!(Status, verdict),
            number,
            &format!("\n  verdict    {words}"),
        );
    }
}

/// A core whose note holds a record, too, and whose virtual addresses are others.
#[test]
fn reads_the_physical_memory_of_a_core_only() -> Result<()> {
    let mut core = vec![0; 64 + 2 * 56];
    set_field(&mut core, 0, b"\x7fELF\x02\x01\x01");
    // Type, machine, version; then program headers: where, how large, how many.
    set_field(&mut core, 16, &[4, 0, 62, 0, 1]);
    set_field(&mut core, 32, &[64]);
    set_field(&mut core, 52, &[64, 0, 56, 0, 2]);
    let [note, load] = [64, 64 + 56];
    let record = mismatch();
    for (header, kind, place) in [(note, 4, 0x1000_u64), (load, 1, 0x2000)] {
        let words = [core.len() as u64, 0x5000, place, SIZE as u64];
        set_field(&mut core, header, &[kind]);
        set_field(
            &mut core,
            header + 8,
            words.map(u64::to_le_bytes).as_flattened(),
        );
        core.extend(record);
    }
    let mut file = NamedTempFile::new()?;
    file.write_all(&core)?;
    let found = records(&mut Dump::open(file.path())?)?;
    assert_eq!(found, [(0x2000, record)]);

    file.as_file().write_all_at(&[1], 16)?;
    let error = Dump::open(file.path())
        .err()
        .context("an object was read")?;
    assert!(format!("{error:#}").contains("not ET_CORE"), "{error:#}");
    Ok(())
}

/// Records at the end of a chunk and of the memory, askew, and cut off.
#[test]
fn finds_every_record_in_a_raw_dump_the_likely_ones_first() -> Result<()> {
    let mut memory = vec![0; CHUNK as usize + 0x1000];
    let end = memory.len();
    let places = [
        (0x100, record(&[(offset_of!(Status, size), &[8])])),
        (0x304, mismatch()),
        (CHUNK as usize - 8, mismatch()),
        (end - SIZE, mismatch()),
    ];
    for (place, record) in places {
        memory[place..place + SIZE].copy_from_slice(&record);
    }
    // What the blob itself holds begins likewise.
    memory[0x400..0x408].copy_from_slice(&Config::MAGIC);
    let mut file = NamedTempFile::new()?;
    file.write_all(&memory)?;
    let found = records(&mut Dump::open(file.path())?)?;
    let addresses: Vec<_> = found.iter().map(|(address, _)| *address).collect();
    assert_eq!(addresses, [CHUNK - 8, (end - SIZE) as u64, 0x100]);

    file.as_file().set_len(end as u64 - 8)?;
    assert_eq!(records(&mut Dump::open(file.path())?)?.len(), 2);
    Ok(())
}

#[test]
fn tells_a_purgatory_that_never_ran_from_none() -> Result<()> {
    let mut memory = vec![0; 0x3000];
    let mut file = NamedTempFile::new()?;
    for (place, says) in [
        (None, "was loaded, or"),
        (Some(0x2ca8), "purgatory_config at 0x2ca8, but none has run"),
    ] {
        if let Some(place) = place {
            memory[place..place + 8].copy_from_slice(&Config::MAGIC);
        }
        file.as_file().set_len(0)?;
        file.rewind()?;
        file.write_all(&memory)?;
        let error = tell(&mut Dump::open(file.path())?).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    Ok(())
}

/// The same machine by its monitor and by the core that it writes: memory
/// below the hole and above 4 GiB.
#[test]
fn finds_it_in_a_running_machine_and_in_its_core() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [file, socket, core] = ["record", "qmp", "core"].map(|name| folder.path().join(name));
    fs::write(&file, mismatch())?;
    let loader = |address: u64| {
        format!(
            "loader,file={},addr={address:#x},force-raw=on",
            file.display()
        )
    };
    let addresses = [0x20_0008, 0x1_0100_0000];
    let machine = Machine::new("self-test-status", Duration::from_secs(60))?
        .args(["-machine", "pc,max-ram-below-4g=32M", "-m", "64", "-S"])
        .args([
            "-device",
            &loader(addresses[0]),
            "-device",
            &loader(addresses[1]),
        ])
        .args([
            "-qmp",
            &format!("unix:{},server=on,wait=off", socket.display()),
        ]);
    let mut run = machine.start()?;

    let found = records(&mut Guest::connect(&socket)?)?;
    assert_eq!(found, addresses.map(|address| (address, mismatch())));

    let arguments = json!({"paging": false, "protocol": format!("file:{}", core.display())});
    run.monitor()?.execute("dump-guest-memory", arguments)?;
    assert_eq!(records(&mut Dump::open(&core)?)?, found);

    let whole = fs::metadata(&core)?.len();
    File::options()
        .write(true)
        .open(&core)?
        .set_len(whole / 2)?;
    let error = format!(
        "{:#}",
        Dump::open(&core).err().context("a cut core was read")?
    );
    assert!(error.contains("is cut off"), "{error}");
    Ok(())
}

#[test]
fn reads_the_ram_of_the_system_only() {
    let tree = "FlatView #0\n AS \"I/O\", root: io\n  \
         0000000000000000-0000000000000007 (prio 0, ram): not memory\n\
         FlatView #1\n AS \"memory\", root: system\n AS \"cpu-memory-0\", root: system\n  \
         0000000000000000-000000000009ffff (prio 0, ram): ram\n  \
         00000000000a0000-00000000000bffff (prio 1, i/o): vga-lowmem\n  \
         00000000000e0000-00000000000fffff (prio 0, rom): pc.bios\n  \
         0000000100000000-0000000101ffffff (prio 0, ram): ram @02000000 KVM\n";
    assert_eq!(ram(tree), [0..0xa_0000, 0x1_0000_0000..0x1_0200_0000]);
}
