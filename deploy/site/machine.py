"""The machines of a site, through pyinfra: brought to a wished-for state, and asked questions."""

import base64
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Final, Self

from roommood.deploy.site.hosts import LOCAL
from roommood.deploy.site.site_file import Reached
from roommood.deploy.site.ssh_route import (
    MachineError,
    Route,
    can_be_used,
    end,
    last_words,
    route_to,
)
from roommood.deploy.site.time_bound import bounded

if TYPE_CHECKING:
    from paramiko import ProxyCommand
    from pyinfra.api.host import Host
    from pyinfra.api.inventory import Inventory
    from pyinfra.connectors.util import CommandOutput

__all__ = ["Machine", "MachineError", "Operation"]

_TRY_S: Final = 120
_CHANGE_S: Final = 1_800
_ANSWERS: Final = "roommood-asks"
_PRIVATE: Final = re.compile(r"/\S+")
# It complains on stderr in the words of the user's language; the exit code suffices.
_SUDO: Final = """
command -v sudo >/dev/null || { echo there is no sudo; exit; }
[ "$(LC_ALL=C sudo -n sh -c 'id -u' 2>/dev/null)" = 0 ] && echo root && exit
LC_ALL=C sudo -n sh -c : 2>&1 | grep -Eq 'a password is required|authentication is required' &&
    echo asks || LC_ALL=C sudo -n sh -c : 2>&1 | tail -n 1
"""


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
        self._route = None if self.reached.host == LOCAL else route_to(self.reached)
        self._connect()
        try:
            self._check_shell()
            self._become_root()
            # What pyinfra copies it first puts under a name that is known in advance.
            self._private = self._as_user("mktemp -d 2>&1")
            if not _PRIVATE.fullmatch(self._private):
                raise MachineError(f"{self.name}: no temporary folder there: {self._private}")
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

        self._through = self._route.through() if self._route else None
        self._inventory = _inventory(self.reached, self._route, self._through)
        self._state = State(inventory=self._inventory, config=Config())  # type: ignore[no-untyped-call]
        if self._route:
            _prepare_known_hosts(self._route.known_hosts)
        _SSH_ERRORS.lines.clear()
        try:
            with _agent_of(self._route):
                connect_all(self._state)
        except PyinfraError as error:
            why = "; ".join(_SSH_ERRORS.lines) or str(error)
            if self._through and (printed := last_words(self._through)):
                why = f"{why}: {printed}"
            raise MachineError(
                f"cannot reach {self.name}: `ssh {self._destination()}` must work without a "
                f"question ({why}){self._what_to_do(why)}"
            ) from error

    def _disconnect(self) -> None:
        from pyinfra.api.connect import disconnect_all

        disconnect_all(self._state)
        if self._through:
            end(self._through)

    def _check_shell(self) -> None:
        """Raises MachineError where the login shell prints something of its own, or runs nothing.

        It would stand in every answer, and what it prints breaks sftp.
        """
        output = self._as_user(f"echo {_ANSWERS}")
        if output == _ANSWERS:
            return
        user, printed = self.reached.user, output.replace(_ANSWERS, "").strip()
        if output.endswith(_ANSWERS):
            raise MachineError(
                f"{self.name}: the login shell of {user} prints {printed[:60]!r} before each "
                "answer, also where nobody looks on: let its startup file (such as ~/.bashrc) "
                "print that at a terminal only: `[ -t 1 ] && echo ...`"
            )
        raise MachineError(
            f"{self.name}: the login shell of {user} runs no commands"
            f"{f': {printed[:200]}' if printed else ''}: `chsh -s /bin/bash {user}` there, or give "
            "another user"
        )

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
        from paramiko import SSHException

        try:
            _, output = self._shell(command, None, _TRY_S, {})
        except (OSError, EOFError, SSHException) as error:
            raise MachineError(f"{self.name}: the connection broke: {error}") from None
        return output.stdout.strip()

    def _destination(self) -> str:
        port = f"-p {self.reached.ssh_port} " if self.reached.ssh_port else ""
        key = f"-i {self.reached.ssh_key} " if self.reached.ssh_key else ""
        return f"{key}{port}{self.reached.user}@{self.name}"

    def _what_to_do(self, why: str) -> str:
        if "key file is encrypted" in why:
            return '. A key with a passphrase wants `eval "$(ssh-agent)" && ssh-add` before'
        if "host key error" not in why or self._route is None:
            return ""
        host, port = self._route.host, self._route.port
        known_as = host if port == 22 else f"'[{host}]:{port}'"
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
        from paramiko import SSHException

        try:
            done, output = self._shell(command, stdin, timeout_s, self._rights())
        except TimeoutError:
            self._reconnect()
            return False, f"no end within {timeout_s} s"
        except (OSError, EOFError, SSHException) as error:
            return False, f"the connection broke ({error or 'it ended'}): run this again to go on"
        return done, (output.stdout if done else output.output).strip()

    def _shell(
        self, command: str, stdin: str | None, timeout_s: int, rights: dict[str, Any]
    ) -> tuple[bool, "CommandOutput"]:
        from pyinfra.api.command import StringCommand

        # What others are to read is made here, and root's or the user's own may be 077.
        words = StringCommand("sh", "-c", quote(_for_any_shell(f"umask 022; {command}")))
        with bounded(self._host.connector, timeout_s):
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
            with bounded(self._host.connector, _CHANGE_S):
                for operation in operations:
                    added = add_op(
                        self._state, operation.operation, name=operation.name,
                        _temp_dir=self._private, **operation.arguments, **self._rights(),
                    )  # fmt: skip
                    metas[operation.name] = added[self._host]
                changed = [name for name, meta in metas.items() if meta.will_change]
                if changed and not dry_run:
                    run_ops(self._state)
        except TimeoutError as error:
            raise MachineError(f"{self.name}: {error}: run this again to go on") from error
        except PyinfraError as error:
            raise MachineError(f"{self.name}: {_first_failure(metas) or error}") from error
        return changed

    def _reconnect(self) -> None:
        self._disconnect()
        folder, self._private = self._private, ""  # which nobody clears away where this fails
        self._connect()
        self._private = folder

    def _rights(self) -> dict[str, Any]:
        is_root = os.geteuid() == 0 if self.reached.host == LOCAL else self.reached.user == "root"
        return {} if is_root else {"_sudo": True}


