// SPDX-License-Identifier: MIT OR Apache-2.0
//! A stranger's machine: Debian 12 as debootstrap makes it, with systemd, kdump-tools and
//! DKMS, and nothing of ours in it but the packages of a release.
//!
//! What its administrator would do is typed at its serial console. A dump has to be on
//! its disk after a panic, a changed crash image has to be refused, a newer kernel has to
//! get the module too, and in the end nothing may be left.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use blob::load::{Loaded, Series};

use super::corrupt::{Target, Victim, load_address};
use super::scenario::{CONSOLE, CRASH_KERNEL, SPOKEN, Way};
use super::table::{KERNELS, Packaged, USUAL};
use crate::host::options::Setup;
use crate::host::paths::target_directory;
use crate::host::tally::Tally;
use crate::host::{output, process, progress};
use crate::machine::{self, Machine};
use crate::vm::qemu::Qemu;
use crate::vm::run::Run;

/// The longest one start of the machine may take.
const LIMIT: Duration = Duration::from_secs(1800);

/// What the machine has, beside what debootstrap brings by itself.
const PACKAGES: &str = "systemd-sysv,udev,kmod,procps,initramfs-tools,dkms,kdump-tools,\
                        kexec-tools,makedumpfile,linux-image-cloud-amd64,\
                        linux-headers-cloud-amd64";
/// The kernel that it is upgraded to.
const NEWER: &str = "6.12";

const GETTY: &str = "etc/systemd/system/serial-getty@ttyS0.service.d";
const AUTOLOGIN: &str = "[Service]\nExecStart=\n\
                         ExecStart=-/sbin/agetty --autologin root --keep-baud 115200 - dumb\n";
const PROMPT: &str = "root@stranger:~# ";

/// Lists what is called like us; the headers of kernels have the kernel's own.
const FIND: &str = "find / -xdev -name '*purgatory*' -not -path '/usr/src/linux-*' | sort";

/// The machine, switched off.
struct Stranger<'a> {
    machine: &'static Machine,
    folder: PathBuf,
    disk: PathBuf,
    blob: &'a [u8],
}

