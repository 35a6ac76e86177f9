"""The machines of a site, through pyinfra: brought to a wished-for state, and asked questions."""

import logging
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from roommood.deploy.site.hosts import LOCAL
from roommood.deploy.site.site_file import Reached
from roommood.shared.errors import RoommoodError

if TYPE_CHECKING:
    from pyinfra.api.host import Host
    from pyinfra.api.inventory import Inventory
    from pyinfra.connectors.util import CommandOutput

_TRY_S: Final = 120
_PRIVATE: Final = re.compile(r"/\S+")
# It complains on stderr in the words of the user's language; the exit code suffices.
_SUDO: Final = """
command -v sudo >/dev/null || { echo there is no sudo; exit; }
[ "$(LC_ALL=C sudo -n id -u 2>/dev/null)" = 0 ] && echo root && exit
LC_ALL=C sudo -n true 2>&1 | grep -Eq 'a password is required|authentication is required' &&
    echo asks || LC_ALL=C sudo -n true 2>&1 | tail -n 1
"""


class MachineError(RoommoodError):
    """A machine cannot be reached, or what was to be done there failed; says what it said."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that is to hold on a machine: a pyinfra operation and its arguments."""

    name: str
    operation: Callable[..., Any]
    arguments: dict[str, Any] = field(default_factory=dict)


class Machine:
    """One machine, connected while inside `with`. Everything is done as root."""

    def __init__(self, reached: Reached) -> None:
        self.reached = reached
        self.name = reached.host

    def __enter__(self) -> Self:
        _quiet_pyinfra()
        self._inventory = _inventory(self.reached)
        self._connect()
        try:
            self._become_root()
            # What pyinfra copies it first puts under a name that is known in advance.
            self._private = self._as_user("mktemp -d")
        except BaseException:
            self._disconnect()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if _PRIVATE.fullmatch(self._private):
            self.attempt(f"rm -rf {self._private}")
        self._disconnect()

    def _connect(self) -> None:
        from pyinfra.api.config import Config
        from pyinfra.api.connect import connect_all
        from pyinfra.api.exceptions import PyinfraError
        from pyinfra.api.state import State

        config: Any = Config  # pyinfra does not type what it takes
        self._state = State(inventory=self._inventory, config=config())
        if self.reached.host != LOCAL:
            # Where a new machine's key is kept, as ssh does; pyinfra fails without it.
            Path("~/.ssh").expanduser().mkdir(mode=0o700, exist_ok=True)
        _SSH_ERRORS.lines.clear()
        try:
            connect_all(self._state)
        except PyinfraError as error:
            why = "; ".join(_SSH_ERRORS.lines) or str(error)
            raise MachineError(
                f"cannot reach {self.name}: `ssh {self._destination()}` must work without a "
                f"question ({why}){self._after_a_new_host_key(why)}"
            ) from error

    def _disconnect(self) -> None:
        from pyinfra.api.connect import disconnect_all

        disconnect_all(self._state)

    def _become_root(self) -> None:
        """Raises MachineError where sudo is not there, or would ask for a password."""
        if not self._rights():
            return
        user, output = self.reached.user, self._as_user(_SUDO)
        if output == "asks":
            raise MachineError(
                f"{self.name}: sudo asks {user} for a password, which nobody is there to type. Let "
                f"it be used without: `echo '{user} ALL=(ALL) NOPASSWD: ALL' | sudo tee "
                f'/etc/sudoers.d/roommood` there, or give user = "root" in the site\'s file'
            )
        if output != "root":
            raise MachineError(
                f"{self.name}: {user} cannot become root: {output or 'sudo said nothing'}. Install "
                'sudo there and let it be used without a password, or give user = "root"'
            )

    def _as_user(self, command: str) -> str:
        """What a shell command prints, run as the user of the connection."""
        _, output = self._shell(command, None, _TRY_S, {})
        return output.stdout.strip()

    def _destination(self) -> str:
        port = f"-p {self.reached.ssh_port} " if self.reached.ssh_port != 22 else ""
        key = f"-i {self.reached.ssh_key} " if self.reached.ssh_key else ""
        return f"{key}{port}{self.reached.user}@{self.name}"

    def _after_a_new_host_key(self, why: str) -> str:
        if "host key error" not in why:
            return ""
        port = self.reached.ssh_port
        known_as = self.name if port == 22 else f"'[{self.name}]:{port}'"
        return (
            ". It has another host key than before: if its system was set up anew, as by a fresh "
            f"card, `ssh-keygen -R {known_as}`; if not, it may be another machine"
        )

    @property
    def _host(self) -> "Host":
        return next(iter(self._inventory))

    # Ask and tell

    def run(self, command: str, *, stdin: str | None = None, timeout_s: int = _TRY_S) -> str:
        """What a shell command prints, run as root. Raises MachineError where it fails."""
        done, output = self.attempt(command, stdin=stdin, timeout_s=timeout_s)
        if not done:
            raise MachineError(f"{self.name}: this failed: {command}\n{_indented(output)}")
        return output

    def attempt(
        self, command: str, *, stdin: str | None = None, timeout_s: int = _TRY_S
    ) -> tuple[bool, str]:
        """Whether a shell command, run as root, ended well, and what it printed.

        Its complaints are part of it only where it failed: sudo, for one, warns of a host name.
        """
        try:
            done, output = self._shell(command, stdin, timeout_s, self._rights())
        except TimeoutError:
            return False, f"no end within {timeout_s} s"
        except (OSError, EOFError) as error:
            return False, f"the connection broke: {error}"
        return done, (output.stdout if done else output.output).strip()

    def _shell(
        self, command: str, stdin: str | None, timeout_s: int, rights: dict[str, Any]
    ) -> tuple[bool, "CommandOutput"]:
        from pyinfra.api.command import StringCommand

        words = StringCommand("sh", "-c", _quoted(command))
        return self._host.run_shell_command(words, _timeout=timeout_s, _stdin=stdin, **rights)

    def apply(self, operations: Iterable[Operation], *, dry_run: bool = False) -> list[str]:
        """Makes each operation hold, in order; returns the names of those that did not hold before.

        Raises MachineError where one cannot be had; those after it are not tried.
        """
        from pyinfra.api.exceptions import PyinfraError
        from pyinfra.api.operation import add_op
        from pyinfra.api.operations import run_ops

        # pyinfra's state serves one round of checks and changes; each round has one of its own.
        self._reconnect()
        metas = {}
        try:
            for operation in operations:
                added = add_op(
                    self._state, operation.operation, name=operation.name, _temp_dir=self._private,
                    **operation.arguments, **self._rights(),
                )  # fmt: skip
                metas[operation.name] = added[self._host]
            changed = [name for name, meta in metas.items() if meta.will_change]
            if changed and not dry_run:
                run_ops(self._state)
        except PyinfraError as error:
            raise MachineError(f"{self.name}: {_first_failure(metas) or error}") from error
        return changed

    def _reconnect(self) -> None:
        self._disconnect()
        self._inventory = _inventory(self.reached)
        self._connect()

    def _rights(self) -> dict[str, Any]:
        is_local = self.reached.host == LOCAL
        is_root = os.geteuid() == 0 if is_local else self.reached.user == "root"
        return {} if is_root else {"_sudo": True}