def _first_failure(metas: dict[str, Any]) -> str:
    for name, meta in metas.items():
        if meta.is_complete() and not meta.did_succeed(_raise_if_not_complete=False):
            printed = meta.stderr or meta.stdout or "\n".join(_SSH_ERRORS.lines)
            if "size mismatch" in printed:
                printed += "\nIt was cut short: is /tmp full there (`df -h /tmp`)?"
            return f"{name}: failed\n{_indented(printed)}"
    return ""


def _inventory(
    reached: Reached, route: Route | None, through: "ProxyCommand | None"
) -> "Inventory":
    from pyinfra.api import inventory

    make: Any = inventory.Inventory  # pyinfra does not type what it takes
    if route is None:
        return make((["@local"], {}))  # type: ignore[no-any-return]
    data: dict[str, Any] = {"ssh_user": reached.user, **route.data(through)}
    if reached.ssh_key is not None and can_be_used(reached.ssh_key):
        data["ssh_key"] = str(reached.ssh_key)
    return make(([(reached.host, data)], {}))  # type: ignore[no-any-return]


def _prepare_known_hosts(path: Path) -> None:
    """Where a new machine's key is kept, as ssh does: pyinfra fails without the folder, writes on
    in a last line that has no end, and keeps what it read at first."""
    from pyinfra.connectors.sshuserclient import client

    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.is_file() and path.read_bytes()[-1:] not in (b"", b"\n"):
        with path.open("a", encoding="utf-8") as file:
            file.write("\n")
    client.get_host_keys.cache.clear()


@contextmanager
def _agent_of(route: Route | None) -> Iterator[None]:
    """The agent that ssh's files name, where they do."""
    before = os.environ.get("SSH_AUTH_SOCK")
    if route and route.agent not in ("", "none"):
        os.environ["SSH_AUTH_SOCK"] = route.agent
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("SSH_AUTH_SOCK", None)
        else:
            os.environ["SSH_AUTH_SOCK"] = before


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
    from gevent.hub import Hub

    logger = logging.getLogger("pyinfra")
    logger.setLevel(logging.ERROR)
    logger.handlers, logger.propagate = [_SSH_ERRORS], False
    # It prints tracebacks of connections that end; these are raised as well.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    # Ctrl+C is raised where pyinfra waits, and gevent prints where that was before it goes on here.
    if KeyboardInterrupt not in Hub.NOT_ERROR:
        Hub.NOT_ERROR = (*Hub.NOT_ERROR, KeyboardInterrupt)


def _for_any_shell(command: str) -> str:
    """csh takes neither the end of a line nor an exclamation mark between quotes."""
    if not {"\n", "!"} & set(command):
        return command
    code = base64.b64encode(command.encode()).decode()
    return f'eval "$(echo {code} | base64 -d)"'


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines()[-20:])