/// What is done between one start and the next.
type Step = fn(&mut Stranger<'_>) -> Result<()>;

/// A machine that runs, at its prompt.
struct Session {
    run: Run,
    typed: usize,
}

/// Proves the packages in `release`, whose purgatory is `blob`.
pub(crate) fn prove(setup: &Setup, release: &Path, blob: &[u8]) -> Result<Tally> {
    let folder = target_directory().join("debian");
    fs::create_dir_all(&folder)?;
    let _lock = output::lock(&folder)?;
    let row = KERNELS.iter().find(|row| row.series == USUAL);
    let row = row.context("no usual kernel")?;
    let mut stranger = Stranger {
        machine: machine::of(setup.arch),
        disk: folder.join("disk"),
        folder,
        blob,
    };
    let busy = progress::spinner("making a machine with Debian 12");
    stranger.make(row, setup, release)?;
    drop(busy);
    let mut tally = Tally::default();
    let steps: [(&str, Step); 5] = [
        (
            "apt install; a panic is verified and dumped",
            install_and_panic,
        ),
        ("the dump is there; a changed image is refused", refuse),
        (
            "it is back; apt installs a newer kernel, DKMS builds for it",
            upgrade,
        ),
        ("the newer kernel's panic, too", panic_newer),
        (
            "apt purge; nothing is left, the stock purgatory works",
            purge,
        ),
    ];
    for (name, step) in steps {
        if tally.failed == 0 {
            tally.test(name, || step(&mut stranger));
        } else {
            tally.skip(1, name);
        }
    }
    fs::remove_file(&stranger.disk)?;
    Ok(tally)
}

impl Stranger<'_> {
    fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// Puts the machine on a disk; Debian itself is kept for the next time.
    fn make(&self, row: &Packaged, setup: &Setup, release: &Path) -> Result<()> {
        let root = self.root();
        let stamp = self.folder.join("made");
        if !stamp.exists() {
            if root.exists() {
                fs::remove_dir_all(&root)?;
            }
            self.debootstrap(row, setup)?;
            File::create(stamp)?;
        }
        for entry in fs::read_dir(release)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                let name = path.file_name().context("a name")?;
                fs::copy(&path, root.join("root").join(name))?;
            }
        }
        self.take("vmlinuz", &fs::read(root.join("vmlinuz"))?)?;
        self.take("initrd.img", &fs::read(root.join("initrd.img"))?)?;
        File::create(&self.disk)?.set_len(6 << 30)?;
        let mut format = Command::new("mke2fs");
        format.args(["-q", "-F", "-t", "ext4", "-d"]).arg(&root);
        process::output(format.arg(&self.disk)).map(drop)
    }

    fn debootstrap(&self, row: &Packaged, setup: &Setup) -> Result<()> {
        let root = self.root();
        let sources = row.sources(setup.arch)?;
        let mirror = sources.split(' ').find(|word| word.starts_with("http"));
        let mut command = Command::new("debootstrap");
        command.args(["--variant=minbase", &format!("--include={PACKAGES}")]);
        command.arg(row.release).arg(&root).args(mirror);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        process::output(&mut command).context("debootstrap takes root")?;
        fs::write(root.join("etc/apt/sources.list"), sources)?;
        fs::write(root.join("etc/hostname"), "stranger\n")?;
        fs::create_dir_all(root.join(GETTY))?;
        fs::write(root.join(GETTY).join("autologin.conf"), AUTOLOGIN)?;
        // Emulated, it takes minutes to find out which modules its disk takes.
        let initramfs = root.join("etc/initramfs-tools");
        fs::write(initramfs.join("conf.d/modules"), "MODULES=list\n")?;
        fs::write(initramfs.join("modules"), "virtio_pci\nvirtio_blk\next4\n")?;
        let make =
            "update-initramfs -u && /etc/kernel/postinst.d/kdump-tools $(linux-version list)";
        let mut chroot = Command::new("chroot");
        process::output(chroot.arg(&root).args(["sh", "-c", make]))?;
        // For later: the machine has no network.
        let newer = ["image", "headers"].map(|what| format!("linux-{what}-{NEWER}-cloud-amd64"));
        for arguments in [
            &["clean"][..],
            &["update"],
            &["install", "--yes", "--download-only", &newer[0], &newer[1]],
        ] {
            let mut chroot = Command::new("chroot");
            process::output(chroot.arg(&root).arg("apt-get").args(arguments))?;
        }
        Ok(())
    }

    /// Keeps a file of the machine's where QEMU finds it.
    fn take(&self, name: &str, bytes: &[u8]) -> Result<()> {
        Ok(fs::write(self.folder.join(name), bytes)?)
    }

    /// Switches it on and waits for its prompt.
    fn start(&self, name: &str) -> Result<Session> {
        let [kernel, initrd] = ["vmlinuz", "initrd.img"].map(|name| self.folder.join(name));
        let drive = format!("file={},format=raw,if=virtio", self.disk.display());
        let line = format!(
            "root=/dev/vda rw console=ttyS0 crashkernel={CRASH_KERNEL} panic=-1 ignore_loglevel"
        );
        let qemu = Qemu::new(self.machine, &format!("debian-{name}"), LIMIT)?;
        let qemu = qemu.serial(CONSOLE)?.debuggable()?;
        let qemu = qemu.args(["-machine", "q35", "-cpu", "max", "-m", "2G"]);
        let qemu = qemu.args(["-drive", &drive, "-append", &line]);
        let qemu = qemu.args(["-kernel".as_ref(), kernel.as_os_str()]);
        let qemu = qemu.args(["-initrd".as_ref(), initrd.as_os_str()]);
        let mut run = qemu.start()?;
        run.wait_for(CONSOLE, PROMPT)?;
        Ok(Session { run, typed: 0 })
    }
}

impl Session {
    /// Types a command that has to succeed.
    fn sh(&mut self, command: &str) -> Result<()> {
        self.typed += 1;
        let number = self.typed;
        // What is typed comes back, and must not be taken for the answer.
        let typed = format!(
            "if {command}; then echo good-$((0+{number})).; else echo bad-$((0+{number})).; fi\n"
        );
        self.run.send(CONSOLE, &typed)?;
        let answers = [format!("good-{number}."), format!("bad-{number}.")];
        let (answer, _) = self
            .run
            .wait_for_any(CONSOLE, &answers.each_ref().map(|text| &**text))?;
        ensure!(
            answer == 0,
            self.run.failure(format!("it failed: {command}"))
        );
        Ok(())
    }

    /// Waits until the machine restarts, or switches off, by itself.
    fn ends(mut self, reason: &str) -> Result<()> {
        let exit = self.run.wait_exit()?;
        let found = exit.reason.unwrap_or_default();
        ensure!(
            found == reason,
            self.run.failure(format!("it ended by {found}"))
        );
        Ok(())
    }

    /// Has the kernel panic, and waits for `words` of the purgatory's.
    fn panic(&mut self, words: &str) -> Result<()> {
        self.run
            .send(CONSOLE, "sync; echo c > /proc/sysrq-trigger\n")?;
        self.run.wait_for(CONSOLE, words).map(drop)
    }
}

