// SPDX-License-Identifier: MIT OR Apache-2.0
//! The runner on trial, against machines of its own: what no unit test can see,
//! because it takes a QEMU.

use std::fs::{self, File};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use blob::set;
use blob::status::{Record, SIZE};
use purgatory::status::Status;
use rustix::process::{Pid, test_kill_process};
use serde_json::json;

use super::memory::{Dump, Monitored, records};
use super::qemu::Qemu;
use crate::machine::Machine;

/// A name, and what fails if it does not hold.
type Trial = (&'static str, fn(&'static Machine) -> Result<()>);

/// All of them.
pub(crate) const ALL: [Trial; 3] = [
    ("a machine that hangs is ended in time", hangs),
    ("a machine that cannot start says why", refuses),
    (
        "a record is found in a running machine and in its core",
        tells,
    ),
];

fn hangs(machine: &'static Machine) -> Result<()> {
    let qemu = Qemu::new(machine, "trial-hang", Duration::from_secs(2))?;
    let qemu = qemu.args(["-machine", machine.machine, "-S"]);
    let mut run = qemu.serial("serial")?.start()?;
    let said =
        |result: Result<()>| result.map_or_else(|error| error.to_string(), |()| String::new());
    let unheard = said(run.wait_for("serial", "x").map(drop));
    ensure!(unheard.contains("time was over"), "it says {unheard:?}");
    let error = run.wait_exit().map(drop);
    ensure!(
        error
            .as_ref()
            .is_err_and(|error| error.is::<super::run::Stuck>()),
        "it is not said to hang"
    );
    let error = said(error);
    ensure!(
        error.contains("still ran") && error.matches("serial.log").count() == 1,
        "it says {error:?}"
    );
    ensure!(run.failure(&error).to_string() == error, "it reports twice");
    let process = Pid::from_child(&run.child);
    drop(run);
    ensure!(test_kill_process(process).is_err(), "it runs on");
    Ok(())
}

fn refuses(machine: &'static Machine) -> Result<()> {
    let qemu = Qemu::new(machine, "trial-refused", Duration::from_secs(30))?;
    let error = qemu.args(["-none-such"]).start().err();
    let error = format!("{:#}", error.context("it started")?);
    ensure!(
        error.contains("did not start") && error.contains("none-such"),
        "it says {error:?}"
    );
    Ok(())
}

fn tells(machine: &'static Machine) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [file, socket, core] = ["record", "qmp", "core"].map(|name| folder.path().join(name));
    let mut record: Record = [0xaa; SIZE];
    set!(record, Status.magic, u64::from_ne_bytes(Status::MAGIC));
    set!(record, Status.version, Status::VERSION);
    set!(record, Status.size, SIZE as u32);
    fs::write(&file, record)?;
    let addresses = [machine.memory.ram_disk + 8, machine.memory.small];
    let monitor = format!("unix:{},server=on,wait=off", socket.display());
    let mut qemu = Qemu::new(machine, "trial-status", Duration::from_secs(60))?
        .args(["-machine", machine.machine, "-m", "64", "-S"])
        .args(["-qmp", &monitor]);
    for address in addresses {
        let file = file.display();
        let device = format!("loader,file={file},addr={address:#x},force-raw=on");
        qemu = qemu.args(["-device", &device]);
    }
    let mut run = qemu.start()?;
    let expected = addresses.map(|address| (address, record));
    let live = records(&mut Monitored::connect(&socket)?)?;
    ensure!(live == expected, "it has {live:x?}");

    let arguments = json!({"paging": false, "protocol": format!("file:{}", core.display())});
    run.monitor()?.execute("dump-guest-memory", arguments)?;
    let dumped = records(&mut Dump::open(&core)?)?;
    ensure!(dumped == expected, "its core has {dumped:x?}");

    let half = fs::metadata(&core)?.len() / 2;
    File::options().write(true).open(&core)?.set_len(half)?;
    let error = Dump::open(&core).err().context("a cut core was read")?;
    let error = format!("{error:#}");
    ensure!(error.contains("is cut off"), "it says {error:?}");
    Ok(())
}
