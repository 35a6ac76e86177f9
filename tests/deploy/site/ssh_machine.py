"""A machine reached by ssh, on this one: a real sshd in name spaces of its own.

Its /etc is a copy on write, /opt, /srv, /run and /tmp are its own, so that users, settings and
keys which are put there go with it. It has no systemd: tests/site has machines that boot.
"""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, Self

import pytest

from roommood.deploy.site.site_file import Reached
from tests.end_to_end.site import until
from tests.needs import missing
from tests.ports import free_port

USERS: Final = {"pi": "NOPASSWD: ALL", "ada.lovelace": "ALL"}
_INSIDE: Final = """
set -e
for one in etc opt srv; do
    mkdir -p "$1/$one/upper" "$1/$one/work"
    mount -t overlay overlay -o "lowerdir=/$one,upperdir=$1/$one/upper,workdir=$1/$one/work" "/$one"
done
cp "$2" "$3" "$4" /srv/
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/sshd
{users}
mount -t tmpfs -o mode=1777 tmpfs /tmp
exec /usr/sbin/sshd -D -e -f "/srv/$(basename "$2")"
"""
_USER: Final = """
useradd --no-create-home --home-dir /srv --shell /bin/sh {name}
usermod --password '*' {name}
printf '%s\\n' '{name} ALL=(ALL) {rule}' > /etc/sudoers.d/of-{number}
chmod 440 /etc/sudoers.d/of-{number}
"""
_CONFIG: Final = """
ListenAddress {address}
Port {port}
HostKey /srv/host_key
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
AuthorizedKeysFile /srv/id.pub
Subsystem sftp internal-sftp
"""


def why_not_here() -> str:
    """Why there can be no such machine here; "" if there can."""
    if os.geteuid() != 0:
        return "name spaces and users need root"
    needed = ("unshare", "ssh-keygen", "sudo", "/usr/sbin/sshd")
    lacking = [name for name in needed if shutil.which(name) is None]
    return f"no {', '.join(lacking)}: apt-get install openssh-server sudo" * bool(lacking)


def _can_mount() -> bool:
    """Containers often may not."""
    probe = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


@dataclass
class SshMachine:
    """One sshd, from start to the end of all that it holds. Its users are root and `USERS`."""

    folder: Path
    address: str = "127.0.0.1"
    port: int = field(default_factory=free_port)
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    def __enter__(self) -> Self:
        if why := why_not_here():
            missing(why)
        if not _can_mount():
            pytest.skip("nothing can be mounted here, not even in a name space of its own")
        for name in ("id", "host_key"):
            make_key(self.folder / name)
        config = self.folder / "sshd_config"
        config.write_text(_CONFIG.format(address=self.address, port=self.port))
        users = (
            _USER.format(name=name, rule=rule, number=number)
            for number, (name, rule) in enumerate(USERS.items())
        )
        script = _INSIDE.replace("{users}", "".join(users))
        disk = self.folder / "disk"
        disk.mkdir()
        with self._log.open("wb") as log:
            self._process = self._start(script, disk, config, log)
        until(self._listens, "sshd listens")
        return self

    def _start(
        self, script: str, disk: Path, config: Path, log: BinaryIO
    ) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [
                "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
                # An overlay's upper folder cannot lie on another overlay.
                f'mount -t tmpfs tmpfs "$1"\n{script}',
                "sh", str(disk), str(config), str(self.folder / "host_key"),
                str(self.folder / "id.pub"),
            ],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

    def reached(self, user: str = "root") -> Reached:
        """As the site's file would say it."""
        key = self.folder / "id"
        return Reached(host=self.address, user=user, ssh_port=self.port, ssh_key=key)

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """As a machine that hangs: connections are neither served nor taken, and stay open."""
        self.run("pkill", "-STOP", "sshd")
        os.kill(self._first, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._first, signal.SIGCONT)
            self.run("pkill", "-CONT", "sshd")

    @property
    def _first(self) -> int:
        """Its first process, the sshd that listens."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        (first,) = children.read_text().split()
        return int(first)

    def inside(self, *command: str, user: str = "root") -> list[str]:
        """The words by which a command runs there, without ssh."""
        become = [] if user == "root" else ["runuser", "-u", user, "--"]
        return ["nsenter", "--mount", "--pid", f"--target={self._first}", *become, *command]

    def run(self, *command: str, user: str = "root") -> str:
        """What a command prints there; it must end well."""
        done = subprocess.run(
            self.inside(*command, user=user), capture_output=True, text=True, timeout=30,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _listens(self) -> bool:
        assert self._process is not None
        output = self._log.read_text()
        assert self._process.poll() is None, output
        return "Server listening" in output

    @property
    def _log(self) -> Path:
        return self.folder / "sshd.log"


def make_key(path: Path, passphrase: str = "") -> Path:
    """A key pair for ssh."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)], check=True
    )
    return path