fn install_and_panic(stranger: &mut Stranger<'_>) -> Result<()> {
    let mut session = stranger.start("install")?;
    session.sh(&format!("{FIND} > /root/before"))?;
    session.sh("DEBIAN_FRONTEND=noninteractive apt-get install -qy ./purgatory-*.deb")?;
    session.sh("grep -q '^purgatory ' /proc/modules")?;
    session.sh("purgatory-tools setup")?;
    session.sh("echo options purgatory verbose=1 on_refusal=reset-after=2 > /etc/modprobe.d/purgatory.conf")?;
    session.sh("modprobe -r purgatory && modprobe purgatory && kdump-config reload")?;
    session.sh("purgatory-tools status | grep \"^crash image  this project\"")?;
    session.panic(SPOKEN)?;
    session.ends("guest-reset")
}

fn refuse(stranger: &mut Stranger<'_>) -> Result<()> {
    let mut session = stranger.start("refuse")?;
    session.sh("test -s /var/crash/*/dump.*")?;
    session.sh("systemctl start kdump-tools && grep 1 /sys/kernel/kexec_crash_loaded")?;
    // What was loaded at boot counts; loaded again, the kernel says where.
    session.sh("echo 'file kexec-bzimage64.c +p' > /proc/dynamic_debug/control")?;
    session.sh("kdump-config reload")?;
    let base = load_address(&session.run.text(CONSOLE)?)?;
    let victim = Victim {
        loaded: Loaded::place(stranger.blob, base, Series::V6_12)?,
        machine: stranger.machine,
    };
    let mut debugger = session.run.debugger()?;
    debugger.physical(true)?;
    victim.flip(&mut debugger, Target::Segment)?;
    debugger.resume()?;
    session.panic("\npurgatory: refused: sha256 mismatch")?;
    session.ends("guest-reset")
}

fn upgrade(stranger: &mut Stranger<'_>) -> Result<()> {
    let mut session = stranger.start("upgrade")?;
    session.sh(&format!(
        "DEBIAN_FRONTEND=noninteractive apt-get install -y --no-download \
         linux-image-{NEWER}-cloud-amd64 linux-headers-{NEWER}-cloud-amd64"
    ))?;
    session.sh(&format!(
        "dkms status purgatory | grep '{NEWER}.*installed'"
    ))?;
    session.run.send(CONSOLE, "poweroff\n")?;
    session.ends("guest-shutdown")?;
    for name in ["vmlinuz", "initrd.img"] {
        let link = debugfs(&stranger.disk, &format!("stat /{name}"))?;
        let target = link.split("Fast link dest: \"").nth(1);
        let target = target.and_then(|rest| rest.split('"').next());
        let target = target.with_context(|| format!("/{name} is no link"))?;
        ensure!(target.contains(NEWER), "/{name} is still {target}");
        let to = stranger.folder.join(name);
        let dump = format!("dump /{target} {}", to.display());
        debugfs(&stranger.disk, &dump)?;
    }
    Ok(())
}

/// Asks for something on the disk of a machine that is off.
fn debugfs(disk: &Path, request: &str) -> Result<String> {
    let mut command = Command::new("debugfs");
    process::output(command.args(["-R", request]).arg(disk))
}

fn panic_newer(stranger: &mut Stranger<'_>) -> Result<()> {
    let mut session = stranger.start("newer")?;
    session.sh(&format!("uname -r | grep '^{NEWER}'"))?;
    session.sh("systemctl start kdump-tools && grep 1 /sys/kernel/kexec_crash_loaded")?;
    session.panic(SPOKEN)?;
    session.ends("guest-reset")
}

fn purge(stranger: &mut Stranger<'_>) -> Result<()> {
    let mut session = stranger.start("purge")?;
    session.sh("test $(ls /var/crash/*/dump.* | wc -l) = 2")?;
    session.sh(
        "apt-get purge -y purgatory-dkms purgatory-tools && rm /etc/modprobe.d/purgatory.conf",
    )?;
    session.sh("! grep '^purgatory ' /proc/modules")?;
    session.sh(&format!("{FIND} | diff /root/before -"))?;
    session.sh("! grep purgatory /etc/default/kdump-tools")?;
    session.sh("kexec -s -l /vmlinuz --initrd=/initrd.img --reuse-cmdline")?;
    session.run.send(CONSOLE, "systemctl kexec\n")?;
    session.run.wait_for(CONSOLE, Way::Normal.last_line())?;
    session.run.wait_for(CONSOLE, PROMPT)?;
    let text = session.run.text(CONSOLE)?;
    ensure!(!text.contains(SPOKEN), "ours is still there");
    session.run.send(CONSOLE, "poweroff\n")?;
    session.ends("guest-shutdown")
}
