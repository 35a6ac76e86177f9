"""All tables, and which keys, variables and values they allow."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from roommood.shared.errors import ConfigError
from roommood.shared.process.settings.components import (
    AggregatorSettings,
    CameraSettings,
    WorkerSettings,
)
from roommood.shared.process.settings.readers import (
    DashboardSettings,
    ExporterSettings,
    MqttSettings,
    NotifySettings,
    PreviewSettings,
    RedisSettings,
)
from roommood.shared.process.settings.rows import PREFIX, Row, Table, rows_of
from roommood.shared.security import secret_urls

TABLES: Final[Mapping[str, type[Table]]] = {
    table.TABLE: table
    for table in (
        CameraSettings,
        WorkerSettings,
        AggregatorSettings,
        RedisSettings,
        DashboardSettings,
        ExporterSettings,
        MqttSettings,
        NotifySettings,
        PreviewSettings,
    )
}
# Variables that are no settings of a component.
OTHER_VARIABLES: Final[Mapping[str, str]] = {
    "ROOMMOOD_CONFIG": "the file with settings, as --config",
    "ROOMMOOD_CACHE": "folder of models that were pulled",
    "ROOMMOOD_ADDRESS": "of deploy/compose.yaml: by which cameras reach the machine",
    "ROOMMOOD_SECRETS": "of deploy/compose.yaml: folder with keys and passwords",
    "ROOMMOOD_WORKERS": "of deploy/compose.yaml: worker processes",
    "ROOMMOOD_PORTS": "of deploy/compose.yaml: ports of those",
    "ROOMMOOD_PAGE": "of deploy/compose.yaml: the address at which the page is",
    "ROOMMOOD_PAGE_URL": "of deploy/compose.yaml: where a server in front has the page",
}
_TESTS: Final = f"{PREFIX}TEST_"
# What Kubernetes sets in every pod for a service called roommood or roommood-...
_SERVICE_LINK: Final = re.compile(r"_SERVICE_(HOST|PORT\w*)$|_PORT_\d+_(TCP|UDP)(_\w+)?$")


def rows_in(table: str) -> dict[str, Row]:
    """The settings that stand under one table of a file, by key."""
    return {row.key: row for row in rows_of(TABLES[table]) if row.table == table}


def problem(row: Row, value: Any) -> str:
    """What is wrong with a value; "" where nothing is."""
    try:
        row.kind.check(value)
    except ValueError as error:
        is_elsewhere = may_hold_password(value) and not row.is_secret
        return _MAY_HOLD_PASSWORD if is_elsewhere else str(error)
    return ""


_MAY_HOLD_PASSWORD: Final = "what may hold a password does not belong here"


def problem_with(table: str, key: str, value: Any) -> str:
    """What is wrong with a key of a file's table, named with its value; "" where nothing is."""
    rows = rows_in(table)
    if key not in rows:
        return f"unknown key {key!r}{nearest(key, rows)}"
    fault = problem(rows[key], value)
    text = "***" if rows[key].is_secret or may_hold_password(value) else repr(value)
    return f"{key} = {text}: {fault}" if fault else ""


def shown(row: Row, value: Any) -> str:
    """A value as a message may show it."""
    if row.is_secret or may_hold_password(value):
        return "***"
    plain = isinstance(value, str) and re.fullmatch(r"[\w.,:/@%+-]+", value, re.ASCII)
    return str(value) if plain else repr(value)


def may_hold_password(value: Any) -> bool:
    """Whether an address with one stands in a value, or in one of a list."""
    if isinstance(value, list | tuple):
        return any(map(may_hold_password, value))
    return isinstance(value, str) and secret_urls.shown(value) != value


def nearest(name: str, known: Iterable[str]) -> str:
    """How a message on an unknown name ends."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(names)}"


def refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    """For a command without settings. Raises ConfigError that names each with the nearest one."""
    if problems := "\n".join(unknown_variables(environ)):
        raise ConfigError(problems)


def unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """A message for each variable that looks like a setting and is none."""
    rows = [row for table in TABLES for row in rows_in(table).values()]
    known = {name for row in rows for name in row.variables} | OTHER_VARIABLES.keys()
    for name, value in environ.items():
        if not name.startswith(PREFIX) or name in known or name.startswith(_TESTS):
            continue
        is_link = _SERVICE_LINK.search(name) or value.startswith(("tcp://", "udp://"))
        if not is_link:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}?" if close else "see docs/settings.md"
            yield f"environment: unknown variable {name!r}; {hint}"
