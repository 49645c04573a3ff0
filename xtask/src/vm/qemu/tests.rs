//! The runner against small machines of its own.

use serde_json::json;

use super::*;
use crate::vm::gdb::Register;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn reads_versions() {
    let debian = "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\n";
    assert_eq!(parse_version(debian), Some((10, 0)));
    assert_eq!(parse_version("QEMU emulator version 8.2\n"), Some((8, 2)));
    assert_eq!(parse_version("qemu 8.2"), None);
}

#[test]
fn a_guest_is_heard_debugged_and_its_reset_is_no_success() -> Result<()> {
    // A firmware that says `h` on port 0xE9, waits until 0x5000 holds 0x5b and
    // resets the machine through the keyboard controller.
    let mut firmware = vec![0xf4; 0x1_0000];
    let code = b"\xb0h\xe6\xe9\x80\x3e\x00\x50\x5b\x75\xf9\xb0\xfe\xe6\x64\xf4";
    let jump_back = b"\xe9\x0d\xff";
    firmware[0xff00..0xff00 + code.len()].copy_from_slice(code);
    firmware[0xfff0..0xfff0 + jump_back.len()].copy_from_slice(jump_back);
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), firmware)?;

    let machine = Machine::new("self-test", LIMIT)?.args(["-machine", "q35", "-bios"]);
    let machine = machine
        .arg(file.path())
        .debugcon("debug", 0xe9)?
        .debuggable()?;
    let mut run = machine.start()?;
    run.wait_for("debug", "h")?;
    let mut debugger = run.debugger()?;
    let waiting = [0xff04, 0xff09];
    assert!(waiting.contains(&debugger.register(Register::Rip)?));
    debugger.resume()?;
    debugger.interrupt()?;
    assert!(waiting.contains(&debugger.register(Register::Rip)?));

    debugger.physical(true)?;
    debugger.write(0x6000, &[0x5a; 3000])?;
    debugger.flip(0x6000, 8 * 2999)?;
    let dump = tempfile::NamedTempFile::new()?;
    let arguments = json!({"val": 0x6000, "size": 3001, "filename": dump.path()});
    run.monitor()?.execute("pmemsave", arguments)?;
    let mut expected = vec![0x5a; 3001];
    expected[2999..].copy_from_slice(&[0x5b, 0]);
    assert_eq!(fs::read(dump.path())?, expected);
    assert_eq!(debugger.read(0x6000, 3001)?, expected);

    debugger.set_breakpoint(0xffff_ff0b)?;
    debugger.write(0x5000, &[0x5b])?;
    debugger.resume()?;
    debugger.wait_stop()?;
    assert_eq!(debugger.register(Register::Rip)?, 0xff0b);
    debugger.clear_breakpoint(0xffff_ff0b)?;
    debugger.resume()?;

    let exit = run.wait_exit()?;
    assert_eq!(
        exit,
        Exit {
            code: Some(0),
            reason: Some("guest-reset".to_owned())
        }
    );
    assert_eq!(run.text("debug")?, "h");
    let error = run.wait_for("debug", "h").unwrap_err().to_string();
    assert!(
        error.contains("QEMU ended before") && error.contains("debug.log"),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_machine_that_does_nothing_meets_the_deadline_and_is_ended() -> Result<()> {
    let machine = Machine::new("self-test-hang", Duration::from_secs(2))?;
    let mut run = machine
        .args(["-machine", "q35", "-S"])
        .serial("serial")?
        .start()?;
    let error = run.wait_for("serial", "x").unwrap_err().to_string();
    assert!(error.contains("time was over"), "{error}");
    let error = run.wait_exit().unwrap_err().to_string();
    assert!(error.contains("still ran"), "{error}");
    assert_eq!(error.matches("serial.log").count(), 1, "{error}");
    assert_eq!(run.failure(&error).to_string(), error);
    let process = Pid::from_child(&run.child);
    drop(run);
    assert!(rustix::process::test_kill_process(process).is_err());
    Ok(())
}

#[test]
fn a_machine_that_cannot_start_says_why() -> Result<()> {
    let machine = Machine::new("self-test-refused", LIMIT)?.args(["-none-such"]);
    let error = format!("{:#}", machine.start().unwrap_err());
    assert!(
        error.contains("did not start") && error.contains("none-such"),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_run_has_its_folder_for_itself() -> Result<()> {
    let machine = Machine::new("self-test-lock", LIMIT)?;
    let other = File::open(machine.directory().join("lock"))?;
    assert!(matches!(
        other.try_lock(),
        Err(fs::TryLockError::WouldBlock)
    ));
    drop(machine);
    other.try_lock()?;
    Ok(())
}
