"""Debian machines of one's own on this one: booted roots with systemd, sshd and a network.

`systemd-nspawn` boots an overlay over one root that debootstrap makes once (build/site/base). It
stands in for a Raspberry Pi in everything but the board: there is no camera and no slow processor.
ROOMMOOD_TEST_SUITE=trixie takes Debian 13 in place of 12: systemd 257, Python 3.13, Redis 8.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from tests.end_to_end.site import until

BRIDGE: Final = "rm-site0"
NETWORK: Final = "10.90.7"
BOOKWORM: Final = "bookworm"
SUITE: Final = os.environ.get("ROOMMOOD_TEST_SUITE", BOOKWORM)
# The Python of its machines.
PYTHON: Final = {BOOKWORM: "3.11", "trixie": "3.13"}[SUITE]
PATIENCE_S: Final = 90.0
_PACKAGES: Final = (
    "systemd", "systemd-sysv", "dbus", "udev", "openssh-server", "sudo", "iproute2", "procps",
    "python3", "python3-venv", "python3-pip", "ca-certificates", "redis-server",
)  # fmt: skip
# Where this machine has those of version 1, systemd 257 would not boot on them.
_CONTROL_GROUPS: Final = {} if SUITE == BOOKWORM else {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
_NEEDED: Final = ("debootstrap", "systemd-nspawn", "setpriv", "ip", "ssh", "ssh-keygen")
# Also where this process is killed, and cannot end what it started.
ENDS_WITH_US: Final = ("setpriv", "--pdeathsig", "TERM")


def why_not_here() -> str:
    """Why machines cannot be made here; "" if they can."""
    if os.geteuid() != 0:
        return "making machines needs root"
    lacking = [name for name in _NEEDED if shutil.which(name) is None]
    return f"no {', '.join(lacking)}: apt-get install debootstrap systemd-container" * bool(lacking)


def root_with(folder: Path, *packages: str) -> Path:
    """The shared root with further packages, made once."""
    root = folder / "-".join(packages)
    if not (root / "made").exists():
        shutil.rmtree(root, ignore_errors=True)
        _tell("cp", "-a", str(base_root(folder)), str(root), timeout_s=600)
        (root / "made").unlink()
        shutil.copyfile("/etc/resolv.conf", root / "etc/resolv.conf")
        install = f"apt-get install -y -qq --no-install-recommends {' '.join(packages)}"
        quiet = "export DEBIAN_FRONTEND=noninteractive; apt-get update -qq"
        _tell("chroot", str(root), "sh", "-c", f"{quiet} && {install}", timeout_s=900)
        (root / "made").touch()
    return root


def base_root(folder: Path) -> Path:
    """The root that all machines share; made once, in about a minute."""
    base = folder / "base"
    if not (base / "made").exists():
        shutil.rmtree(base, ignore_errors=True)
        include = f"--include={','.join(_PACKAGES)}"
        log_text = debootstrap(base, include, timeout_s=900, suite=SUITE)
        (base / "made").write_text(log_text[-200:])
        # Services of Debian's packages that would run beside ours.
        wants = base / "etc/systemd/system/multi-user.target.wants"
        (wants / "redis-server.service").unlink(missing_ok=True)
    return base


def debootstrap(root: Path, *options: str, timeout_s: float, suite: str = BOOKWORM) -> str:
    """A minimal Debian; what it mounts meanwhile goes with its process."""
    return _tell(
        "unshare", "--mount", "debootstrap", "--variant=minbase", *options, suite, str(root),
        "http://deb.debian.org/debian", timeout_s=timeout_s,
    )  # fmt: skip


@contextlib.contextmanager
def network() -> Iterator[str]:
    """A bridge that the machines hang on; gives the address of this side."""
    _take_away_what_a_killed_run_left()
    _tell("ip", "link", "add", BRIDGE, "type", "bridge")
    try:
        _tell("ip", "addr", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
        _tell("ip", "link", "set", BRIDGE, "up")
        yield f"{NETWORK}.1"
    finally:
        _tell("ip", "link", "del", BRIDGE)


def _take_away_what_a_killed_run_left() -> None:
    bridge = Path("/sys/class/net") / BRIDGE
    if bridge.exists():
        hung = [port.name for port in (bridge / "brif").iterdir()]
        assert not hung, f"machines of another run hang on {BRIDGE}: {hung}"
        _tell("ip", "link", "del", BRIDGE)


@dataclass
class Booted:
    """One machine, from boot to the removal of all that it wrote."""

    name: str
    number: int
    base: Path
    folder: Path
    key: Path
    user: str = "root"
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def address(self) -> str:
        return f"{NETWORK}.{self.number}"

    @property
    def root(self) -> Path:
        return self.folder / self.name / "root"

    def __enter__(self) -> Self:
        upper, work = (self.folder / self.name / part for part in ("upper", "work"))
        for folder in (upper, work, self.root):
            folder.mkdir(parents=True)
        layers = f"lowerdir={self.base},upperdir={upper},workdir={work}"
        try:
            _tell("mount", "-t", "overlay", "overlay", "-o", layers, str(self.root))
            self._prepare()
            self.boot()
        except BaseException:  # a start that is interrupted leaves nothing mounted either
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.power_off()
        subprocess.run(["umount", "--lazy", str(self.root)], check=False)

    def _prepare(self) -> None:
        write(self.root / "etc/hostname", f"{self.name}\n")
        write(self.root / "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        write(
            self.root / "etc/systemd/network/10-host0.network",
            f"[Match]\nName=host0\n[Network]\nAddress={self.address}/24\nLinkLocalAddressing=no\n",
        )
        wants = self.root / "etc/systemd/system/multi-user.target.wants/systemd-networkd.service"
        wants.parent.mkdir(parents=True, exist_ok=True)
        wants.unlink(missing_ok=True)
        wants.symlink_to("/lib/systemd/system/systemd-networkd.service")
        home = self.root / ("root" if self.user == "root" else f"home/{self.user}")
        if self.user != "root":
            _tell("chroot", str(self.root), "useradd", "-m", "-s", "/bin/sh", self.user)
            rule = f"{self.user} ALL=(ALL) NOPASSWD: ALL\n"
            write(self.root / f"etc/sudoers.d/{self.user}", rule)
        write(home / ".ssh/authorized_keys", self.key.with_suffix(".pub").read_text())
        if self.user != "root":
            _tell("chroot", str(self.root), "chown", "-R", self.user, f"/home/{self.user}/.ssh")

    def boot(self) -> None:
        log = (self.folder / self.name / "console.log").open("ab")
        self._process = subprocess.Popen(
            [
                *ENDS_WITH_US,
                "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot",
                f"--network-bridge={BRIDGE}", f"--directory={self.root}", f"--machine={self.name}",
                # It may ask how the clock is kept, as a machine may; setting it wants a capability.
                "--console=pipe", "--system-call-filter=@clock",
            ],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0,
            env={**os.environ, **_CONTROL_GROUPS},
        )  # fmt: skip
        log.close()
        self.wait_for_ssh()

    def wait_for_ssh(self) -> None:
        until(lambda: self.attempt("true")[0], f"{self.name} answers over ssh", PATIENCE_S)

    def power_off(self) -> None:
        """As pulling the plug would, but what was written is on the disk."""
        if self._process is None:
            return
        self._hang_up()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _ssh(self, control: str = "") -> list[str]:
        """One connection for all, but where `control` names another or "none"."""
        return [
            "ssh", "-q", "-i", str(self.key), "-o", "StrictHostKeyChecking=no",
            "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=3", "-o", "BatchMode=yes",
            "-o", "ControlMaster=auto", "-o", "ControlPersist=60",
            "-o", f"ControlPath={control or self._control}", f"{self.user}@{self.address}",
        ]  # fmt: skip

    @property
    def _control(self) -> Path:
        return self.folder / self.name / f"ssh-{self.user}"

    def _hang_up(self) -> None:
        if self._control.exists():
            words = [*self._ssh(), "-O", "exit"]
            subprocess.run(words, stderr=subprocess.DEVNULL, timeout=30, check=False)

    def attempt(self, command: str, timeout_s: float = 60) -> tuple[bool, str]:
        """Whether a command, over ssh and as root, ended well, and all that it printed."""
        become = "" if self.user == "root" else "sudo "
        try:
            done = subprocess.run(
                [*self._ssh(), become + command], capture_output=True, text=True,
                timeout=timeout_s, stdin=subprocess.DEVNULL, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return False, "timed out"
        good = done.returncode == 0
        # What it printed on stderr beside is no answer.
        return good, done.stdout if good else done.stdout + done.stderr

    @contextlib.contextmanager
    def forwarding(self, port: int, there: int) -> Iterator[None]:
        """This side's port as the machine's own loopback has it."""
        words = ["-N", "-o", "ExitOnForwardFailure=yes", "-L", f"{port}:127.0.0.1:{there}"]
        process = subprocess.Popen([*self._ssh("none"), *words], stdin=subprocess.DEVNULL)
        try:
            until(lambda: answers("127.0.0.1", port), f"{self.name} is reached at port {port}")
            yield
        finally:
            process.terminate()
            process.wait(10)

    def run(self, command: str, timeout_s: float = 60) -> str:
        """What a command prints; it must end well."""
        done, output = self.attempt(command, timeout_s)
        assert done, f"{self.name}: {command}\n{output}"
        return output


def answers(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def make_key(folder: Path) -> Path:
    """A key pair for ssh."""
    key = folder / "id"
    _tell("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    return key


def write(path: Path, text: str) -> None:
    """A file below a machine's root."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _tell(*command: str, timeout_s: float = 60) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout
