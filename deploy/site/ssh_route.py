"""How `ssh` itself would reach a machine: what its own files say counts here too.

`ssh -G` reads them (aliases, `Include`, `Match`, jumps), so that a host with which `ssh` works
works here. A jump is left to `ssh`, which knows that machine's keys.
"""

import os
import pwd
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from roommood.deploy.site.site_file import Reached
from roommood.shared.errors import RoommoodError

if TYPE_CHECKING:
    from paramiko import ProxyCommand

_ASK_S: Final = 30
_COMPLAINT_BYTES: Final = 65_536
_SSH_PORT: Final = 22
_NO_FILE: Final = "/dev/null"


class MachineError(RoommoodError):
    """A machine cannot be reached, or what was to be done there failed; with what it answered."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a machine is, by which keys, and through which command; `keys` only where the site's
    file names none."""

    host: str
    port: int
    known_hosts: Path
    is_strict: bool = False
    keys: tuple[str, ...] = ()
    agent: str = ""
    command: str = ""

    def data(self, through: "ProxyCommand | None") -> dict[str, Any]:
        """As pyinfra takes it; `through` is the command, where there is one."""
        more: dict[str, Any] = {}
        if self.keys:
            more |= {"key_filename": list(self.keys), "look_for_keys": False}
        if through:
            more["sock"] = through
        return {
            "ssh_hostname": self.host,
            "ssh_port": self.port,
            # All of it has been read.
            "ssh_config_file": _NO_FILE,
            "ssh_known_hosts_file": str(self.known_hosts),
            "ssh_strict_host_key_checking": "yes" if self.is_strict else "accept-new",
            "ssh_allow_agent": self.agent != "none",
            "ssh_paramiko_connect_kwargs": more,
        }

    def through(self) -> "ProxyCommand | None":
        """The command, started: for one connection."""
        from paramiko import ProxyCommand

        if not self.command:
            return None
        through: Any = ProxyCommand(shlex.join(["sh", "-c", f"exec {self.command}"]))
        # Its own fails in a thread, with a traceback, where the command has ended.
        through.close = through.process.kill
        return through  # type: ignore[no-any-return]


def route_to(reached: Reached) -> Route:
    """Raises MachineError where ssh cannot read its files."""
    if shutil.which("ssh") is None:
        known = Path("~/.ssh/known_hosts").expanduser()
        return Route(reached.host, reached.ssh_port or _SSH_PORT, known)
    answer = _ask_ssh(reached)
    host, port = answer["hostname"][0], int(answer["port"][0])
    return Route(
        host=host,
        port=port,
        known_hosts=_known_hosts(answer.get("userknownhostsfile", [""])[0]),
        is_strict=answer.get("stricthostkeychecking", [""])[0] in ("yes", "true"),
        keys=() if reached.ssh_key else _keys(answer.get("identityfile", [])),
        agent=_agent(answer.get("identityagent", [""])[0]),
        command=_command(reached, answer, host, port),
    )


def last_words(through: Any) -> str:
    """Ends the command; returns what it complained of last.

    What it started may hold the other end open: only what is there is read.
    """
    end(through)
    pipe = through.process.stderr.fileno()
    os.set_blocking(pipe, False)
    try:
        answer = os.read(pipe, _COMPLAINT_BYTES).decode(errors="replace")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(answer.split("\n")) if line.strip()), "")


def end(through: "ProxyCommand") -> None:
    """Ends the command."""
    through.process.kill()
    through.process.wait()


def _ask_ssh(reached: Reached) -> dict[str, list[str]]:
    port = ["-p", str(reached.ssh_port)] if reached.ssh_port else []
    words = ["ssh", *_files(), "-G", "-l", reached.user, *port, "--", reached.host]
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASK_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MachineError(f"cannot ask ssh how to reach {reached.host}: {error}") from None
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").splitlines()
        why = next((line for line in lines if "line" in line), "; ".join(lines))
        raise MachineError(f"cannot reach {reached.host}: ssh cannot read its settings: {why}")
    answer: dict[str, list[str]] = {}
    for line in done.stdout.decode(errors="replace").splitlines():
        key, _, value = line.partition(" ")
        answer.setdefault(key.lower(), []).append(value)
    return answer


def _files() -> list[str]:
    """ssh asks the system where its user is at home, all else here the variable."""
    if _system_home() == Path.home():
        return []
    config = Path("~/.ssh/config").expanduser()
    return ["-F", str(config) if config.exists() else _NO_FILE]


def _system_home() -> Path:
    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        return Path.home()


def _known_hosts(answer: str) -> Path:
    """The first of those files, since a new machine's key is noted there."""
    ours = Path("~/.ssh/known_hosts").expanduser()
    # Names with a space cannot be told from two names.
    first = Path(answer.partition(" ")[0] or ours).expanduser()
    if first == _system_home() / ".ssh/known_hosts" or not first.parent.is_dir():
        return ours
    return first


def _keys(answer: list[str]) -> tuple[str, ...]:
    paths = (Path(each.strip('"')).expanduser() for each in answer)
    # The public half stands for a key that an agent has.
    return tuple(str(path) for path in paths if path.is_file() and path.suffix != ".pub")


def _agent(answer: str) -> str:
    if answer == "SSH_AUTH_SOCK":
        return ""
    return os.path.expandvars(str(Path(answer).expanduser())) if answer else ""


def _command(reached: Reached, answer: dict[str, list[str]], host: str, port: int) -> str:
    """What the bytes go through instead of a connection; "" for nothing."""
    jump = answer.get("proxyjump", ["none"])[0]
    if jump != "none":
        *before, last = jump.split(",")
        others = ["-J", ",".join(before)] if before else []
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        uri = last if last.startswith("ssh://") else f"ssh://{last}"
        words = ["ssh", *_files(), "-o", "BatchMode=yes", *others, "-W", target, uri]
        return shlex.join(words)
    command = answer.get("proxycommand", ["none"])[0]
    if command == "none":
        return ""
    tokens = {"%h": host, "%p": str(port), "%r": reached.user, "%n": reached.host}
    parts = command.split("%%")
    for token, value in tokens.items():
        parts = [part.replace(token, shlex.quote(value)) for part in parts]
    return "%".join(parts)


def can_be_used(key: Path) -> bool:
    """Whether a key can be read as it is; if not, the agent has it. Raises MachineError."""
    import paramiko

    if key.suffix == ".pub":
        raise MachineError(
            f"the ssh_key {key} is the public half, which lies on the machine: give "
            f"{key.with_suffix('')}"
        )
    try:
        paramiko.PKey.from_path(key)
    except FileNotFoundError:
        raise MachineError(f"there is no ssh_key {key}: `ssh-keygen` makes one") from None
    except (TypeError, paramiko.PasswordRequiredException):
        # Both are raised of a key with a passphrase, and of nothing else.
        if os.environ.get("SSH_AUTH_SOCK"):
            return False
        raise MachineError(
            f"the ssh_key {key} has a passphrase, which nobody is there to type: "
            f'`eval "$(ssh-agent)" && ssh-add {key}` before'
        ) from None
    except (OSError, ValueError, paramiko.SSHException) as error:
        raise MachineError(f"the ssh_key {key} cannot be read: {error}") from None
    return True