def _first_failure(metas: dict[str, Any]) -> str:
    for name, meta in metas.items():
        if meta.is_complete() and not meta.did_succeed(_raise_if_not_complete=False):
            return f"{name}: failed\n{_indented(meta.stderr or meta.stdout)}"
    return ""


def _inventory(reached: Reached) -> "Inventory":
    from pyinfra.api import inventory

    make: Any = inventory.Inventory  # pyinfra does not type what it takes
    if reached.host == LOCAL:
        return make((["@local"], {}))  # type: ignore[no-any-return]
    data: dict[str, Any] = {
        "ssh_user": reached.user,
        "ssh_port": reached.ssh_port,
        "ssh_strict_host_key_checking": "accept-new",
    }
    if reached.ssh_key is not None and _can_be_used(reached.ssh_key):
        data["ssh_key"] = str(reached.ssh_key)
    return make(([(reached.host, data)], {}))  # type: ignore[no-any-return]


def _can_be_used(key: Path) -> bool:
    """Whether a key can be read as it is; if not, the agent has it. Raises MachineError."""
    import paramiko

    try:
        paramiko.PKey.from_path(key)
    except FileNotFoundError:
        raise MachineError(f"there is no ssh_key {key}: `ssh-keygen` makes one") from None
    except (TypeError, paramiko.PasswordRequiredException):
        # Both are said of a key with a passphrase, as is nothing else.
        if os.environ.get("SSH_AUTH_SOCK"):
            return False
        raise MachineError(
            f"the ssh_key {key} has a passphrase, which nobody is there to type: "
            f'`eval "$(ssh-agent)" && ssh-add {key}` before'
        ) from None
    except (OSError, ValueError, paramiko.SSHException) as error:
        raise MachineError(f"the ssh_key {key} cannot be read: {error}") from None
    return True


class _SshErrors(logging.Handler):
    """Keeps what pyinfra logs as an error, such as why it could not connect."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Without its colours."""
        self.lines.append(re.sub(r"\x1b\[[0-9;]*m", "", record.getMessage()).strip())


_SSH_ERRORS: Final = _SshErrors()


def _quiet_pyinfra() -> None:
    """Its own words for each step would drown ours; errors come as exceptions."""
    logger = logging.getLogger("pyinfra")
    logger.setLevel(logging.ERROR)
    logger.handlers, logger.propagate = [_SSH_ERRORS], False


def _quoted(command: str) -> str:
    import shlex

    return shlex.quote(command)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines()[-20:])
