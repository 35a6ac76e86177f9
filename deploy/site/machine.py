"""The machines of a site, through pyinfra: brought to a wished-for state, and asked questions."""

import io
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from roommood.deploy.site.site_file import LOCAL, Reached
from roommood.shared.errors import RoommoodError

if TYPE_CHECKING:
    from pyinfra.api.host import Host
    from pyinfra.api.inventory import Inventory


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
        return self

    def __exit__(self, *_: object) -> None:
        from pyinfra.api.connect import disconnect_all

        disconnect_all(self._state)

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
        _COMPLAINTS.said.clear()
        try:
            connect_all(self._state)
        except PyinfraError as error:
            why = "; ".join(_COMPLAINTS.said) or str(error)
            raise MachineError(
                f"cannot reach {self.name}: `ssh {self._destination()}` must work without a "
                f"question ({why})"
            ) from error

    def _destination(self) -> str:
        port = f"-p {self.reached.ssh_port} " if self.reached.ssh_port != 22 else ""
        return f"{port}{self.reached.user}@{self.name}"

    @property
    def _host(self) -> "Host":
        return next(iter(self._inventory))

    # Ask and tell

    def run(self, command: str, *, timeout_s: int = 120) -> str:
        """What a shell command prints, run as root. Raises MachineError where it fails."""
        done, output = self.attempt(command, timeout_s=timeout_s)
        if not done:
            raise MachineError(f"{self.name}: this failed: {command}\n{_indented(output)}")
        return output

    def attempt(self, command: str, *, timeout_s: int = 120) -> tuple[bool, str]:
        """Whether a shell command, run as root, ended well, and what it printed.

        RateLimitedLog are part of it only where it failed: sudo, for one, warns of a host name.
        """
        from pyinfra.api.command import StringCommand

        try:
            done, output = self._host.run_shell_command(
                StringCommand("sh", "-c", _quoted(command)), _timeout=timeout_s, **self._rights()
            )
        except (OSError, EOFError) as error:
            return False, f"the connection broke: {error}"
        return done, (output.stdout if done else output.output).strip()

    def apply(self, wishes: Iterable[Operation], *, dry_run: bool = False) -> list[str]:
        """Makes each wish hold, in order; returns the names of those that did not hold before.

        Raises MachineError where one cannot be had; those after it are not tried.
        """
        from pyinfra.api.exceptions import PyinfraError
        from pyinfra.api.operation import add_op
        from pyinfra.api.operations import run_ops

        # pyinfra's state serves one round of checks and changes; each round has one of its own.
        self._reconnect()
        metas = {}
        try:
            for wish in wishes:
                added = add_op(
                    self._state, wish.operation, name=wish.name, **wish.arguments, **self._rights()
                )
                metas[wish.name] = added[self._host]
            changed = [name for name, meta in metas.items() if meta.will_change]
            if changed and not dry_run:
                run_ops(self._state)
        except PyinfraError as error:
            raise MachineError(f"{self.name}: {_first_failure(metas) or error}") from error
        return changed

    def put_private(self, path: str, text: str, owner: str) -> None:
        """Replaces a file at once by one that only `owner` may read."""
        new = f"{path}.new"
        self.apply([text_file(new, text, mode="600", owner=owner)])
        self.run(f"mv -f {new} {path}")

    def _reconnect(self) -> None:
        from pyinfra.api.connect import disconnect_all

        disconnect_all(self._state)
        self._inventory = _inventory(self.reached)
        self._connect()

    def _rights(self) -> dict[str, Any]:
        return {} if self.reached.user == "root" else {"_sudo": True}


def text_file(path: str, text: str, *, mode: str = "644", owner: str = "root") -> Operation:
    """A file of this content and these rights."""
    from pyinfra.operations import files

    source = io.StringIO(text)
    arguments = {"src": source, "dest": path, "mode": mode, "user": owner, "group": owner}
    return Operation(path, files.put, arguments)


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
    if reached.ssh_key is not None:
        data["ssh_key"] = str(reached.ssh_key.expanduser())
    return make(([(reached.host, data)], {}))  # type: ignore[no-any-return]


class _Complaints(logging.Handler):
    """Keeps what pyinfra logs as an error, such as why it could not connect."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Without its colours."""
        self.said.append(re.sub(r"\x1b\[[0-9;]*m", "", record.getMessage()).strip())


_COMPLAINTS: Final = _Complaints()


def _quiet_pyinfra() -> None:
    """Its own words for each step would drown ours; errors come as exceptions."""
    logger = logging.getLogger("pyinfra")
    logger.setLevel(logging.ERROR)
    logger.handlers, logger.propagate = [_COMPLAINTS], False


def _quoted(command: str) -> str:
    import shlex

    return shlex.quote(command)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines()[-20:])
